"""A ledger that a command opens by itself, because no node is running.

It is the node's core without a network: the same rules, the same store, the same desk. Where this device's vote alone
is a quorum, what was signed is sealed before the command returns.

Source: docs/spec/cli.md#without-a-node
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tallystick.node.archive import Archive
from tallystick.node.foresight import foresee

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.core import NodeCore
    from tallystick.node.desk import Desk
    from tallystick.node.home import Home
    from tallystick.node.view import View


class LocalLedger:
    """One opened ledger."""

    def __init__(self, home: Home, ledger_id: bytes, archive: Archive, now: int) -> None:
        self._home = home
        self._ledger_id = ledger_id
        self.archive = archive
        self._now = now
        self._core: NodeCore | None = None

    def core(self) -> NodeCore:
        """The core of a node without peers, made when it is first needed: reads are quicker without."""
        if self._core is None:
            from tallystick.node.core import NodeCore
            from tallystick.node.fork_report import write_report
            from tallystick.node.identity import read_identity, read_node_secret

            ledger, loose = self.archive.load(self._ledger_id)
            self._core = NodeCore(
                archive=self.archive,
                ledger=ledger,
                node_key=read_node_secret(self._home),
                device=read_identity(self._home).device,
                times=self._home.read_config().sealing,
                now=self._now,
                loose=loose,
            )
            self._core.sync.addresses = self._last_addresses()
            core = self._core
            core.on_alarm = lambda: write_report(self._home, core)
            write_report(self._home, core)
        return self._core

    def do(self, op: str, args: Mapping[str, Any], key: SecretKey | None, now: int) -> Any:
        """Carry out an operation, as `Desk.do`."""
        from tallystick.node.reads import READS

        if op in READS:
            view = self._view(now)
            answer = READS[op](view, dict(args))
            if op == "points":
                foresee(self.archive.store, view.ledger, now)
            return answer
        from tallystick.node.desk import Desk

        core = self.core()
        desk = Desk(core)
        if op == "seal":
            return self._seal(desk, now)
        if op == "refound":
            from tallystick.node.refounding import refound

            return refound(self._home, core, args, key, now)
        if op in ("bundle_in", "bundle_out"):
            return self._bundle(op, args, key, now)
        if op == "evidence_add":
            return self._evidence_add(desk.view(now), str(args["deal"]), str(args["path"]))
        if op == "member_ticket":
            from tallystick.node.recovering import member_ticket_json

            return member_ticket_json(core, desk.view(now), str(args["partner"]))
        if op == "device_ticket":
            return self._device_ticket(key, now)
        answer = desk.do(op, args, key, now)
        if args.get("dry_run"):
            # Not what waits either: by a clock that is wrong it would get a wrong date for ever.
            return answer
        self.settle(now)
        if len(core.ledger.pool):
            foresee(self.archive.store, core.ledger, now)
        if isinstance(answer, dict) and answer.get("entry"):
            entry = core.intake.find(bytes.fromhex(answer["entry"]))
            if entry is not None:
                deal = answer.get("deal")
                answer |= desk.status_of(entry, None if deal is None else bytes.fromhex(deal))
        return answer

    def settle(self, now: int, *, at_once: bool = False, met: bool = False) -> None:
        """Let a sole sealer seal what waits; one of several says what it has to say, if a bundle has been read."""
        core = self.core()
        core.sealer.alone(now, at_once=at_once, met=met)

    def _bundle(self, op: str, args: Mapping[str, Any], key: SecretKey | None, now: int) -> Any:
        from tallystick.node.bundle import contents_of, read_bundle
        from tallystick.node.bundle_file import open_bundle, two_core_judge, write_bundle_file

        core = self.core()
        if op == "bundle_out":
            return write_bundle_file(contents_of(core), args, now, key)
        before = core.ledger.head.height
        with open_bundle(args) as file, two_core_judge() as judge:
            taken = read_bundle(core, file, now=now, judge=judge)
        self.settle(now, met=True)
        from tallystick.node.carrying import next_words
        from tallystick.node.desk import Desk

        height = core.ledger.head.height
        said = next_words(core, Desk(core).view(now), height - before - taken.blocks)
        return taken.to_json() | {"height": height, "next": said}

    @staticmethod
    def _evidence_add(view: View, deal: str, path: str) -> dict[str, Any]:
        from pathlib import Path

        from tallystick.node.reads_evidence import evidence_of, keep_file, named_files

        deal_id, row, named = named_files(view, deal)
        keep_file(view, view.archive.blobs.take(Path(path), {each.digest for each in named}), deal_id, named)
        return evidence_of(view, deal_id, row)

    def _device_ticket(self, key: SecretKey | None, now: int) -> dict[str, Any]:
        """A ticket that no machine can use by itself: what it says is carried to the new one and back."""
        from tallystick.node.enrolment import issue, text_of
        from tallystick.node.identity import KeyLockedError

        if key is None:
            raise KeyLockedError("the signing key is locked", reason="key-locked", hint="`tally unlock`")
        return text_of(issue(self.core(), key, scope="all", label=None, now=now))

    def _seal(self, desk: Desk, now: int) -> dict[str, Any]:
        height = self.core().ledger.head.height
        self.settle(now, at_once=True)
        return desk.sealing(now) | {"sealed": self.core().ledger.head.height - height}

    def _view(self, now: int) -> View:
        from tallystick.node.identity import read_identity
        from tallystick.node.view import View

        device = read_identity(self._home).device
        if self._core is not None:
            ledger = self._core.ledger
        else:
            ledger, _ = self.archive.load(self._ledger_id, check_root=False)
        me = None
        if ledger.head.height or ledger.id in ledger.pool:
            row = ledger.state.devices.get(device) if ledger.head.height else None
            if row is None:
                row = ledger.view(now).devices.get(device)
            me = None if row is None else row.member
        return View(ledger=ledger, archive=self.archive, now=now, me=me, device=device, node=None)

    def _last_addresses(self) -> list[str]:
        """Where this node listened last: an invitation made while it rests should still lead to it."""
        from tallystick.node.identity import read_node_secret

        return self.archive.addresses_of(read_node_secret(self._home).public)


@contextmanager
def open_local(home: Home, prefix: str | None, *, now: int, wait_s: float = 0.0) -> Iterator[LocalLedger]:
    """Open a ledger of a home alone. Raises HomeError (NOT_FOUND, AMBIGUOUS, IN_USE), StoreError."""
    ledger_id = home.choose_ledger(prefix or home.read_config().ledger)
    store = home.open_store(ledger_id, wait_s=wait_s)
    try:
        archive = Archive(store, home.open_blobs(ledger_id))
        archive.ledger_id()
        yield LocalLedger(home, ledger_id, archive, now)
    finally:
        store.close()
