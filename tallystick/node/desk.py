"""The desk of one ledger: every operation a person or a program can ask for, by name.

The local interface of a running node and a command that opens the store itself both serve from here, so that neither
can do what the other cannot. A write is tried out first: what would be void is not signed.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tallystick.node.clock_words import clock_words
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.identity import KeyLockedError
from tallystick.node.own_part import own_part
from tallystick.node.places import ticket_addresses
from tallystick.node.view import NodeFacts, View
from tallystick.node.writes import WRITES
from tallystick.node.writes_base import ArgumentError, Draft, read_args
from tallystick.node.writes_devices import added_by
from tallystick.protocol.entry import Entry, encode_annex, encode_header, make_entry, read_entry_untrusted
from tallystick.protocol.entry import annex_hash as hash_of_annex
from tallystick.protocol.errors import DecodeError, EntryError, Reason
from tallystick.protocol.kinds.evidence import Convict
from tallystick.protocol.limits import SALT_SIZE_BYTES
from tallystick.protocol.quorum import quorum

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.core import NodeCore
    from tallystick.protocol.state import State
    from tallystick.protocol.transition import Result


class RefusedError(NodeError):
    """A rule says no: the entry would be void, so it was not signed."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(
            f"not signed, since it would be void: {reason}{f' ({detail})' if detail else ''}",
            reason=str(reason),
            # What makes no sense in itself is refused by no rule: it was asked for in the wrong way.
            exit_code=ExitCode.USAGE if reason == Reason.MALFORMED else ExitCode.REFUSED,
        )
        self.detail = detail


class Desk:
    """Operations on one ledger."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core

    def view(self, now: int, node: NodeFacts | None = None) -> View:
        """What reads look at."""
        core = self._core
        return View(ledger=core.ledger, archive=core.archive, now=now, me=self._me(now), device=core.device, node=node)

    def do(
        self, op: str, args: Mapping[str, Any], key: SecretKey | None, now: int, node: NodeFacts | None = None
    ) -> Any:
        """Carry out an operation. Raises NodeError in any of its kinds; then nothing has changed."""
        from tallystick.node.reads import READS

        if op in READS:
            return READS[op](self.view(now, node), dict(args))
        if op in WRITES:
            return self._write(op, args, key, now)
        raise ArgumentError(f"there is no operation {op[:40]!r}")

    def _me(self, now: int) -> bytes | None:
        core = self._core
        if not core.ledger.head.height and core.ledger.id not in core.ledger.pool:
            return None
        row = core.ledger.view(now).devices.get(core.device)
        return None if row is None else row.member

    def _names(self, members: Iterable[str], now: int) -> list[str]:
        view = self.view(now)
        return [view.called(bytes.fromhex(member)) for member in members]

    # -- writing -------------------------------------------------------------------------------------------------------

    def _write(self, op: str, args: Mapping[str, Any], key: SecretKey | None, now: int) -> dict[str, Any]:
        kind, draw = WRITES[op]
        typed = read_args(kind, args)
        self._check_can_write(now)
        view = self.view(now)
        draft = draw(view, typed)
        annex = self._annex(draft)
        trial = self._unsigned(draft, annex, now)
        if typed.dry_run:
            return self._dry(draft, trial, view, now) | {"warnings": clock_words(self._core, now)}
        result = self._try_out(trial, now)
        if result.reason is not None:
            raise RefusedError(result.reason, result.detail or own_part(view, draft.body, result.reason))
        if key is None:
            raise KeyLockedError(
                "the signing key is locked",
                reason="key-locked",
                hint="`tally unlock`, or set TALLY_PASSPHRASE_FILE",
            )
        if key.public != self._core.device:
            raise KeyLockedError("this is not the key of this device", reason="wrong-key")
        # Before the block that this entry may be in: by that the clock would look right.
        warnings = clock_words(self._core, now)
        entry = self._signed(draft, annex, key, now)
        self._core.submit(entry, now)
        self.convict(key, now)
        answer = self.status_of(entry, draft.deal) | {"warnings": warnings}
        if draft.secret is not None:
            answer["ticket"] = self._ticket(entry, draft, now)
        return answer

    def convict(self, key: SecretKey, now: int) -> int:
        """Put on the ledger what sealers were found to have signed, as far as it is not known there yet.

        Called with every write, and whenever a key is at hand. Returns how many entries were written.
        """
        from tallystick.node.core import EVIDENCE

        core = self._core
        written = 0
        for name, data in core.archive.sealings(EVIDENCE):
            if core.sealer.muted or self._me(now) is None:
                break
            draft = Draft(Convict(evidence=data))
            try:
                result = self._try_out(self._unsigned(draft, None, now), now)
                reason = result.reason
            except RefusedError as error:
                reason = Reason(error.reason)
            if reason is None:
                core.submit(self._signed(draft, None, key, now), now)
                written += 1
            elif reason not in (Reason.ALREADY_DONE, Reason.NOT_FOUND, Reason.BAD_SIGNATURE):
                # This device may not say so now; another one may, or this one later.
                continue
            core.archive.keep_sealing([(name, None)])
        return written

    def _check_can_write(self, now: int) -> None:
        core = self._core
        refusal = core.archive.store.refusal
        if refusal is not None:
            raise refusal
        if core.sealer.muted:
            raise NodeError(
                f"this device is mute: {core.sealer.muted}",
                reason="mute",
                exit_code=ExitCode.REFUSED,
                hint="`tally doctor` explains the ways out",
            )
        if self._me(now) is None:
            raise NodeError(
                "this device is not known to the ledger yet",
                reason="not-a-member",
                exit_code=ExitCode.REFUSED,
                hint="start `tally node` so that it can fetch the ledger, then wait to be admitted",
            )

    @staticmethod
    def _annex(draft: Draft) -> bytes | None:
        if not draft.words:
            return None
        try:
            return encode_annex(secrets.token_bytes(SALT_SIZE_BYTES), draft.words)
        except UnicodeEncodeError:
            raise ArgumentError("these words are not UTF-8, so they cannot be written down") from None
        except ValueError as error:
            raise ArgumentError(f"these words cannot be written down: {error}") from None

    def _chain(self, draft: Draft, now: int) -> dict[str, Any]:
        """Where the next entry of this device stands."""
        ledger = self._core.ledger
        seq, prev = ledger.head_of(self._core.device)
        head = ledger.head
        refs = (*draft.body.refs(), *draft.links)
        if seq < 0:
            # The first entry of a device links what has introduced it.
            added = added_by(self.view(now), self._core.device)
            refs = (*refs, added) if added is not None else refs
        return {
            "ledger": ledger.id,
            "seq": seq + 1,
            "prev": prev,
            "links": ledger.links_for(refs, prev, now),
            "seal": (head.height, head.block_id) if head.height else None,
            "time": now,
            "kind": draft.body.KIND,
            "body": draft.body.to_map(),
        }

    def _unsigned(self, draft: Draft, annex: bytes | None, now: int) -> Entry:
        """The entry as it would be, for a trial: its signature is zeros, and it never leaves this method's caller."""
        digest = None if annex is None else hash_of_annex(annex)
        try:
            header = encode_header(device=self._core.device, annex_hash=digest, **self._chain(draft, now))
            return read_entry_untrusted(header, bytes(64), annex)
        except (DecodeError, EntryError) as error:
            raise ArgumentError(f"this cannot be written as an entry: {error}") from error

    def _signed(self, draft: Draft, annex: bytes | None, key: SecretKey, now: int) -> Entry:
        return make_entry(key, annex=annex, **self._chain(draft, now))

    def _try_out(self, entry: Entry, now: int, look: Callable[[State], None] | None = None) -> Result:
        core = self._core
        try:
            body = core.intake.judge(entry)
        except EntryError as error:
            raise RefusedError(error.reason, error.detail) from error
        return core.ledger.try_out(entry, body, now, look)

    def _dry(self, draft: Draft, trial: Entry, view: View, now: int) -> dict[str, Any]:
        from tallystick.node.outlook import Looker, Outlook

        looker = Looker(view, trial, now)
        result = self._try_out(trial, now, looker)
        outlook = looker.outlook if result.reason is None else Outlook()
        # Only the entry that is signed has an id: that of the trial would be looked for in vain.
        unknown = trial.id.hex()
        return {
            "kind": draft.body.KIND,
            "status": "pending" if result.reason is None else "void",
            "reason": result.reason,
            "detail": result.detail or (own_part(view, draft.body, result.reason) if result.reason else ""),
            "postings": [
                {
                    "commodity": row.commodity,
                    "from": row.source.replace(unknown, "new"),
                    "to": row.target.replace(unknown, "new"),
                    "from_name": view.owner_name(row.source),
                    "to_name": view.owner_name(row.target),
                    "amount": row.amount,
                    "rule": row.rule,
                    "formula": row.formula,
                }
                for row in result.postings
            ],
            **self._waits(now),
            **outlook.to_json(),
        }

    def sealing(self, now: int) -> dict[str, Any]:
        """How the next block stands, for `tally seal`; those it waits for by name."""
        return self._core.sealer.report(now) | self._waits(now)

    def status_of(self, entry: Entry, deal: bytes | None = None) -> dict[str, Any]:
        """The answer to a write: what the entry is now."""
        core = self._core
        row = core.archive.sealed_row(entry.id)
        if entry.kind == "accept":
            deal = entry.id
        return {
            "entry": entry.id.hex(),
            "kind": entry.kind,
            "status": "pending" if row is None else "void" if row.reason else "sealed",
            "reason": None if row is None else row.reason or None,
            "deal": None if deal is None else deal.hex(),
            "height": None if row is None else row.height,
            **self._waits(core.now, is_sealed=row is not None),
        }

    def _waits(self, now: int, *, is_sealed: bool = False) -> dict[str, Any]:
        """Whose computers must be heard before anything is sealed, and how many of them at least."""
        core = self._core
        members = [] if is_sealed else core.sealer.waits_for(now)
        sealers = core.ledger.sealers()
        mine = any(row.node_key == core.node_key.public for row in sealers)
        least = quorum(len(sealers)) - mine if members else 0
        return {"waits_for": self._names(members, now), "waits_for_least": least}

    def _ticket(self, entry: Entry, draft: Draft, now: int) -> str:
        from tallystick.node.ticket import Ticket, to_text

        core = self._core
        assert draft.secret is not None
        ledger = core.ledger
        founding = core.intake.find(ledger.id_at(1))
        assert founding is not None
        from tallystick.protocol.charter import from_bytes

        return to_text(
            Ticket(
                ledger=ledger.id,
                invite=entry.id,
                charter=from_bytes(founding.body["charter"]).hash,
                anchor=(ledger.head.height, ledger.head.block_id),
                addresses=ticket_addresses(core),
                secret=draft.secret.seed,
                standing=entry.body["standing"],
                expires=entry.body["expires"],
            )
        )
