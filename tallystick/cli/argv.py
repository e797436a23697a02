"""The plain form of a reading command, understood without click.

`tally points`, `tally show 7f3a21c0 --json`: click takes longer to import than the answer to come, so these few forms
are read here. Whatever is not wholly understood (help, an unknown option, a missing argument) is left to click, which
has the words for it. Both ways end in `reads.run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.cli.options import SWITCHES, VALUES, Options


class Plain:
    """A reading command that needs nothing more."""

    __slots__ = ("args", "name", "options")

    def __init__(self, name: str, args: dict[str, Any], options: Options) -> None:
        self.name = name
        self.args = args
        self.options = options


#: Command -> the name of its argument, and whether it must be there.
FORMS: dict[str, tuple[str, bool]] = {
    "points": ("partner", False),
    "explain": ("id", True),
    "show": ("id", True),
    "status": ("", False),
    "deals": ("", False),
    "offers": ("", False),
    "partners": ("", False),
    "inbox": ("", False),
    "log": ("", False),
    "blocks": ("", False),
    "peers": ("", False),
    "proposals": ("", False),
}


def read_plain(args: Sequence[str]) -> Plain | None:
    """The command, its arguments and options; None where click must read them."""
    options = Options()
    words: list[str] = []
    rest = iter(args)
    for each in rest:
        name, equals, value = each.partition("=")
        if name in VALUES:
            if not equals:
                value = next(rest, "")
            if not value or value.startswith("-"):
                return None
            setattr(options, VALUES[name], value)
        elif each in SWITCHES:
            setattr(options, SWITCHES[each], True)
        elif each.startswith("-") or not each:
            return None
        else:
            words.append(each)
    if not words or words[0] not in FORMS:
        return None
    argument, needed = FORMS[words[0]]
    if len(words) > (2 if argument else 1) or (needed and len(words) < 2):
        return None
    return Plain(words[0], {argument: words[1]} if len(words) == 2 else {}, options)
