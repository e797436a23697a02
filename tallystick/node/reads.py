"""Every question that can be asked of a ledger, in one table: name, arguments, and the function that answers.

A read changes nothing, and answers with what JSON can say: ids in full as hexadecimal digits, times as milliseconds,
fractions as text, words of others with everything escaped that could deceive the eye.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tallystick.node.read_args import (
    CharterArgs,
    DealsArgs,
    ExplainArgs,
    LogArgs,
    OffersArgs,
    PartnerArgs,
    ReadArgs,
    ShowArgs,
    read_args,
)
from tallystick.node.reads_blocks import blocks
from tallystick.node.reads_deals import deals, offers
from tallystick.node.reads_explain import explain
from tallystick.node.reads_inbox import inbox
from tallystick.node.reads_ledger import charter_show, log, show
from tallystick.node.reads_people import partners, peers
from tallystick.node.reads_points import points
from tallystick.node.reads_status import status
from tallystick.node.reads_votes import proposals

if TYPE_CHECKING:
    from tallystick.node.view import View

A = TypeVar("A", bound=ReadArgs)
Read = Callable[["View", Mapping[str, Any]], Any]


def _read(kind: type[A], function: Callable[[View, A], Any]) -> Read:
    """A read whose arguments are checked first."""
    return lambda view, args: function(view, read_args(kind, args))


READS: Final[Mapping[str, Read]] = {
    "blocks": _read(LogArgs, blocks),
    "charter_show": _read(CharterArgs, charter_show),
    "deals": _read(DealsArgs, deals),
    "explain": _read(ExplainArgs, explain),
    "inbox": _read(ReadArgs, inbox),
    "log": _read(LogArgs, log),
    "offers": _read(OffersArgs, offers),
    "partners": _read(ReadArgs, partners),
    "peers": _read(ReadArgs, peers),
    "points": _read(PartnerArgs, points),
    "proposals": _read(ReadArgs, proposals),
    "show": _read(ShowArgs, show),
    "status": _read(ReadArgs, status),
}
