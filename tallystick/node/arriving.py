"""How a machine of a member arrives, as far as it takes no network: its store, a bundle, a claim.

What is asked of others over the network is in `arriving_net`. Nothing is left behind where it comes to nothing.

Source: docs/spec/membership.md#devices
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tallystick.node import recovering
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import JoinRow
from tallystick.node.desk import Desk
from tallystick.node.enrolment import EnrolmentError
from tallystick.node.errors import ExitCode, HomeError, HomeReason
from tallystick.node.identity import read_identity
from tallystick.node.resolve import beginning, one_device
from tallystick.node.writes_devices import cut_of
from tallystick.protocol.kinds.recover import RecoverRequest

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.core import NodeCore
    from tallystick.node.device_ticket import Place
    from tallystick.node.home import Home
    from tallystick.protocol.entry import Entry


def check_is_new(home: Home, ledger: bytes) -> None:
    """Raises HomeError: EXISTS where the ledger is here, NO_HOME without keys."""
    read_identity(home)
    if ledger in home.ledgers():
        raise HomeError(
            f"this ledger is here already: {ledger.hex()[:8]}", reason=HomeReason.EXISTS, hint="`tally status`"
        )


def begin(home: Home, place: Place, entries: Sequence[Entry] = ()) -> None:
    """Make the store of a ledger that is still to come."""
    store = home.create_store(place.ledger, unfinished=True)
    try:
        archive = Archive(store)
        archive.begin(place.ledger, join=JoinRow(place.charter, place.anchor, list(place.addresses)))
        archive.keep(entries, sync=True)
    finally:
        store.close()
    home.finish_store(place.ledger)


@contextmanager
def unpacked(home: Home, place: Place, source: Mapping[str, Any], now: int) -> Iterator[NodeCore]:
    """Read the ledger out of a full bundle; it goes again where the block of this `with` raises.

    Raises BundleError: bundle-foreign, bundle-incomplete; HomeError, StoreError.
    """
    from tallystick.node.bundle import BundleError, ledger_of, read_bundle
    from tallystick.node.bundle_file import open_bundle, two_core_judge
    from tallystick.node.local import LocalLedger

    with open_bundle(source) as file:
        if ledger_of(file) != place.ledger:
            raise BundleError(
                "the bundle is of another ledger than the ticket",
                reason="bundle-foreign",
                exit_code=ExitCode.UNTRUSTED,
            )
    store = home.create_store(place.ledger, unfinished=True)
    is_kept = False
    try:
        archive = Archive(store)
        archive.begin(place.ledger, join=JoinRow(place.charter, place.anchor, list(place.addresses)))
        core = LocalLedger(home, place.ledger, archive, now).core()
        with open_bundle(source) as file, two_core_judge() as judge:
            read_bundle(core, file, now=now, judge=judge)
        if not core.ledger.head.height or not has_anchor(core, place):
            raise BundleError(
                "the bundle does not hold the whole ledger up to the ticket",
                reason="bundle-incomplete",
                exit_code=ExitCode.UNTRUSTED,
                hint="ask for one made with `tally bundle out FILE --full` after the ticket",
            )
        yield core
        is_kept = True
    finally:
        store.close()
        if is_kept:
            home.finish_store(place.ledger)
        else:
            home.drop_ledger(place.ledger)


def has_anchor(core: NodeCore, place: Place) -> bool:
    return core.archive.block_id(place.anchor[0]) == place.anchor[1]


def check_is_added(core: NodeCore, device: bytes, now: int) -> None:
    """Whether the ledger knows this machine. Raises EnrolmentError not-added."""
    if device not in core.ledger.view(now).devices:
        raise EnrolmentError(
            "the ledger in this bundle does not know this machine yet",
            reason="not-added",
            hint="first `tally device add --reply REPLY` on the other machine, then the bundle",
        )


def claim_here(
    core: NodeCore, recovery: SecretKey, key: SecretKey, node_key: SecretKey, revoke: Sequence[str] | None, now: int
) -> Entry:
    """Claim in a ledger that is here. Raises NodeError."""
    view = Desk(core).view(now)
    member = recovering.member_of(view, recovery.public)
    others = recovering.others_of(view, member)
    named = others if revoke is None else [_named(others, each) for each in revoke]
    cuts = [cut_of(view, device) for device in dict.fromkeys(named)]
    return recovering.claim(core, view, recovery, key, node_key, cuts, now)


def _named(devices: Sequence[bytes], prefix: str) -> bytes:
    known = ", ".join(device.hex()[:8] for device in devices)
    hint = f"there are: {known}, given by at least 6 digits" if known else "you have no other"
    return one_device(beginning(devices, prefix), prefix, hint)


def own_request(archive: Archive) -> Entry | None:
    """The request of this home that waits for its ledger."""
    if archive.head() is not None:
        return None
    _, loose = archive.load(archive.ledger_id())
    return next((entry for entry in loose if entry.kind == RecoverRequest.KIND), None)
