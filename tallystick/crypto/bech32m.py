"""Bytes as a text that survives being typed, spoken, mailed and scanned: bech32m without its limit of 90 characters.

    text = prefix + "1" + data, 5 bits a character + 6 characters of checksum

The checksum finds every damage of up to 4 characters in a short text and all but one in a thousand million beyond. One
wrong character is also located, to say where to look; it is never corrected, since a guess could be wrong.

Source: BIP-350, and BIP-173 for the shape and the alphabet.
"""

import re
from typing import Final

from tallystick.crypto.errors import TextError, TextReason

ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
"""No 1, b, i and o: they look like other characters."""
TEXT_LENGTH_MAX: Final = 65_536
"""Far more than a ticket needs; a bound on what a careless paste can cost."""

_CHECKSUM_LENGTH: Final = 6
_CONSTANT: Final = 0x2BC830A3
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}
_LOCATE_LENGTH_MAX: Final = 1023
"""The checksum repeats after so many characters: beyond, a place would not be unique."""
_QUOTING: Final = re.compile(r"^(?:[ \t]*[>|])+", re.MULTILINE)
_PREFIX_FORBIDDEN: Final = frozenset(">|")


def _step(state: int) -> int:
    """One multiplication by x in the code's field."""
    top = state >> 25
    state = (state & 0x1FFFFFF) << 5
    for bit, term in enumerate(_GENERATOR):
        if top >> bit & 1:
            state ^= term
    return state


def _remainder(prefix: str, values: list[int]) -> int:
    """The checksum's state after the prefix and the values; `_CONSTANT` when nothing is damaged."""
    state = 1
    for value in (*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *values):
        state = _step(state) ^ value
    return state


def _regroup(values: list[int] | bytes, size: int, size_new: int) -> tuple[list[int], int, int]:
    """Cut a row of numbers of `size` bits into numbers of `size_new`; also what is left over, and its bits."""
    made, buffer, bits = [], 0, 0
    for value in values:
        buffer = buffer << size | value
        bits += size
        while bits >= size_new:
            bits -= size_new
            made.append(buffer >> bits)
            buffer &= (1 << bits) - 1
    return made, buffer, bits


def encode(hrp: str, data: bytes) -> str:
    """Return the text of some bytes under a prefix (`hrp`, the human-readable part), all in lower case.

    A prefix is printable ASCII without capitals, blanks, `>` and `|` (mail quoting); any other is a ValueError.
    """
    if not hrp or any(not 33 <= ord(c) <= 126 or c.isupper() or c in _PREFIX_FORBIDDEN for c in hrp):
        raise ValueError("a prefix is printable ASCII in lower case")
    values, rest, bits = _regroup(data, 8, 5)
    if bits:
        values.append(rest << 5 - bits)
    state = _remainder(hrp, values + [0] * _CHECKSUM_LENGTH) ^ _CONSTANT
    checksum = [state >> 5 * (5 - i) & 31 for i in range(_CHECKSUM_LENGTH)]
    return hrp + "1" + "".join(ALPHABET[value] for value in values + checksum)


def clean(text: str) -> str:
    """Return a text without what mailing and pasting add: blanks, line ends, invisible characters, `>` quoting."""
    unquoted = _QUOTING.sub("", text.replace("\r", "\n"))
    return "".join(c for c in unquoted if not c.isspace() and c not in "\u200b\u200c\u200d\u2060\ufeff\u00ad")


def decode(text: str) -> tuple[str, bytes]:
    """Return the prefix, in lower case, and the bytes of a text; blanks, line ends and mail quoting are forgiven.

    Places in errors count characters from 1, blanks left out.

    Raises TextError: too-long, empty, mixed-case, no-prefix, truncated, character, checksum, padding, tried in that
    order (truncated also in place of checksum, when no row of bytes has such a length).
    """
    if len(text) > 2 * TEXT_LENGTH_MAX:
        raise TextError(TextReason.TOO_LONG, f"it has {len(text)} characters")
    text = clean(text)
    if len(text) > TEXT_LENGTH_MAX:
        raise TextError(TextReason.TOO_LONG, f"it has {len(text)} characters")
    if not text:
        raise TextError(TextReason.EMPTY, "there is no text")
    if text.lower() != text and text.upper() != text:
        raise TextError(TextReason.MIXED_CASE, "it mixes capitals and small letters; it has only one of the two")
    text = text.lower()
    prefix, separator, tail = text.rpartition("1")
    if not separator or not prefix:
        raise TextError(TextReason.NO_PREFIX, "its beginning, a word followed by the digit 1, is missing")
    _check_characters(prefix, tail)
    if len(tail) < _CHECKSUM_LENGTH:
        raise TextError(TextReason.TRUNCATED, "its end is missing")
    values = [_VALUES[c] for c in tail]
    data, rest, bits = _regroup(values[:-_CHECKSUM_LENGTH], 5, 8)
    state = _remainder(prefix, values) ^ _CONSTANT
    if state:
        raise _damage(text, state, len(tail), leftover_bits=bits)
    if bits > 4 or rest:
        raise TextError(TextReason.PADDING, "it was made by a program that fills up its last character wrongly")
    return prefix, bytes(data)


def _check_characters(prefix: str, tail: str) -> None:
    """Raise TextError for a character that no such text has, with its place."""
    for place, character in enumerate(prefix, start=1):
        if not 33 <= ord(character) <= 126:
            raise TextError(TextReason.CHARACTER, f"character {place} of {len(prefix) + 1 + len(tail)} cannot be in it")
    for place, character in enumerate(tail, start=len(prefix) + 2):
        if character not in _VALUES:
            shown = f" ({character})" if character.isascii() and character.isprintable() else ""
            detail = f"character {place} of {len(prefix) + 1 + len(tail)}{shown} is never used in it"
            raise TextError(TextReason.CHARACTER, detail)


def _damage(text: str, state: int, tail_length: int, *, leftover_bits: int) -> TextError:
    """The error for a checksum that does not fit: where the one wrong character is, or what else it can be."""
    if leftover_bits > 4:
        return TextError(TextReason.TRUNCATED, "characters are missing, or there are too many")
    if len(text) <= _LOCATE_LENGTH_MAX:
        for error in range(1, 32):
            shifted = error
            for distance in range(tail_length):
                if shifted == state:
                    place = len(text) - distance
                    return TextError(TextReason.CHECKSUM, f"character {place} of {len(text)} looks mistyped")
                shifted = _step(shifted)
    return TextError(TextReason.CHECKSUM, "some characters are mistyped, or a part is missing")
