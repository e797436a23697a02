"""A rehearsal: a made-up history under a charter, judged by the very rules that judge a real ledger.

Nothing is signed and nobody votes on blocks; every event has a block of its own, and so have all ticks of one time. Ids
are hashes of names and numbers, so that draws and ties are the same everywhere:

    member H("rehearse", name)         entry H("rehearse", "#" + number of the event from 1)
    ledger H("rehearse", "ledger")     block of an event H("rehearse", "block#" + its number)

Source: docs/spec/rehearsal.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from tallystick.crypto.hashing import tagged_hash
from tallystick.protocol import records
from tallystick.protocol.act import Act, Context, Sealed
from tallystick.protocol.charter import Charter, from_bytes
from tallystick.protocol.charter_fields import AMOUNT_MAX
from tallystick.protocol.deal_rules import award_shown, open_terms, terms_of
from tallystick.protocol.duty import start_cycle
from tallystick.protocol.entry import VERSION, Entry
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.found import enrol_keys, found_state, grant_start
from tallystick.protocol.kinds.table import read_body
from tallystick.protocol.lots import vested_of
from tallystick.protocol.merkle import StateTree
from tallystick.protocol.records_deal import Deal, Terms
from tallystick.protocol.scenario import Event, Scenario
from tallystick.protocol.state import State
from tallystick.protocol.transition import Fold

T = TypeVar("T")

#: Most characters of the title of an open offer, as on the command line.
TITLE_LENGTH_MAX: Final = 200
#: Where a rehearsal's time 0 lies. In the rules 0 means "never", so nothing may happen at 0 itself.
EPOCH_MS: Final = 1_000_000_000_000
_KINDS: Final[Mapping[str, str]] = {"use-voucher": "use.voucher"}


def rehearse_id(text: str) -> bytes:
    """An id of a rehearsal."""
    return tagged_hash("rehearse", text.encode())


def member_id(name: str) -> bytes:
    """The id of a partner."""
    return rehearse_id(name)


def entry_id(number: int) -> bytes:
    """The id of the entry of an event."""
    return rehearse_id(f"#{number}")


LEDGER_ID: Final = rehearse_id("ledger")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one event."""

    event: Event
    reason: str | None
    """None where it took effect."""
    detail: str = ""


@dataclass(slots=True)
class _History:
    """What is sealed, as the rules ask for it."""

    blocks: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    """(id, time, charter hash) from height 1 on; height 0 is the founding."""
    entries: dict[bytes, Sealed] = field(default_factory=dict)
    deals: dict[bytes, Deal] = field(default_factory=dict)

    def sealed(self, entry: bytes) -> Sealed | None:
        return self.entries.get(entry)

    def block_id(self, height: int) -> bytes | None:
        return self.blocks[height][0] if 0 <= height < len(self.blocks) else None

    def block_time(self, height: int) -> int | None:
        return self.blocks[height][1] if 0 <= height < len(self.blocks) else None

    def charter_digest(self, height: int) -> bytes | None:
        return self.blocks[height][2] if 0 <= height < len(self.blocks) else None

    def added_device(self, entry: bytes) -> bytes | None:
        return None

    def closed_deal(self, deal: bytes) -> Deal | None:
        return self.deals.get(deal)


class Rehearsal:
    """A scenario at work. `play` runs it to its end; then everything can be asked."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.state = State()
        self.history = _History()
        self.outcomes: list[Outcome] = []
        self.postings = 0
        self._time = EPOCH_MS
        self._names = {member_id(name): name for name in scenario.partners}
        self._keys = {event.name: event.number for event in scenario.events if event.name is not None}
        self._joins = sorted(
            (EPOCH_MS + at, scenario.partners.index(name), name) for name, at in scenario.joined.items()
        )
        self._found()

    @property
    def height(self) -> int:
        """Blocks after the founding."""
        return len(self.history.blocks) - 1

    @property
    def time(self) -> int:
        """Milliseconds since the founding."""
        return self._time - EPOCH_MS

    def play(self) -> Rehearsal:
        """Run every event and every tick."""
        for event in self.scenario.events:
            self._run_until(EPOCH_MS + event.at)
            self._play(event)
        if self.scenario.until is not None:
            end = EPOCH_MS + self.scenario.until
            self._run_until(end)
            if self._time < end:
                self._block(end, b"until", None)
        return self

    # -- the founding --------------------------------------------------------------------------------------------------

    def _found(self) -> None:
        scenario = self.scenario
        founder = scenario.partners[0]
        act = Act(self.state, self._context(EPOCH_MS, EPOCH_MS), EPOCH_MS, LEDGER_ID)
        found_state(
            act,
            charter=scenario.charter.bytes,
            founder=member_id(founder),
            device=_key(founder, "device"),
            head=b"",
            node_key=_key(founder, "node"),
            recovery=_key(founder, "recovery"),
        )
        # Its chain is empty here: the founding is no event, and the first one has the number 0.
        device = self.state.devices[_key(founder, "device")]
        self.state.devices.set(_key(founder, "device"), msgspec.structs.replace(device, head_seq=-1, head=b""))
        self._give_roles(founder)
        for name in scenario.partners[1:]:
            if name not in scenario.joined:
                self._join(act, name)
        start_cycle(act, scenario.charter.duty)
        self.postings += len(act.postings)
        self._commit(rehearse_id("block#0"), EPOCH_MS)

    def _join(self, act: Act, name: str) -> None:
        """Somebody is a member from now on, with the start points."""
        scenario, state = self.scenario, self.state
        inviter = scenario.inviter.get(name)
        standing = scenario.standing.get(name, "partner")
        state.members.set(
            member_id(name),
            records.Member(
                standing=standing,  # type: ignore[arg-type]
                status="active",
                recovery=_key(name, "recovery"),
                inviter=None if inviter is None else member_id(inviter),
                since=act.at,
                probation_until=act.at,
            ),
        )
        self._give_roles(name)
        key, node_key = _key(name, "device"), _key(name, "node")
        state.devices.set(key, records.Device(member_id(name), node_key, "all", "active", -1, b"", act.at))
        enrol_keys(act, member_id(name), device=key, node_key=node_key, recovery=_key(name, "recovery"))
        if standing == "partner" and not state.course.met:
            state.courses.set("", msgspec.structs.replace(state.course, met=True))
        if standing != "observer":
            grant_start(act, member_id(name))

    def _give_roles(self, name: str) -> None:
        roles = self.scenario.roles.get(name, ())
        row = self.state.members[member_id(name)]
        self.state.members.set(member_id(name), msgspec.structs.replace(row, roles=tuple(sorted({*row.roles, *roles}))))

    # -- blocks --------------------------------------------------------------------------------------------------------

    def _context(self, time: int, time_prev: int) -> Context:
        row = self.state.charters.get("")
        charter, version = (self.scenario.charter, 1) if row is None else (from_bytes(row.data), row.version)
        return Context(
            ledger=LEDGER_ID,
            height=len(self.history.blocks),
            time=time,
            time_prev=time_prev,
            charter=charter,
            charter_version=version,
            history=self.history,
        )

    def _run_until(self, time: int) -> None:
        """A block for all that is due at one time, as long as that is not after `time`."""
        while True:
            order = self.state.due.order
            due = order[0][0] if order else None
            if self._joins and (due is None or self._joins[0][0] <= due):
                due = self._joins[0][0]
            if due is None or due > time:
                return
            self._block(due, f"tick#{self.height + 1}".encode(), None)

    def _block(self, due: int, name: bytes, event: tuple[Event, Body] | None) -> tuple[Reason | None, str]:
        """One block at `due` or right after the one before; why its event is void, and more about that."""
        previous = self._time
        time = max(due, previous + 1)
        fold = Fold(self.state, self._context(time, previous))
        while self._joins and self._joins[0][0] <= due:
            at, _, who = self._joins.pop(0)
            act = Act(self.state, fold.context, at, member_id(who))
            self._join(act, who)
            self.postings += len(act.postings)
        reason: Reason | None = None
        detail = ""
        if event is not None:
            moment = max(due, previous)
            result = fold.apply(self._entry(event[0], event[1], moment), event[1], moment)
            if result.reason is not None:
                # Who has not come yet has no device, but there are no devices here to speak of.
                reason = result.reason if result.author else Reason.NOT_A_MEMBER
                detail = result.detail
            self.postings += len(result.postings)
        fold.finish()
        self.postings += sum(len(tick.postings) for tick in fold.ticks)
        if event is not None:
            self.history.entries[entry_id(event[0].number)] = Sealed(
                len(self.history.blocks), max(due, previous), _key(event[0].by, "device"), 0, self.height
            )
        self._commit(tagged_hash("rehearse", name), time)
        return reason, detail

    def _commit(self, block_id: bytes, time: int) -> None:
        self.history.deals.update(self.state.closed.rows)
        self.history.blocks.append((block_id, time, self.state.charter_row.digest))
        self.state.commit()
        self._time = time

    def _entry(self, event: Event, body: Body, at: int) -> Entry:
        """An entry that nobody signed: only what the rules look at."""
        key = _key(event.by, "device")
        device = self.state.devices.get(key)
        seq = 0 if device is None else device.head_seq + 1
        prev = None if device is None else device.head or None
        seal = self.height, self.history.blocks[-1][0]
        fields: Sequence[Any] = (VERSION, LEDGER_ID, key, seq, prev, body.refs(), seal, at, body.KIND, {}, None)
        return Entry(entry_id(event.number), b"", b"", None, fields)

    # -- events --------------------------------------------------------------------------------------------------------

    def _play(self, event: Event) -> None:
        due = EPOCH_MS + event.at
        name = f"block#{event.number}".encode()
        try:
            body = self._body(event)
        except EntryError as error:
            self._block(due, name, None)
            self.outcomes.append(Outcome(event=event, reason=str(error.reason), detail=error.detail))
            return
        reason, detail = self._block(due, name, (event, body))
        self.outcomes.append(Outcome(event=event, reason=None if reason is None else str(reason), detail=detail))

    def _body(self, event: Event) -> Body:
        """The body of an event's entry. Raises EntryError(MALFORMED) for what no command line would sign."""
        if event.refused:
            raise EntryError(Reason.MALFORMED, event.refused)
        kind = _KINDS.get(event.do, event.do)
        fields = {key: self._value(key, value) for key, value in event.args.items()}
        draw = _DRAW.get(event.do)
        if draw is not None:
            fields = draw(self, fields, event)
        return read_body(kind, {key: value for key, value in fields.items() if value is not None})

    def _value(self, key: str, value: Any) -> Any:
        if key in ("to", "partner"):
            return member_id(value)
        if key in ("offer", "deal", "claim", "entry", "proposal", "from"):
            return entry_id(self._keys[value])
        if key in ("deadline", "expires", "until"):
            return EPOCH_MS + value
        return value

    @property
    def _charter(self) -> Charter:
        return from_bytes(self.state.charter_row.data)

    def _offer(self, fields: dict[str, Any], event: Event) -> dict[str, Any]:
        fields.setdefault("side", "sell")
        if type(fields.get("copies")) is int and fields["copies"] == 1:
            del fields["copies"]
        terms = self._open_terms(fields) if "open" in fields else self._step_terms(fields)
        return fields | {"terms": list(msgspec.structs.astuple(terms))}

    def _open_terms(self, fields: dict[str, Any]) -> Terms:
        """Terms of an offer that no step describes; takes out of the fields what only they say."""
        rules = self._charter.open
        title, points, payer = fields.pop("open"), fields.pop("points", None), fields.pop("payer", "pool")
        if rules is None:
            raise EntryError(Reason.MALFORMED, "the charter has no [open]: every offer names a step")
        if not isinstance(title, str) or not 1 <= len(title) <= TITLE_LENGTH_MAX:
            raise EntryError(Reason.MALFORMED, "an open offer has a title")
        if type(points) is not int or not 0 <= points <= AMOUNT_MAX or payer not in ("pool", "buyer"):
            raise EntryError(Reason.MALFORMED, "an open offer has points, and the pool or the buyer as its payer")
        if "step" in fields or fields.setdefault("units", 1) != 1:
            raise EntryError(Reason.MALFORMED, "an open offer has no step, and one unit")
        return open_terms(rules, points, payer)

    def _step_terms(self, fields: dict[str, Any]) -> Terms:
        step = _row(self._charter.steps, fields.get("step"), "step")
        if "points" in fields or "payer" in fields:
            raise EntryError(Reason.MALFORMED, "price and payer of a step are in the charter")
        return terms_of(step)

    def _claim(self, fields: dict[str, Any], event: Event) -> dict[str, Any]:
        deed = _row(self._charter.contributions, fields.pop("kind", None), "contribution")
        return {"contribution": deed.id, "count": 1} | fields

    def _subscribe(self, fields: dict[str, Any], event: Event) -> dict[str, Any]:
        _row(self._charter.rounds, fields.get("round"), "round")
        return {"shares": 1} | fields

    def _propose(self, fields: dict[str, Any], event: Event) -> dict[str, Any]:
        partner, charter = fields.pop("partner", None), fields.pop("charter", None)
        if partner is not None:
            fields["member"] = partner
        if charter is not None:
            fields |= {"charter": charter.bytes, "replaces": self.state.charter_row.digest}
        if fields.get("take") is False:
            del fields["take"]
        if fields.get("percent") == 100:
            del fields["percent"]
        return fields

    def _correct(self, fields: dict[str, Any], event: Event) -> dict[str, Any]:
        target = self.scenario.events[self._keys[event.args["entry"]] - 1] if "entry" in event.args else None
        if target is None or target.do not in ("approve", "accept"):
            return fields
        named = target.args.get("deal")
        if target.do == "approve" and named is None:
            raise EntryError(Reason.MALFORMED, "the approval names no deal")
        deal = fields["entry"] if target.do == "accept" else entry_id(self._keys[str(named)])
        closed = self.history.deals.get(deal) or self.state.deals.get(deal)
        if target.do == "accept" and closed is not None and closed.approval:
            fields["entry"] = closed.approval
        return fields | {"deal": deal}

    # -- what came of it -----------------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The result as `tally rehearse --json` prints it."""
        tree = StateTree()
        tree.update(dict(self.state.rows()))
        events = {entry_id(event.number): event.key for event in self.scenario.events}
        accounts: dict[str, dict[str, int]] = {"POINT": {}}
        currency = self._charter.sale.currency
        if currency is not None:
            accounts |= {currency: {}, f"VOUCHER-{currency}": {}}
        for path, amount in sorted(self.state.accounts.items()):
            commodity, _, account = path.partition("/")
            accounts.setdefault(commodity, {})[self._account(account, events)] = amount
        return {
            "time": self.time,
            "height": self.height,
            "state_root": tree.root().hex(),
            # By names: the order of the ids would mean nothing to a reader.
            "accounts": {commodity: dict(sorted(rows.items())) for commodity, rows in accounts.items()},
            "vested": {
                name: vested_of(self.state, member_id(name), self._time) if self._is_in(name) else 0
                for name in self.scenario.partners
            },
            "entries": [
                {
                    "as": outcome.event.name,
                    "do": outcome.event.do,
                    "by": outcome.event.by,
                    "status": "sealed" if outcome.reason is None else "void",
                    "reason": outcome.reason,
                }
                for outcome in self.outcomes
            ],
            "deals": {
                key: _deal_json(deal)
                for deal_id, key in events.items()
                if (deal := self._deal_row(deal_id)) is not None
            },
            "proposals": {
                key: self.state.proposals[proposal].status
                for proposal, key in events.items()
                if proposal in self.state.proposals
            },
            "payable": self._payable(),
            "postings": self.postings,
        }

    def _is_in(self, name: str) -> bool:
        return member_id(name) in self.state.members

    def _account(self, account: str, events: Mapping[bytes, str]) -> str:
        kind, _, rest = account.partition("/")
        if kind == "escrow":
            return f"escrow/{events.get(bytes.fromhex(rest), rest)}"
        if kind in ("partner", "capital", "donation", "payable", "paid"):
            return f"{kind}/{self._names.get(bytes.fromhex(rest), rest)}"
        return account

    def _deal_row(self, deal_id: bytes) -> Deal | None:
        return self.state.deals.get(deal_id) or self.history.deals.get(deal_id)

    def _payable(self) -> dict[str, dict[str, int]]:
        currency = self._charter.sale.currency
        out: dict[str, dict[str, int]] = {}
        if currency is not None:
            out[currency] = {
                name: self.state.balance(currency, f"payable/{member_id(name).hex()}")
                for name in self.scenario.partners
            }
        return out


def _key(name: str, use: str) -> bytes:
    return rehearse_id(f"{use}/{name}")


def _deal_json(deal: Deal) -> dict[str, Any]:
    return {"status": deal.status, "gross": deal.gross, "award": award_shown(deal)}


def _row(table: Mapping[str, T], name: object, noun: str) -> T:
    """A rule of the charter by its id. Raises EntryError: MALFORMED."""
    row = table.get(name) if isinstance(name, str) else None
    if row is None:
        raise EntryError(Reason.MALFORMED, f"there is no {noun} {name!r}")
    return row


_DRAW: Final = {
    "offer": Rehearsal._offer,
    "claim": Rehearsal._claim,
    "subscribe": Rehearsal._subscribe,
    "propose": Rehearsal._propose,
    "correct": Rehearsal._correct,
}
