"""Founding a ledger anew: propose it, sign for it, found it, join it. One document goes from hand to hand.

Whoever has it does the next thing that there is to do (`next_step`): the first one proposes and signs, others sign,
the founder founds as soon as enough have signed, and then everybody joins. The new ledger's store is a copy of what is
sealed in the old one; whoever does not have that block fetches the new ledger from the others.

Source: docs/spec/finality.md#the-document
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from tallystick.crypto.keys import SecretKey
from tallystick.node import layout
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import JoinRow
from tallystick.node.desk import Desk
from tallystick.node.errors import ExitCode
from tallystick.node.identity import KeyLockedError
from tallystick.node.lineage import leave
from tallystick.node.names import shown
from tallystick.node.refounding_document import Document, RefoundingError, read_document_untrusted
from tallystick.protocol.entry import NO_LEDGER, Entry, make_entry
from tallystick.protocol.kinds.refound import Before, Refound, Signed
from tallystick.protocol.membership import is_full_partner
from tallystick.protocol.refounding import partners_at, signatures_needed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tallystick.node.core import NodeCore
    from tallystick.node.home import Home
    from tallystick.node.store import Store

Step = Literal["propose", "sign", "found", "join", "wait"]

#: What is sealed and what follows from it. Nothing pending, nothing that was signed while sealing.
_COPIED: Final = (
    layout.SEALED,
    layout.BLOCK,
    layout.CONTENTS,
    layout.HEIGHT,
    layout.STATE,
    layout.CLOSED,
    layout.OUTCOME,
    layout.MEMBER_OUTCOME,
    layout.SEATS,
    layout.ADDRESS,
)
_BATCH: Final = 1000


# -- what comes next ---------------------------------------------------------------------------------------------------


def next_step(core: NodeCore, home: Home, document: Document | None) -> Step:
    """What somebody with this document does next. Raises RefoundingError where there is nothing that can be done."""
    if document is None:
        _member_here(core)
        return "propose"
    if document.founding is not None and document.founding.id in home.ledgers():
        raise RefoundingError(
            "already-here", "this ledger is here already", hint="`tally re-found` without a file joins"
        )
    if document.before.ledger != core.ledger.id:
        raise RefoundingError(
            "other-ledger",
            f"it is about the ledger {document.before.ledger.hex()[:8]}, and not about {core.ledger.id.hex()[:8]}",
            hint="name that one with --ledger",
            exit_code=ExitCode.NOT_FOUND,
        )
    if document.founding is not None:
        return "join"
    _check_block(core, document)
    member = _member_here(core)
    signed = _signed_by(core, document)
    if core.device == document.founder and member in signed:
        return "found" if len(signed) >= signatures_needed(_partners(core)) else "wait"
    return "wait" if member in signed else "sign"


def _check_block(core: NodeCore, document: Document) -> None:
    """Whether the state it is about is that of the newest block here.

    Raises RefoundingError: not-here, other-branch, not-last.
    """
    head, before = core.ledger.head, document.before
    if head.height < before.height:
        raise RefoundingError(
            "not-here", f"block {before.height} is not here yet", hint="`tally sync`, or read in a partner's bundle"
        )
    row = core.archive.height_row(before.height)
    if row is None or (row.block_id, row.state_root) != (document.block, document.state_root):
        raise RefoundingError(
            "other-branch",
            f"it is about another block {before.height} than the one that is here, on a branch that others chose",
            hint="with a bundle of it: `tally re-found FILE --bundle BUNDLE`; what only this branch has would be lost",
        )
    if head.height > before.height:
        raise RefoundingError(
            "not-last",
            f"{head.height - before.height} blocks that are sealed here would be lost",
            hint="sync with whoever wrote it, and let that one make a new document",
        )


def _member_here(core: NodeCore) -> bytes:
    """Who signs with this device, which must be able to. Raises RefoundingError: not-a-partner."""
    ledger = core.ledger
    device = ledger.state.devices.get(core.device) if ledger.head.height else None
    if device is None or device.status != "active" or device.scope != "all" or device.head_seq < 0:
        raise RefoundingError("not-a-partner", "this device cannot sign for that")
    if not is_full_partner(ledger.state.members[device.member], ledger.head.time):
        raise RefoundingError("not-a-partner", "only active partners off probation sign for that")
    return device.member


def _signed_by(core: NodeCore, document: Document) -> list[bytes]:
    """Members whose signatures count, each once."""
    state, time = core.ledger.state, core.ledger.head.time
    found: dict[bytes, None] = {}
    for each in document.signatures:
        device = state.devices.get(each.device)
        if device is None or device.status != "active" or device.scope != "all":
            continue
        if is_full_partner(state.members[device.member], time):
            found[device.member] = None
    return list(found)


def _partners(core: NodeCore) -> int:
    return partners_at(core.ledger.state, core.ledger.head.time)


# -- doing it ----------------------------------------------------------------------------------------------------------


def refound(home: Home, node: NodeCore, args: Mapping[str, Any], key: SecretKey | None, now: int) -> dict[str, Any]:
    """Do what comes next with a document, or (`dry_run`) say what that would be.

    Raises RefoundingError, KeyLockedError, BundleError, HomeError, StoreError.
    """
    text = args.get("document")
    document = None if text is None else read_document_untrusted(text)
    node.now = now
    # What is signed for is what was looked at: the ledger here, or that of a bundle, computed anew.
    core = node if args.get("bundle") is None else _unpacked(node, args, now)
    step = next_step(core, home, document)
    if document is None:
        document = _proposal(core)
    if args.get("dry_run"):
        return _answer(core, step, document)
    if step == "wait":
        return _answer(core, step, document)
    if key is None:
        raise KeyLockedError("the signing key is locked", reason="key-locked", hint="`tally unlock`")
    if key.public != core.device:
        raise KeyLockedError("this is not the key of this device", reason="wrong-key")
    if step in ("propose", "sign"):
        # First the promise, then the signature: what is killed in between has promised too much, never too little.
        leave(node, document.before.height)
        document = document.with_signature(Signed(key.public, key.sign(document.message)))
    enough = len(_signed_by(core, document)) >= signatures_needed(_partners(core)) if step != "join" else False
    if step == "found" or (step == "propose" and enough):
        step = "found"
        document = msgspec.structs.replace(_counted(core, document), addresses=tuple(node.sync.addresses)[:8])
        document = msgspec.structs.replace(document, founding=_founding(core, document, key, now))
    answer = _answer(core, step, document)
    if document.founding is not None:
        leave(node, document.before.height)
        answer["joined"] = _make(home, core, document, document.founding, key, now)
    return answer


def _unpacked(node: NodeCore, args: Mapping[str, Any], now: int) -> NodeCore:
    """The ledger of a bundle in memory: another branch than the one here, each block judged from the founding on."""
    from tallystick.node.bundle import read_bundle
    from tallystick.node.bundle_file import open_bundle, two_core_judge
    from tallystick.node.core import NodeCore
    from tallystick.node.store_memory import MemoryStore

    archive = Archive(MemoryStore())
    archive.begin(node.ledger.id, line=node.ledger.line)
    ledger, _ = archive.load(node.ledger.id)
    # A key that seals nothing anywhere: nothing is signed while looking.
    stranger = SecretKey.from_seed(secrets.token_bytes(32))
    core = NodeCore(archive=archive, ledger=ledger, node_key=stranger, device=node.device, now=now)
    with (
        open_bundle({"path": args["bundle"], "passphrase": args.get("passphrase")}) as file,
        two_core_judge() as judge,
    ):
        read_bundle(core, file, now=now, judge=judge)
    return core


def _proposal(core: NodeCore) -> Document:
    head = core.ledger.head
    return Document(
        name=shown(core.ledger.charter.name),
        line=(*core.ledger.line, Before(core.ledger.id, head.height)),
        block=head.block_id,
        state_root=head.state_root,
        founder=core.device,
    )


def _counted(core: NodeCore, document: Document) -> Document:
    """The document with one signature a partner, the founder's among them: what else it holds founds nothing."""
    state = core.ledger.state
    members = set(_signed_by(core, document))
    rows: dict[bytes, Signed] = {}
    for each in document.signatures:
        device = state.devices.get(each.device)
        if device is None or device.member not in members:
            continue
        if device.member not in rows or each.device == document.founder:
            rows[device.member] = each
    return msgspec.structs.replace(document, signatures=tuple(sorted(rows.values(), key=lambda each: each.device)))


def _founding(core: NodeCore, document: Document, key: SecretKey, now: int) -> Entry:
    device, head = core.ledger.state.devices[core.device], core.ledger.head
    return make_entry(
        key,
        ledger=NO_LEDGER,
        seq=device.head_seq + 1,
        prev=device.head,
        links=(),
        seal=(head.height, head.block_id),
        time=max(now, head.time + 1),
        kind=Refound.KIND,
        body=document.body().to_map(),
    )


def _make(home: Home, core: NodeCore, document: Document, founding: Entry, key: SecretKey, now: int) -> bool:
    """Make the new ledger here. Whoever has the block joins at once; True then. Raises HomeError, StoreError."""
    from tallystick.node.local import LocalLedger

    head = core.ledger.head
    has_block = (head.height, head.block_id, head.state_root) == (
        document.before.height,
        document.block,
        document.state_root,
    )
    store = home.create_store(founding.id, unfinished=True)
    try:
        archive = Archive(store)
        if has_block:
            _copy(core.archive.store, store, core.archive)
            archive.begin(founding.id, line=document.line)
        else:
            # Another branch, or less than that, is here: the others have it.
            anchor = (document.before.height, document.block)
            archive.begin(founding.id, line=document.line, join=JoinRow(b"", anchor, list(document.addresses)))
        archive.keep((founding,), sync=True)
        if document.addresses:
            _learn(archive, document)
        if has_block:
            local = LocalLedger(home, founding.id, archive, now)
            if founding.device != core.device and _is_member(core):
                local.do("rejoin", {}, key, now)
            else:
                local.settle(now, at_once=True)
    finally:
        store.close()
    home.finish_store(founding.id)
    home.follow(core.ledger.id, founding.id)
    return has_block


def _is_member(core: NodeCore) -> bool:
    device = core.ledger.state.devices.get(core.device)
    return device is not None and core.ledger.state.members[device.member].status == "active"


def _learn(archive: Archive, document: Document) -> None:
    """Keep where the founder's node was reached."""
    from tallystick.node.net_address import read_address_untrusted
    from tallystick.node.transport import DialError

    places: dict[bytes, list[str]] = {}
    for text in document.addresses:
        try:
            peer = read_address_untrusted(text).peer
        except DialError:
            continue
        places.setdefault(peer, []).append(text)
    for peer, addresses in places.items():
        archive.keep_addresses(peer, addresses)


def _copy(old: Store, new: Store, archive: Archive) -> None:
    """Everything sealed, with the words; the head comes last, so that half a copy is no ledger."""
    rows: list[tuple[bytes, bytes]] = []

    def put(key: bytes, data: bytes) -> None:
        rows.append((key, data))
        if len(rows) >= _BATCH:
            new.write(rows, sync=False)
            rows.clear()

    for prefix in _COPIED:
        for key, data in old.iterate(prefix=prefix):
            put(key, data)
    for key, data in old.iterate(prefix=layout.ANNEX):
        if old.get(layout.SEALED + key[1:]) is not None:
            put(key, data)
    head = old.get(layout.HEAD_KEY)
    if head is not None:
        put(layout.HEAD_KEY, head)
    new.write(rows, sync=True)


def _answer(core: NodeCore, step: Step, document: Document) -> dict[str, Any]:
    """What was done, or would be: `document` is the text to be passed on."""
    state = core.ledger.state
    view = Desk(core).view(core.now)
    names = [{"partner": each.hex(), "name": view.name(each)} for each in _signed_by(core, document)]
    founder = state.devices.get(document.founder)
    partners = _partners(core)
    return {
        "step": step,
        "ledger": document.before.ledger.hex(),
        "name": document.name,
        "height": document.before.height,
        "block": document.block.hex(),
        "state_root": document.state_root.hex(),
        "founder": None if founder is None else view.name(founder.member),
        "partners": partners,
        "needed": signatures_needed(partners),
        "signed": names,
        "pending": len(core.ledger.pool),
        "new_ledger": None if document.founding is None else document.founding.id.hex(),
        "joined": False,
        "document": document.to_text(),
    }
