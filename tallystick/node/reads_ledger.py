"""The ledger itself: everything that was signed, one entry with all it says, the blocks, the charter.

Source: docs/spec/cli.md#log, docs/spec/cli.md#show
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from tallystick.node.errors import HomeReason, StoreError
from tallystick.node.names import shown_all
from tallystick.node.proposal_words import changes_json, resolve_charter
from tallystick.node.read_args import ReadArgumentError
from tallystick.node.reads_deals import deal_row, same_but_for_panel
from tallystick.node.reads_explain import postings_of
from tallystick.node.reads_money import money_json
from tallystick.node.resolve import UnresolvedError, resolve_entry
from tallystick.node.whose_turn import Turn, whose_turn
from tallystick.protocol import codec
from tallystick.protocol.charter import from_bytes

if TYPE_CHECKING:
    from tallystick.node.archive_rows import HeightRow
    from tallystick.node.read_args import CharterArgs, LogArgs, ShowArgs
    from tallystick.node.view import View
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.entry import Entry

# -- log ---------------------------------------------------------------------------------------------------------------


def log(view: View, args: LogArgs) -> list[dict[str, Any]]:
    """`log{limit?}`: every entry, sealed ones in their order, then pending ones as the preview orders them."""
    rows = islice(_newest_first(view), args.limit)
    return list(rows)[::-1]


def _newest_first(view: View) -> Iterator[dict[str, Any]]:
    if not view.is_empty:
        _ = view.preview
        results = view.ledger.preview.results()
        listed = {result.entry_id for result in results}
        pool = view.ledger.pool.entries
        # What the preview has not folded (there is none as a rule) still is in the pool.
        yield from (_log_row(view, row.entry) for entry_id, row in sorted(pool.items()) if entry_id not in listed)
        for result in reversed(results):
            yield _log_row(view, pool[result.entry_id].entry)
    for height in range(view.ledger.head.height, 0, -1):
        block = view.archive.block(height)
        if block is None:
            raise StoreError(f"block {height} is missing")
        for entry_id in reversed(block.entry_ids):
            entry = view.archive.entry(entry_id)
            if entry is None:
                raise StoreError(f"entry {entry_id.hex()[:8]} of block {height} is missing")
            yield _log_row(view, entry)


def _log_row(view: View, entry: Entry) -> dict[str, Any]:
    member = author_of(view, entry)
    return {
        "entry": entry.id.hex(),
        "kind": entry.kind,
        "member": None if member is None else member.hex(),
        "name": None if member is None else view.name(member),
        **standing_of(view, entry),
    }


def author_of(view: View, entry: Entry) -> bytes | None:
    """Whose entry it is; None where its device is nobody's, as after a void `join`."""
    device = view.preview.devices.get(entry.device)
    return None if device is None else device.member


def standing_of(view: View, entry: Entry) -> dict[str, Any]:
    """Whether an entry is sealed, and what became of it. A pending one with a reason would be void now."""
    row = view.archive.sealed_row(entry.id)
    if row is not None:
        return {
            "status": "void" if row.reason else "sealed",
            "reason": row.reason or None,
            "detail": row.detail or None,
            "height": row.height,
            "when": row.at,
        }
    _ = view.preview
    result = view.ledger.preview.result(entry.id)
    return {
        "status": "pending",
        "reason": None if result is None or result.reason is None else str(result.reason),
        "detail": None if result is None else result.detail or None,
        "height": None,
        "when": entry.time if result is None else result.at,
    }


# -- show --------------------------------------------------------------------------------------------------------------


def show(view: View, args: ShowArgs) -> dict[str, Any]:
    """`show{id}`: all that an entry says and all that became of it."""
    entry_id = resolve_entry(view, args.id)
    entry = view.entry(entry_id)
    if entry is None:
        raise StoreError(f"entry {entry_id.hex()[:8]} is missing")
    member = author_of(view, entry)
    words = view.words(entry_id)
    answer = {
        "entry": entry.id.hex(),
        "kind": entry.kind,
        "member": None if member is None else member.hex(),
        "name": None if member is None else view.name(member),
        **standing_of(view, entry),
        "ledger": entry.ledger.hex(),
        "device": entry.device.hex(),
        "seq": entry.seq,
        "prev": None if entry.prev is None else entry.prev.hex(),
        "links": [link.hex() for link in entry.links],
        "seal": None if entry.seal is None else {"height": entry.seal[0], "block": entry.seal[1].hex()},
        "time": entry.time,
        "body": shown_all(entry.body),
        "annex": None if entry.annex_hash is None else entry.annex_hash.hex(),
        "words": None if words is None else shown_all(words),
        "words_missing": entry.annex_hash is not None and words is None,
        "signature": entry.signature.hex(),
        "postings": postings_of(view, entry_id),
        "referred_by": sorted(
            row.entry.id.hex() for row in view.ledger.pool.entries.values() if entry_id in row.entry.parents
        ),
        "deal": _deal(view, entry),
        "money": money_json(view, entry_id),
        "proposal": _proposal(view, entry),
    }
    return answer | {"state": state_words(view, entry, answer)} | _turn(view, entry).to_json()


def _turn(view: View, entry: Entry) -> Turn:
    """Whose turn it is in the open deal that an entry made, or is about."""
    ref = entry.id if entry.kind == "accept" else entry.body.get("deal")
    deal = view.preview.deals.get(ref) if isinstance(ref, bytes) else None
    return Turn() if deal is None else whose_turn(view, view.preview, deal, view.now)


def _deal(view: View, entry: Entry) -> dict[str, Any] | None:
    """The deal that an entry made, or is about."""
    ref = entry.id if entry.kind == "accept" else entry.body.get("deal")
    deal = view.deal(ref) if isinstance(ref, bytes) else None
    if deal is None or not isinstance(ref, bytes):
        return None
    sealed = view.sealed.deals.get(ref) or view.archive.closed_deal(ref)
    pending = not same_but_for_panel(sealed, deal)
    return deal_row(view, ref, deal, pending=pending, is_open=ref in view.preview.deals)


def _proposal(view: View, entry: Entry) -> dict[str, Any] | None:
    """The proposal that an entry made, or votes on, with every change of the charter that it brings."""
    ref = entry.id if entry.kind == "propose" else entry.body.get("proposal")
    row = view.preview.proposals.get(ref) if isinstance(ref, bytes) else None
    if row is None or not isinstance(ref, bytes):
        return None
    from tallystick.node.reads_votes import proposal_row

    pending = view.sealed.proposals.get(ref) != row
    return proposal_row(view, ref, row, pending=pending) | {"changes": changes_json(view, ref)}


def state_words(view: View, entry: Entry, standing: dict[str, Any]) -> str:
    """How far an entry has come: draft, shared, seen by k of n, sealed in a block, or void there."""
    if standing["status"] == "sealed":
        return f"sealed in #{standing['height']}"
    if standing["status"] == "void":
        return f"void in #{standing['height']}: {standing['reason']}"
    seen = frozenset() if view.node is None else view.node.seen_by.get(entry.id, frozenset())
    sealers = view.ledger.sealers()
    count = sum(1 for row in sealers if row.node_key in seen or row.device in (view.device, entry.device))
    if seen and count:
        return f"seen by {count} of {len(sealers)}"
    if seen or entry.device != view.device:
        return "shared"
    # Without a node nobody here knows whether it was handed on yesterday.
    return "pending" if view.node is None else "draft: on this device only"


# -- charter -----------------------------------------------------------------------------------------------------------


def charter_show(view: View, args: CharterArgs) -> dict[str, Any]:
    """`charter_show{version?, proposal?}`: the rules as a document: in force, an earlier version, or a proposed one."""
    if view.is_empty:
        raise UnresolvedError("the charter is not here yet", reason=HomeReason.NOT_FOUND)
    if args.proposal is not None:
        if args.version is not None:
            raise ReadArgumentError("a version and a proposal are two different charters")
        charter = resolve_charter(view, args.proposal)
        return {
            "version": None,
            "hash": charter.hash.hex(),
            "since": None,
            "in_force": charter.hash == view.ledger.charter.hash,
            "name": shown_all(charter.name),
            "document": codec.decode(charter.bytes),
        }
    head = view.ledger.head
    charter, version = view.ledger.charter, view.sealed.charter_row.version if head.height else 1
    wanted = version if args.version is None else args.version
    if wanted != version:
        charter = _earlier_charter(view, wanted)
    return {
        "version": wanted,
        "hash": charter.hash.hex(),
        "since": _since(view, wanted),
        "in_force": wanted == version,
        "name": shown_all(charter.name),
        # As it was signed, so that it can be compared and written as TOML again; whoever prints it escapes it.
        "document": codec.decode(charter.bytes),
    }


def _since(view: View, version: int) -> int | None:
    """When a version came into force: the time of the block at whose end it did."""
    if not view.ledger.head.height:
        return None
    if version == 1:
        return view.sealed.founding.time
    return view.archive.block_time(_first_height(view, version) - 1)


def _first_height(view: View, version: int) -> int:
    """The first block that was judged by this version or a later one; one above the newest if there is none yet."""
    low, high = 1, view.ledger.head.height + 1
    while low < high:
        middle = (low + high) // 2
        row = _height_row(view, middle)
        if row.charter_version >= version:
            high = middle
        else:
            low = middle + 1
    return low


def _height_row(view: View, height: int) -> HeightRow:
    row = view.archive.height_row(height)
    if row is None:
        raise StoreError(f"block {height} is missing")
    return row


def charter_at(view: View, height: int) -> Charter:
    """The charter by which a block is judged; above the newest one the one in force."""
    row = view.archive.height_row(height)
    if row is None or row.charter_version == view.sealed.charter_row.version:
        return view.ledger.charter
    return _earlier_charter(view, row.charter_version)


def _earlier_charter(view: View, version: int) -> Charter:
    """A charter that was in force once, from the entry that brought it."""
    founding = view.entry(view.ledger.id_at(1))
    if version == 1 and founding is not None:
        return from_bytes(founding.body["charter"])
    if not 0 < version <= (view.sealed.charter_row.version if view.ledger.head.height else 1):
        raise UnresolvedError(
            f"there is no version {version} of the charter",
            reason=HomeReason.NOT_FOUND,
            hint="`tally charter show` says which one is in force",
        )
    digest = _height_row(view, _first_height(view, version) - 1).charter_digest
    for height in range(_first_height(view, version) - 1, 0, -1):
        block = view.archive.block(height)
        for entry_id in () if block is None else block.entry_ids:
            entry = view.entry(entry_id)
            data = None if entry is None or entry.kind != "propose" else entry.body.get("charter")
            if isinstance(data, bytes):
                charter = from_bytes(data)
                if charter.hash == digest:
                    return charter
    raise UnresolvedError(f"version {version} of the charter is not in any entry here", reason=HomeReason.NOT_FOUND)
