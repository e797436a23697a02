"""The checks of each ledger of a home: its store, its guard, its newest block, and what became of this device in it.

Source: docs/spec/cli.md#doctor
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.crypto.errors import TallystickError
from tallystick.node.doctor import Finding, failed, stamp
from tallystick.node.errors import HomeError, HomeReason, StoreError
from tallystick.node.status_words import span

if TYPE_CHECKING:
    from tallystick.node.archive import Archive
    from tallystick.node.home import Home
    from tallystick.node.store_leveldb import LevelStore

#: A newest block so far ahead of this clock says that the clock is late.
AHEAD_MS_MAX: Final = 600_000
#: After so long a rest a sole sealer asks for the date before it seals.
RESTED_MS: Final = 30 * 86_400_000

_MUTE_FIX: Final = (
    "meet the others (`tally sync`): what is missing may come back, and the node speaks again by itself; if another "
    "copy of this home runs, stop using this one and add this computer as a device of its own (`tally device add` "
    "there); if none does, `tally seal --unmute`"
)
_DEVICE: Final = {
    "frozen": (
        "this device is frozen: two entries of it with one number are known",
        "somebody restored a backup, or the key runs on two computers: go on with another device of yours",
    ),
    "revoked": ("this device was revoked", "go on with another device of yours"),
    "retired": ("this device was retired", "go on with another device of yours"),
}


def ledger_checks(home: Home, now: int, status: Mapping[str, Any] | None) -> Iterator[tuple[str, Finding]]:
    """(name, finding) of every check of every ledger. Raises HomeError where they cannot be listed."""
    for ledger in home.ledgers():
        short = ledger.hex()[:8]
        try:
            store = home.open_store(ledger)
        except HomeError as error:
            if error.reason == HomeReason.IN_USE and status is not None:
                yield f"store {short}", Finding(True, "held by the running node")
                if status.get("ledger") == ledger.hex():
                    yield from _by_status(short, now, status)
            else:
                yield f"store {short}", failed(error)
            continue
        except StoreError as error:
            yield f"store {short}", failed(error)
            continue
        try:
            yield from _of_store(home, store, short, now)
        finally:
            store.close()


def _by_status(short: str, now: int, status: Mapping[str, Any]) -> Iterator[tuple[str, Finding]]:
    if status.get("read_only"):
        text = str(status.get("read_only_reason") or "nothing can be written")
        yield f"writing {short}", Finding(False, text, "make room on the disk, then start the node again")
    yield f"guard {short}", _guard(str(status.get("mute_reason") or "") if status.get("mute") else None)
    yield f"newest block {short}", _newest(int(status.get("time") or 0), int(status.get("height") or 0), now)


def _of_store(home: Home, store: LevelStore, short: str, now: int) -> Iterator[tuple[str, Finding]]:
    from tallystick.node.archive import Archive

    archive = Archive(store)
    try:
        archive.ledger_id()
        ledger, loose = archive.load(archive.ledger_id())
    except TallystickError as error:
        text = failed(error)
        yield f"store {short}", text._replace(fix=text.fix or "`tally verify` names what is damaged")
        return
    head = ledger.head
    torn = ", after cutting off what a power cut left unfinished" if store.was_torn else ""
    waits = f", {len(loose)} entries wait for others" if loose else ""
    yield f"store {short}", Finding(True, f"opens{torn}: block {head.height}, {len(ledger.pool)} pending{waits}")
    if store.refusal is not None:
        yield f"writing {short}", failed(store.refusal)
    yield f"guard {short}", _guard(_mute_words(archive) if store.is_restored else None)
    yield f"newest block {short}", _newest(head.time, head.height, now)
    yield f"device {short}", _device(home, archive)


def _mute_words(archive: Archive) -> str:
    return archive.mute_reason() or "a backup was put back, or the disk forgot"


def _guard(mute: str | None) -> Finding:
    if mute is None:
        return Finding(True, "the database knows all that this device has signed")
    return Finding(False, f"this device is mute, it neither votes nor signs: {mute}", _MUTE_FIX)


def _newest(time: int, height: int, now: int) -> Finding:
    if not height:
        return Finding(True, "nothing is sealed yet")
    text = f"block {height} of {stamp(time)}"
    if time > now + AHEAD_MS_MAX:
        return Finding(False, f"{text}: {span(time - now)} ahead of this computer's clock", "set the clock")
    if now - time > RESTED_MS:
        return Finding(True, f"{text}, {span(now - time)} ago: who seals alone is asked for the date first")
    return Finding(True, text)


def _device(home: Home, archive: Archive) -> Finding:
    """What the sealed state says of this device."""
    from tallystick.node import layout
    from tallystick.node.identity import read_identity
    from tallystick.protocol.state import State

    try:
        device = read_identity(home).device
    except HomeError as error:
        return failed(error)
    path = f"device/{device.hex()}"
    data = archive.store.get(layout.STATE + path.encode())
    if data is None:
        return Finding(True, "the sealed ledger does not know this device yet")
    state = State()
    state.load([(path, data)])
    row = state.devices[device]
    if row.status in _DEVICE:
        what, fix = _DEVICE[row.status]
        return Finding(False, what, fix)
    return Finding(True, f"this device is member {row.member.hex()[:8]}'s")
