"""Display names: how words of others are shown, and when a name that somebody types means one member.

Names are words in an annex, so nothing keeps two members from having the same one, or one that looks the same. Where a
person *types* a name, it must therefore be one that nobody else's looks like; where a name is *shown*, what could
deceive the eye is written as an escape.

Source: docs/spec/membership.md#names
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from tallystick.node import layout

if TYPE_CHECKING:
    from tallystick.node.store import Store

#: Format characters that words of Persian and Indian languages, and composed emoji, are written with.
_JOINERS: Final = "\u200c\u200d"
#: Controls, formats (bidirectional ones among them), halves of pairs, and separators of lines and paragraphs.
_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
#: Letters and marks that show as nothing at all: fillers, and the joiner of graphemes.
_BLANK: Final = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"

# Letters that most fonts draw alike, folded to the Latin one. The table of the Unicode consortium has thousands; these
# are the alphabets in which a whole name can be spelled. Capitals first: some are drawn unlike their small letters.
_CAPITALS: Final = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧАВЕЗКМНОРСТУХЅІЈӀԚԜҺ", "ABEZHIKMNOPTYXABE3KMHOPCTYXSIJIQWH")
_SMALL: Final = str.maketrans(
    "авезкмнорстухѕіјӏԛԝһԁьгпи" + "αβγεηικνορτυχωσ" + "օոսցհզ" + "ıɑɡɩłøđħŧ" + "0135i|!",
    "abe3kmhopctyxslllqwhdbrnu" + "abyenlkvoptuxwo" + "onughq" + "lagllodht" + "ol3slll",
)
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))


def shown(text: str) -> str:
    """Words of somebody as they are shown: nothing in them can move the cursor, hide, or turn what stands beside."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    if letter in _JOINERS or not is_hidden(letter):
        return letter
    code = ord(letter)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in _HIDDEN or letter in _BLANK


def shown_all(value: Any) -> Any:
    """A value of an annex with every text in it as it is shown, and bytes as hexadecimal digits."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [shown_all(each) for each in value]
    if isinstance(value, dict):
        return {shown(str(key)): shown_all(each) for key, each in value.items()}
    return value


def folded(name: str) -> str:
    """What a person means who types a name: width, case and blanks do not matter."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


@lru_cache(maxsize=4096)
def skeleton(name: str) -> str:
    """What an eye sees of a name: names with the same skeleton look alike."""
    flat = unicodedata.normalize("NFKD", name)
    drawn = "".join(filter(_is_drawn, flat)).translate(_CAPITALS).casefold().translate(_SMALL)
    for pair, one in _PAIRS:
        drawn = drawn.replace(pair, one)
    # A name of nothing but signs is compared as it is.
    return drawn or folded(name)


def _is_drawn(letter: str) -> bool:
    """Whether it tells names apart: no blanks, hyphens and stops, no accents, nothing that is not seen."""
    if letter in "|!":
        return True
    kind = unicodedata.category(letter)[0]
    # Vowel signs of Indian scripts are marks that stand for themselves; accents combine.
    is_letter = kind in "LN" or (kind == "M" and not unicodedata.combining(letter))
    return is_letter and letter not in _BLANK and not _is_variation(letter)


def _is_variation(letter: str) -> bool:
    return "\ufe00" <= letter <= "\ufe0f" or "\u180b" <= letter <= "\u180d" or "\U000e0100" <= letter <= "\U000e01ef"


def words_in(annex: bytes | None) -> dict[str, Any] | None:
    """The words of an annex that was checked when it came in, without its salt; None where it is not here."""
    if annex is None:
        return None
    # Not the strict reader of `entry`: what shows one name imports as little as it can.
    import msgpack

    words = msgpack.unpackb(annex)
    words.pop("salt", None)
    return words  # type: ignore[no-any-return]


def name_in(words: Mapping[str, Any] | None) -> str | None:
    """The display name among the words of a `found` or `join`; None where there is none any more."""
    name = None if words is None else words.get("name")
    return name if isinstance(name, str) and name.strip() else None


def stored_name(store: Store, member: bytes) -> str | None:
    """The name that a member gave itself, as it was typed: look with `shown`."""
    return name_in(words_in(store.get(layout.ANNEX + member)))


def like(names: Mapping[bytes, str | None], name: str) -> list[bytes]:
    """Members whose names look like this one, in the order of their ids."""
    wanted = skeleton(name)
    return sorted(member for member, other in names.items() if other is not None and skeleton(other) == wanted)
