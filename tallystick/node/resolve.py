"""From what a person types to what is meant: an entry by the first digits of its id, a member by its name as well.

What could mean two things means none: the answer is an error with the candidates, and exit code 3. Nothing here walks
through the ledger: the store is asked for keys that begin with the digits.

Source: docs/spec/cli.md#ids
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final

from tallystick.node import layout
from tallystick.node.errors import ExitCode, HomeReason, NodeError
from tallystick.node.names import folded, like, shown

if TYPE_CHECKING:
    from tallystick.node.view import View

PREFIX_DIGITS_MIN: Final = 6
ID_DIGITS: Final = 64
CANDIDATES_MAX: Final = 5
#: Ids with one beginning of six digits that are looked at. Honest ids share none; made-up ones cost 16 million hashes
#: each, and must not cost us much either.
_LOOKED_AT_MAX: Final = 256

_is_digits: Final = re.compile(r"[0-9a-f]{1,64}").fullmatch
_NOUNS: Final = {
    "accept": "deal",
    "donate": "donation",
    "found": "founding",
    "invite": "invitation",
    "join": "applicant",
    "offer": "offer",
    "propose": "proposal",
    "subscribe": "subscription",
    "correct": "correction",
    "use.voucher": "use of a voucher",
    "cash": "booking",
    "approve": "approval",
    "paid": "payment",
}
#: Where one finds what was not found.
_LISTS: Final = {
    "deal": "`tally deals` lists them",
    "offer": "`tally offers --all` lists them",
    "partner": "`tally partners` lists everybody",
    "proposal": "`tally proposals` lists them",
}


class UnresolvedError(NodeError):
    """What was typed means nothing here, or more than one thing; `candidates` are some of them, as shown."""

    def __init__(self, message: str, *, reason: str, candidates: Iterable[str] = (), hint: str = "") -> None:
        self.candidates = tuple(candidates)[:CANDIDATES_MAX]
        if self.candidates:
            message = f"{message}: {', '.join(self.candidates)}"
        super().__init__(message, reason=reason, hint=hint, exit_code=ExitCode.NOT_FOUND)


def resolve_entry(view: View, text: str, kinds: Collection[str] | None = None) -> bytes:
    """The id of the one entry whose id begins so; with `kinds`, the one among those of these kinds.

    Raises UnresolvedError: not-found, ambiguous.
    """
    digits = _digits(text)
    what = _noun(kinds)
    if digits is None:
        hint = f"an id is given by its first digits, at least {PREFIX_DIGITS_MIN}; {_list_of(what)}"
        raise _not_found(what, text, hint=hint)
    found: list[tuple[bytes, str]] = []
    others: list[str] = []
    for entry_id in islice(_ids(view, digits), _LOOKED_AT_MAX):
        kind = _kind(view, entry_id)
        if kinds is None or kind in kinds:
            found.append((entry_id, kind))
        else:
            others.append(kind)
    if len(found) == 1:
        return found[0][0]
    if found:
        raise _ambiguous(what, text, (f"{entry_id.hex()[:12]} ({kind})" for entry_id, kind in found))
    if others:
        raise _not_found(what, text, hint=f"{digits[:8]} is {_with_article(others[0])}")
    raise _not_found(what, text)


def resolve_offer(view: View, text: str) -> bytes:
    """The id of an offer. Raises UnresolvedError."""
    return resolve_entry(view, text, kinds=("offer",))


def resolve_deal(view: View, text: str) -> bytes:
    """The id of a deal, which is that of its acceptance. Raises UnresolvedError."""
    return resolve_entry(view, text, kinds=("accept",))


def resolve_member(view: View, text: str) -> bytes:
    """The id of a member or an applicant, by name or by the first digits of its id.

    A name that two members have, or that looks like another's, is refused even where it is exactly one of them: the
    person sees no difference. Raises UnresolvedError: not-found, ambiguous.
    """
    members = view.preview.members
    digits = _digits(text)
    by_id = set() if digits is None else {member for member in members if member.hex().startswith(digits)}
    if digits is not None and len(digits) == ID_DIGITS and by_id:
        return by_id.pop()
    # Whoever was refused has no claim on a name: another may come by it, and would be meant.
    everybody = view.names()
    names = {member: name for member, name in everybody.items() if members[member].status != "refused"}
    alike = like(names, text) if text.strip() else []
    meant = [member for member in alike if folded(names[member] or "") == folded(text)]
    found = by_id | set(meant and alike)
    if len(found) == 1:
        return found.pop()
    if found:
        raise _ambiguous(
            "partner", text, (_named(view, member) for member in sorted(found)), "name one by the digits of its id"
        )
    if not alike and text.strip() and (gone := like(everybody, text)):
        hint = "whoever was refused is named by the digits of its id"
        raise _not_found("partner", text, (_named(view, member) for member in gone), hint)
    raise _not_found("partner", text, (_named(view, member) for member in alike))


def one_device(found: Collection[bytes], text: str, hint: str) -> bytes:
    """The one device that was found by what somebody typed. Raises UnresolvedError: not-found, ambiguous."""
    for device in found if len(found) == 1 else ():
        return device
    if found:
        raise _ambiguous("device", text, (device.hex()[:8] for device in sorted(found)), hint)
    raise _not_found("device", text, hint=hint)


def beginning(ids: Iterable[bytes], text: str) -> list[bytes]:
    """Those of some ids that begin as somebody typed: none for fewer digits than an id is given by.

    Fewer may be a name or a label, and what is revoked or approved by mistake is not taken back.
    """
    digits = _digits(text)
    return [] if digits is None else [each for each in ids if each.hex().startswith(digits)]


def _digits(text: str) -> str | None:
    """What was typed, if it can be the beginning of an id."""
    digits = text.strip().lower()
    return digits if len(digits) >= PREFIX_DIGITS_MIN and _is_digits(digits) else None


def _ids(view: View, digits: str) -> Iterator[bytes]:
    """Ids of entries that begin so, in order: those in the store, then pending ones that are in memory only."""
    whole = bytes.fromhex(digits[: len(digits) // 2 * 2])
    stored = set()
    store = view.archive.store
    for key, _ in merge(*(store.iterate(prefix=prefix + whole) for prefix in (layout.ENTRY, layout.SEALED)), key=_id):
        entry_id = key[1:]
        if entry_id.hex().startswith(digits):
            stored.add(entry_id)
            yield entry_id
    yield from sorted(
        entry_id
        for entry_id in view.ledger.pool.entries
        if entry_id not in stored and entry_id.startswith(whole) and entry_id.hex().startswith(digits)
    )


def _id(row: tuple[bytes, bytes]) -> bytes:
    return row[0][1:]


def _kind(view: View, entry_id: bytes) -> str:
    entry = view.entry(entry_id)
    return "" if entry is None else entry.kind


def _noun(kinds: Collection[str] | None) -> str:
    return " or ".join(_NOUNS.get(kind, kind) for kind in sorted(kinds)) if kinds else "entry"


def _with_article(kind: str) -> str:
    noun = _NOUNS.get(kind, kind)
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"


def _named(view: View, member: bytes) -> str:
    return f"{view.called(member)} ({member.hex()[:8]})"


def _ambiguous(what: str, text: str, candidates: Iterable[str], hint: str = "give more digits") -> UnresolvedError:
    return UnresolvedError(
        f"{quoted(text)} can mean more than one {what}", reason=HomeReason.AMBIGUOUS, candidates=candidates, hint=hint
    )


def _not_found(what: str, text: str, candidates: Iterable[str] = (), hint: str = "") -> UnresolvedError:
    candidates = tuple(candidates)
    message = f"no {what} here is {quoted(text)}"
    if candidates:
        message += ", but these look like it"
    return UnresolvedError(message, reason=HomeReason.NOT_FOUND, candidates=candidates, hint=hint or _list_of(what))


def _list_of(what: str) -> str:
    return _LISTS.get(what, "`tally log` lists everything")


def quoted(text: str) -> str:
    """What was typed, as it is shown."""
    return f"'{shown(text[:64])}'"
