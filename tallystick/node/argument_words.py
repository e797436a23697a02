"""What is wrong with the arguments of an operation, in words: the library that checks them speaks of types and paths.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

import re
from typing import Final

_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_TYPES: Final = {
    "int": "a whole number",
    "str": "a text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table of names and values",
    "float": "a number",
    "null": "nothing",
}


def plain(message: str) -> str:
    """A message of msgspec as a sentence that names the argument."""
    place = _PLACE.search(message)
    name = place[1].replace("[...]", "") if place is not None else ""
    return _sentence(message if place is None else message[: place.start()], f"'{name}'" if name else "what was given")


def _sentence(said: str, name: str) -> str:
    if found := re.fullmatch(r"Expected `(\w+)` (>=|<=|>|<) (-?\d+)", said):
        kind, sign, bound = found.groups()
        way = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}[sign]
        return f"{name} must be {_TYPES.get(kind, kind)} of {way} {bound}"
    if found := re.fullmatch(r"Expected `(\w+)` of length (>=|<=|==) (\d+)", said):
        kind, sign, bound = found.groups()
        unit = "characters" if kind == "str" else "entries"
        if (sign, bound) == (">=", "1"):
            return f"{name} must not be empty"
        way = {">=": "at least ", "<=": "at most ", "==": ""}[sign]
        return f"{name} must have {way}{bound} {unit}"
    if found := re.fullmatch(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`", said):
        wanted, got = (_TYPES.get(each, each) for each in found.groups())
        return f"{name} must be {wanted}, not {got}"
    if found := re.fullmatch(r"Invalid enum value (.+)", said):
        return f"{name} cannot be {found[1]}"
    if found := re.fullmatch(r"Object contains unknown field `(.*)`", said, re.DOTALL):
        return f"there is no argument '{found[1]}'"
    if found := re.fullmatch(r"Object missing required field `(.*)`", said):
        return f"'{found[1]}' is missing"
    if said.startswith("Expected `str` matching regex"):
        return f"{name} is not of the form that it must have"
    return f"{name} is not possible"
