"""Answers from a few rows of the store, for the two commands that people type most: `points` and `status`.

Where nothing is pending and nothing is due, the sealed rows are the whole answer: neither the charter has to be
compiled nor the kinds of entries loaded, which would take most of the time of such a command. For `points` it is also
enough that what is pending was looked at before (`foresight`). Whoever asks gets None where that is not so, and goes
the long way (`reads`). Both ways give the same answer; a test holds them together.

Rows are read here as the plain arrays they are stored as, in the order of the fields in `records`.

Source: docs/spec/cli.md#start-up
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack

from tallystick.node import layout
from tallystick.node.foresight import Foreseen, foreseen
from tallystick.node.names import shown, stored_name
from tallystick.node.status_words import RULES_KNOWN, away_words, fork_words, standing_words
from tallystick.protocol.quorum import quorum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tallystick.node.store import Store

_read: Final = msgpack.unpackb
_POINT: Final = "acct/POINT/"
#: Place of `sold` in a course.
_SOLD: Final = 3


def glance(store: Store, op: str, args: Mapping[str, Any], now: int, device: bytes) -> dict[str, Any] | None:
    """The answer to `points{}` or `status{}` without a node, or None where it takes more than sealed rows."""
    if args or op not in ("points", "status") or store.get(layout.FORMAT_KEY) != bytes([layout.FORMAT]):
        return None
    ledger, head = store.get(layout.LEDGER_KEY), store.get(layout.HEAD_KEY)
    if ledger is None or head is None:
        return None
    special = (
        layout.SEALING + b"fork",
        layout.SEALING + b"refounded",
        layout.STATE + b"refounded",
        layout.STATE + b"amendment",
    )
    if op == "status" and (store.is_restored or any(store.get(key) is not None for key in special)):
        return None
    # Who has to agree still that somebody seals, how one that rests comes back, and what is left to do after a sale,
    # the rules say.
    if op == "status" and (
        any(row[3] in ("requested", "benched") for _, row in _rows(store, "sealer/")) or _is_sold(store)
    ):
        return None
    is_more = next(iter(store.iterate(prefix=layout.ENTRY)), None) is not None or any(
        int(path.split("/")[1]) <= now for path, _ in _rows(store, "due/")
    )
    ahead = foreseen(store, now) if is_more and op == "points" else None
    if is_more and ahead is None:
        return None
    height, block_id, time, state_root, _ = _read(head)
    answer = {"ledger": ledger.hex(), "height": height, "state_root": state_root.hex()}
    if op == "status" and not (_is_usual(store, device) and _row(store, "rules")[0] <= RULES_KNOWN):
        return None
    if op == "points":
        return answer | _points(store, max(now, time), ahead)
    return answer | _status(store, now, device, block_id, time)


def _rows(store: Store, prefix: str) -> Iterator[tuple[str, Any]]:
    """Rows of the sealed state whose path begins so."""
    for key, data in store.iterate(prefix=layout.STATE + prefix.encode()):
        yield key[1:].decode(), _read(data)


def _row(store: Store, path: str) -> Any:
    data = store.get(layout.STATE + path.encode())
    return None if data is None else _read(data)


def _charter(store: Store) -> tuple[int, dict[str, Any]]:
    """Number and document of the charter in force."""
    version, data, _ = _row(store, "charter")
    return version, _read(data)


# -- points ------------------------------------------------------------------------------------------------------------


def _points(store: Store, moment: int, ahead: list[Foreseen] | None) -> dict[str, Any]:
    """`ahead`: what pending entries make of the members; None where nothing is pending."""
    _, charter = _charter(store)
    accounts = {path[len(_POINT) :]: amount for path, (amount,) in _rows(store, _POINT)}
    if ahead is None:
        sealed = sorted((row[4], path[7:], row[0], row[1]) for path, row in _rows(store, "member/"))
        members = [Foreseen(*row, accounts.get(f"partner/{row[1]}", 0)) for row in sealed]
    else:
        members = ahead
    rows = []
    for since, member, standing, status, after in members:
        balance = accounts.get(f"partner/{member}", 0)
        pending = after - balance
        has_account = standing != "observer" and status in ("active", "departed")
        if not (has_account or balance or pending):
            continue
        # The rows of one member: all its pages.
        lots = [lot for _, page in _rows(store, f"lots/{member}") for lot in page] if balance else []
        joined = _row(store, f"member/{member}")[4] if lots and ahead is not None else since
        rows.append(
            {
                "partner": member,
                "name": _name(store, bytes.fromhex(member)),
                "points": balance,
                "vested": sum(_vested(lot, moment, joined) for lot in lots),
                "pending": pending,
            }
        )
    return {
        "unit": charter["points"].get("name", "point"),
        "pool": accounts.get("pool", 0),
        "escrow": sum(amount for account, amount in accounts.items() if account.startswith("escrow/")),
        "issued": accounts.get("issued", 0),
        "redeemed": accounts.get("redeemed", 0),
        "rows": rows,
    }


def _vested(lot: list[Any], moment: int, joined: int) -> int:
    """As `lots.vested`, on a plain array."""
    amount, earned, spent, (cliff, duration, from_lot, *_) = lot
    if duration == 0:
        return int(amount - spent)
    if moment < (earned if from_lot else joined) + cliff:
        return 0
    return int(max(0, amount * max(0, min(moment - earned, duration)) // duration - spent))


# -- status ------------------------------------------------------------------------------------------------------------


def _status(store: Store, now: int, device: bytes, block_id: bytes, time: int) -> dict[str, Any]:
    version, charter = _charter(store)
    me = _me(store, device)
    mine = None if me is None else _row(store, f"member/{me.hex()}")
    refusal = None if store.refusal is None else store.refusal.message
    sealers = [row for _, row in sorted((int(path[7:]), row) for path, row in _rows(store, "sealer/"))]
    sealing = [row for row in sealers if row[3] in ("active", "leaving")]
    my_status = None if mine is None else mine[1] if mine[1] != "active" else mine[0]
    said = (away_words(len(sealing)), fork_words(len(sealing)), standing_words(my_status))
    return {
        "name": shown(charter["name"]),
        "block": block_id.hex(),
        "pending": 0,
        "orphans": 0,
        "sealers": [_sealer(store, row) for row in sealing],
        "quorum": quorum(len(sealing)),
        "waiting_for": [],
        "peers": 0,
        "node_running": False,
        "read_only": refusal is not None,
        "mute": False,
        "read_only_reason": refusal,
        "mute_reason": None,
        "fork": None,
        "left": None,
        "refounded": None,
        "catching_up": None,
        "amendment": None,
        "time": time,
        "charter_version": version,
        "due": False,
        "me": None if me is None else me.hex(),
        "my_name": None if me is None else _name(store, me),
        "my_status": my_status,
        "sealing": None,
        "addresses": [],
        "waits": [each for each in said if each],
        "sold": False,
        "asking": [],
    }


def _is_sold(store: Store) -> bool:
    course = _row(store, "course")
    return course is not None and bool(course[_SOLD])


def _me(store: Store, device: bytes) -> bytes | None:
    row = _row(store, f"device/{device.hex()}")
    return None if row is None else row[0]


def _is_usual(store: Store, device: bytes) -> bool:
    """Whether this device, if the ledger knows it, can sign: otherwise there is more to say of it."""
    row = _row(store, f"device/{device.hex()}")
    return row is None or row[3] == "active"


def _sealer(store: Store, row: list[Any]) -> dict[str, Any]:
    member, device, node_key, status, seen = row
    return {
        "partner": member.hex(),
        "name": _name(store, member),
        "device": device.hex(),
        "node_key": node_key.hex(),
        "status": status,
        "seen": seen,
    }


def _name(store: Store, member: bytes) -> str | None:
    name = stored_name(store, member)
    return None if name is None else shown(name)
