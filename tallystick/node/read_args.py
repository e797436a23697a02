"""Arguments of reads: texts and numbers as a person or a program gave them, checked once.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from tallystick.node.argument_words import plain
from tallystick.node.errors import ExitCode, NodeError

A = TypeVar("A", bound="ReadArgs")

Ref = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
CharterText = Annotated[str, msgspec.Meta(max_length=256 * 1024)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class ReadArgumentError(NodeError):
    """A read was asked for with arguments that it cannot have."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="bad-argument", exit_code=ExitCode.USAGE)


class ReadArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all arguments; by itself those of a read that takes none."""


class PartnerArgs(ReadArgs, frozen=True, kw_only=True):
    """Perhaps about one partner only."""

    partner: Ref | None = None


class ProveArgs(ReadArgs, frozen=True, kw_only=True):
    partner: Ref


class ExplainArgs(ReadArgs, frozen=True, kw_only=True):
    id: Ref
    """A member, a deal, an entry, or a posting as `height.place.number`."""
    commodity: Ref = "POINT"
    """For a member: which of its accounts. The amounts add up to its balance."""


class DealsArgs(PartnerArgs, frozen=True, kw_only=True):
    open: bool = False
    """Leave out those that have ended."""


class OffersArgs(PartnerArgs, frozen=True, kw_only=True):
    all: bool = False
    """Also those that can no longer be accepted, as long as the state knows them."""


class EvidenceArgs(ReadArgs, frozen=True, kw_only=True):
    deal: Ref


class LogArgs(ReadArgs, frozen=True, kw_only=True):
    limit: Limit | None = None
    """Only so many, the newest ones."""


class ShowArgs(ReadArgs, frozen=True, kw_only=True):
    id: Ref


class CharterArgs(ReadArgs, frozen=True, kw_only=True):
    version: Limit | None = None
    """Absent: the one in force."""
    proposal: Ref | None = None
    """The charter that this proposal is about."""


class CharterTextArgs(ReadArgs, frozen=True, kw_only=True):
    charter: CharterText | None = None
    """A whole charter, as TOML."""
    proposal: Ref | None = None
    """Or the charter that this proposal is about."""


class CharterCheckArgs(ReadArgs, frozen=True, kw_only=True):
    charter: CharterText
    """A whole charter, as TOML."""
    partners: Annotated[int, msgspec.Meta(ge=1, le=10**6)] | None = None
    """Also say which rules so many partners can never meet."""


class SettlementArgs(ReadArgs, frozen=True, kw_only=True):
    at: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None
    """Proceeds of a sale, in minor units; absent: no sale is asked for."""
    costs: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    percent: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100


class StatementArgs(ReadArgs, frozen=True, kw_only=True):
    partner: Ref
    year: Annotated[int, msgspec.Meta(ge=1970, le=9998)] | None = None
    """Absent: all of it."""


class MarketArgs(ReadArgs, frozen=True, kw_only=True):
    step: Ref | None = None
    """Only this step; `open` for offers that no step describes."""


def read_args(kind: type[A], args: Mapping[str, Any]) -> A:
    """Typed arguments; what is None counts as left out. Raises ReadArgumentError with what is wrong."""
    try:
        return msgspec.convert({name: value for name, value in args.items() if value is not None}, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ReadArgumentError(plain(str(error))) from None
