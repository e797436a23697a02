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
    CharterCheckArgs,
    CharterTextArgs,
    DealsArgs,
    EvidenceArgs,
    ExplainArgs,
    LogArgs,
    MarketArgs,
    OffersArgs,
    PartnerArgs,
    ProveArgs,
    ReadArgs,
    SettlementArgs,
    ShowArgs,
    StatementArgs,
    read_args,
)
from tallystick.node.reads_audit import audit
from tallystick.node.reads_blocks import blocks
from tallystick.node.reads_charter import charter_check, charter_diff, charter_simulate
from tallystick.node.reads_deals import deals, offers
from tallystick.node.reads_devices import devices, recoveries
from tallystick.node.reads_evidence import evidence
from tallystick.node.reads_explain import explain
from tallystick.node.reads_fork import fork
from tallystick.node.reads_inbox import inbox
from tallystick.node.reads_journal import journal
from tallystick.node.reads_ledger import charter_show, log, show
from tallystick.node.reads_market import market
from tallystick.node.reads_people import partners, peers
from tallystick.node.reads_points import points
from tallystick.node.reads_settlement import settlement
from tallystick.node.reads_statement import statement
from tallystick.node.reads_status import status
from tallystick.node.reads_votes import proposals

if TYPE_CHECKING:
    from tallystick.node.view import View

A = TypeVar("A", bound=ReadArgs)


def prove(view: View, args: ProveArgs) -> dict[str, Any]:
    """`prove_points{partner}`: see `proof`, which few need."""
    from tallystick.node.proof import prove_points

    return prove_points(view, args.partner)


#: What an export is made from.
EXPORTED: Final = ("points", "partners", "deals", "proposals", "journal", "blocks", "log", "charter_show")


def export(view: View, args: ReadArgs) -> dict[str, Any]:
    """`export{}`: several answers of one moment, by their names."""
    return {name: READS[name](view, {}) for name in EXPORTED}


Read = Callable[["View", Mapping[str, Any]], Any]


def _read(kind: type[A], function: Callable[[View, A], Any]) -> Read:
    """A read whose arguments are checked first."""
    return lambda view, args: function(view, read_args(kind, args))


_TABLE: Final[Mapping[str, tuple[type[ReadArgs], Callable[[View, Any], Any]]]] = {
    "audit": (ReadArgs, audit),
    "blocks": (LogArgs, blocks),
    "charter_check": (CharterCheckArgs, charter_check),
    "charter_diff": (CharterTextArgs, charter_diff),
    "charter_show": (CharterArgs, charter_show),
    "charter_simulate": (CharterTextArgs, charter_simulate),
    "deals": (DealsArgs, deals),
    "devices": (PartnerArgs, devices),
    "evidence": (EvidenceArgs, evidence),
    "explain": (ExplainArgs, explain),
    "export": (ReadArgs, export),
    "fork": (ReadArgs, fork),
    "inbox": (ReadArgs, inbox),
    "journal": (ReadArgs, journal),
    "log": (LogArgs, log),
    "market": (MarketArgs, market),
    "offers": (OffersArgs, offers),
    "partners": (ReadArgs, partners),
    "peers": (ReadArgs, peers),
    "points": (PartnerArgs, points),
    "prove_points": (ProveArgs, prove),
    "proposals": (ReadArgs, proposals),
    "recoveries": (ReadArgs, recoveries),
    "settlement": (SettlementArgs, settlement),
    "show": (ShowArgs, show),
    "statement": (StatementArgs, statement),
    "status": (ReadArgs, status),
}

#: Reads whose question is longer than an address may be: they are asked with POST.
POSTED: Final = frozenset(("charter_check", "charter_diff", "charter_simulate"))
#: Name -> what it takes.
READ_ARGS: Final[Mapping[str, type[ReadArgs]]] = {name: kind for name, (kind, _) in _TABLE.items()}
#: Name -> the function that checks the arguments and answers.
READS: Final[Mapping[str, Read]] = {name: _read(kind, function) for name, (kind, function) in _TABLE.items()}
