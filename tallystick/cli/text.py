"""Texts for a terminal: other people's words made harmless, aligned tables, times as people say them.

Nothing here is coloured or drawn: what a person reads is what a script would read from the pipe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from time import localtime, strftime

SHORT_DIGITS = 8
"""Digits of an id that are shown."""

_JOINERS = frozenset("\u200c\u200d")
"""Invisible, but several scripts and every composed emoji need them; they move no text."""
_MINUTE_MS = 60_000
_HOUR_MS = 3_600_000
_UNITS = (("day", 24 * _HOUR_MS), ("h", _HOUR_MS), ("min", _MINUTE_MS), ("s", 1000))


def clean(text: object) -> str:
    """A text of somebody else on one line: control, bidirectional and invisible characters as escapes."""
    words = str(text)
    if words.isprintable():
        return words
    return "".join(map(_escaped, words))


def clean_lines(text: object) -> list[str]:
    """The same, but line ends are line ends."""
    return [clean(line) for line in str(text).replace("\r\n", "\n").split("\n")]


def _escaped(letter: str) -> str:
    if letter.isprintable() or letter in _JOINERS:
        return letter
    if letter.isspace() and letter in "\u00a0\u2007\u202f\u3000":
        return " "
    if letter in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[letter]
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Columns a text takes in a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    columns = 0
    for letter in text:
        if not combining(letter) and letter not in _JOINERS and letter != "\ufe0f":
            columns += 2 if east_asian_width(letter) in "WF" else 1
    return columns


def short(entry_id: object) -> str:
    """The digits of an id that are shown."""
    return str(entry_id)[:SHORT_DIGITS]


def who(member_id: object, name: object = None) -> str:
    """A member: name and digits, since two people may have one name."""
    return f"{clean(name)} ({short(member_id)})" if name else short(member_id)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = "", gap: int = 2) -> str:
    """Aligned columns under their names; `right` names the columns of numbers, with _ for a blank.

    Empty columns are left out.
    """
    cells = [["" if cell is None else clean(cell) for cell in row] for row in rows]
    keep = [at for at in range(len(head)) if any(row[at] for row in cells)]
    names = [head[at] for at in keep]
    aligned = {name.replace("_", " ") for name in right.split()}
    lines = [names, *([row[at] for at in keep] for row in cells)]
    widths = [max(width(line[at]) for line in lines) for at in range(len(keep))]
    out = []
    for line in lines:
        parts = []
        for at, cell in enumerate(line):
            space = " " * (widths[at] - width(cell))
            parts.append(space + cell if names[at] in aligned else cell + space)
        out.append((" " * gap).join(parts).rstrip())
    return "\n".join(out)


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 partner`, `3 partners`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def span(length_ms: int) -> str:
    """A length of time, in its largest unit: `3 days`, `2 h`, `40 s`."""
    if length_ms > _HOUR_MS:
        # Who has just said "3d" has three days and not two.
        length_ms += _MINUTE_MS
    for name, unit_ms in _UNITS:
        if length_ms >= unit_ms:
            count = length_ms // unit_ms
            return f"{count} days" if name == "day" and count > 1 else f"{count} {name}"
    return "a moment"


def relative(moment_ms: int, now_ms: int) -> str:
    """`in 3 days`, `2 h ago`, `now`."""
    gap_ms = moment_ms - now_ms
    if abs(gap_ms) < 1000:
        return "now"
    return f"in {span(gap_ms)}" if gap_ms > 0 else f"{span(-gap_ms)} ago"


def day(moment_ms: int) -> str:
    """The date on this computer's calendar."""
    return _formatted("%Y-%m-%d", moment_ms)


def stamp(moment_ms: int) -> str:
    """Date and time on this computer's clock."""
    return _formatted("%Y-%m-%d %H:%M", moment_ms)


def _formatted(form: str, moment_ms: int) -> str:
    try:
        return strftime(form, localtime(moment_ms // 1000))
    except (ValueError, OverflowError, OSError):
        # Members may date their entries as they like.
        return f"{moment_ms} ms"


def due(moment_ms: int | None, now_ms: int) -> str:
    """A deadline for people: the date, and how far away it is."""
    return "" if not moment_ms else f"{day(moment_ms)} ({relative(moment_ms, now_ms)})"


def signed(amount: int) -> str:
    """A movement: with its sign, also where it is positive."""
    return f"+{amount}" if amount > 0 else str(amount)
