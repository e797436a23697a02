"""A store of the first format, from before the first release, brought into the present one when it is opened.

There each entry and each posting had a row of its own, and a pending entry a mark besides. Block after block, each in
one batch that also says how far it has come: whoever is interrupted goes on there.

Source: docs/spec/storage.md#layout
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from tallystick.node import layout
from tallystick.node.archive_pages import contents_rows, outcome_rows, touched
from tallystick.node.archive_rows import OutcomeRow, read_block
from tallystick.node.errors import StoreError, StoreReason
from tallystick.protocol.act import Posting

if TYPE_CHECKING:
    from tallystick.node.store import Store

log = logging.getLogger("tallystick.node")

FIRST_FORMAT: Final = bytes([1])
MARK: Final = b"P"
"""Prefix of the marks of pending entries: entry id, empty."""
DONE_KEY: Final = layout.META + b"upgraded"
"""The height up to which all is in its new place."""


class _FirstOutcome(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an entry or tick moved, under `O`, height and place."""

    at: int
    cause: bytes
    what: str
    charter_version: int
    postings: tuple[Posting, ...]


_read_outcome: Final = msgspec.msgpack.Decoder(_FirstOutcome).decode


def upgrade(store: Store) -> None:
    """Do nothing to a store of another format. Raises StoreError: DAMAGED where something of a block is missing."""
    if store.get(layout.FORMAT_KEY) != FIRST_FORMAT:
        return
    log.info("the store is brought into the present format")
    done = int.from_bytes(store.get(DONE_KEY) or b"", "big")
    for key, data in store.iterate(prefix=layout.BLOCK, start=layout.height_key(layout.BLOCK, done + 1)):
        try:
            _block(store, int.from_bytes(key[1:], "big"), read_block(data).entry_ids)
        except msgspec.MsgspecError as error:
            raise StoreError(f"the store cannot be read: {error}", reason=StoreReason.DAMAGED, key=key) from error
    marks = [key for key, _ in store.iterate(prefix=MARK)]
    store.write([(layout.FORMAT_KEY, bytes([layout.FORMAT]))], [*marks, DONE_KEY], sync=True)


def _block(store: Store, height: int, entry_ids: Sequence[bytes]) -> None:
    texts = []
    for entry_id in entry_ids:
        text = store.get(layout.ENTRY + entry_id)
        if text is None:
            raise StoreError(f"entry {entry_id.hex()[:8]} of block {height} is missing", reason=StoreReason.DAMAGED)
        texts.append(text)
    keys, outcomes = [], []
    for key, data in store.iterate(prefix=layout.height_key(layout.OUTCOME, height)):
        row = _read_outcome(data)
        keys.append(key)
        outcomes.append(
            OutcomeRow(int.from_bytes(key[9:], "big"), row.at, row.cause, row.what, row.charter_version, row.postings)
        )
    index = [
        layout.member_outcome_key(bytes.fromhex(owner), height) + place.to_bytes(4, "big")
        for owner, places in touched(outcomes).items()
        for place in places
    ]
    store.write(
        [(DONE_KEY, height.to_bytes(8, "big")), *contents_rows(height, texts), *outcome_rows(height, outcomes)],
        [*(layout.ENTRY + entry_id for entry_id in entry_ids), *keys, *index],
        sync=False,
    )
