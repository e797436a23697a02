"""Signature and header of an entry where a store keeps them: alone while it is pending, then in a page of its block."""

from __future__ import annotations

from tallystick.node import layout
from tallystick.node.archive import Archive
from tallystick.node.archive_rows import encode
from tallystick.node.store import Store


def text_ids(store: Store) -> list[bytes]:
    """Ids of all entries in a store, the pending ones last."""
    return [key[1:] for prefix in (layout.SEALED, layout.ENTRY) for key, _ in store.iterate(prefix=prefix)]


def text_of(store: Store, entry_id: bytes) -> bytes:
    wire = Archive(store).wire(entry_id)
    assert wire is not None
    return wire[1] + wire[0]


def put_text(store: Store, entry_id: bytes, text: bytes | None, *, sync: bool = False) -> None:
    """Put other bytes in its place, as somebody would who knows the database; None takes it out."""
    archive = Archive(store)
    row = archive.sealed_row(entry_id)
    if row is None:
        key = layout.ENTRY + entry_id
        store.write([] if text is None else [(key, text)], [key] if text is None else [], sync=sync)
        return
    number, at = divmod(row.place, layout.PAGE_ENTRIES)
    page = list(archive.page(row.height, number))
    page[at : at + 1] = [] if text is None else [text]
    store.write([(layout.page_key(layout.CONTENTS, row.height, number), encode(page))], sync=sync)


def change_text(store: Store, entry_id: bytes, at: int, bit: int) -> None:
    """Change a byte of it."""
    text = bytearray(text_of(store, entry_id))
    text[at % len(text)] ^= 1 << bit
    put_text(store, entry_id, bytes(text))
