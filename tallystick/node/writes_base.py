"""What every operation that writes has: its arguments, and the draft of the entry that comes of it.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import msgspec

from tallystick.crypto.keys import SecretKey
from tallystick.node.argument_words import plain
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.view import View
from tallystick.protocol.kinds.base import Body

WORDS_LENGTH_MAX: Final = 4000

Words = Annotated[str, msgspec.Meta(max_length=WORDS_LENGTH_MAX)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
Ref = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
When = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class ArgumentError(NodeError):
    """An operation was asked for with arguments that it cannot have."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, reason="bad-argument", exit_code=ExitCode.USAGE, hint=hint)


@dataclass(slots=True)
class Draft:
    """An entry before it is signed."""

    body: Body
    words: dict[str, Any] = field(default_factory=dict)
    """What goes into the annex."""
    deal: bytes | None = None
    """The deal it is about; for an acceptance the deal is the entry itself."""
    secret: SecretKey | None = None
    """A one-time secret that comes with it (an invitation's)."""
    links: tuple[bytes, ...] = ()


class Args(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of an operation, as texts that a person typed; `dry_run` signs nothing."""

    dry_run: bool = False


def words_of(**words: str | None) -> dict[str, Any]:
    """The words that were said."""
    return {name: text for name, text in words.items() if text}


Write = tuple[type[Args], Callable[[View, Any], Draft]]


def read_args(kind: type[Args], args: Mapping[str, Any]) -> Args:
    """Typed arguments. Raises ArgumentError with what is wrong."""
    try:
        return msgspec.convert({name: value for name, value in args.items() if value is not None}, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ArgumentError(plain(str(error))) from None
