"""What a block brings into the store in pages: its entries, what they moved, and whom that touched.

Source: docs/spec/storage.md#layout
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tallystick.node import layout
from tallystick.node.archive_rows import OutcomeRow, encode

#: Accounts that belong to a member, or to a deal (`escrow`): what touches them can be found by its id.
_OWNED: Final = frozenset(("partner", "escrow", "capital", "donation", "payable", "paid"))

Row = tuple[bytes, bytes]
"""Key and value."""


def contents_rows(height: int, texts: Sequence[bytes]) -> list[Row]:
    """The entries of a block in their order: signature and header of each, sixteen a page."""
    size = layout.PAGE_ENTRIES
    return [
        (layout.page_key(layout.CONTENTS, height, start // size), encode(texts[start : start + size]))
        for start in range(0, len(texts), size)
    ]


def outcome_rows(height: int, outcomes: Sequence[OutcomeRow]) -> list[Row]:
    """What moved, page by page, and for whoever is touched by it the places where; by place."""
    pages: dict[int, list[OutcomeRow]] = {}
    for row in outcomes:
        pages.setdefault(row.place // layout.PAGE_PLACES, []).append(row)
    rows = [(layout.page_key(layout.OUTCOME, height, page), encode(each)) for page, each in pages.items()]
    rows += [
        (layout.member_outcome_key(bytes.fromhex(owner), height), encode(places))
        for owner, places in touched(outcomes).items()
    ]
    return rows


def touched(outcomes: Sequence[OutcomeRow]) -> dict[str, list[int]]:
    """Member or deal (hex) -> the places where an account of it is touched."""
    places: dict[str, list[int]] = {}
    for row in outcomes:
        place = row.place
        for posting in row.postings:
            for account in (posting[1], posting[2]):
                noun, _, owner = account.rpartition("/")
                if noun in _OWNED:
                    here = places.get(owner)
                    if here is None:
                        places[owner] = [place]
                    elif here[-1] != place:
                        here.append(place)
    return places
