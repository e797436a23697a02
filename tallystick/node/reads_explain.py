"""Why: the postings behind a balance, a deal or an entry, each with its rule and arithmetic.

Source: docs/spec/cli.md#explain, docs/spec/charter.md#postings
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tallystick.node.errors import HomeReason
from tallystick.node.reads_explain_votes import votes_on
from tallystick.node.reads_money import STATED, booked
from tallystick.node.resolve import UnresolvedError, quoted, resolve_entry, resolve_member
from tallystick.node.view import MEMBER_NOUNS
from tallystick.node.writes_base import ArgumentError
from tallystick.protocol.act import POINT, Posting
from tallystick.protocol.deal_rules import escrow_of
from tallystick.protocol.pay import account_of

if TYPE_CHECKING:
    from tallystick.node.archive_rows import OutcomeRow
    from tallystick.node.read_args import ExplainArgs
    from tallystick.node.view import View

VOUCHER: Final = "VOUCHER-"

_is_commodity: Final = re.compile(r"POINT|(VOUCHER-)?[A-Z]{3}").fullmatch
_is_posting: Final = re.compile(r"([0-9]{1,15})\.([0-9]{1,9})\.([0-9]{1,9})").fullmatch


class _Cause(NamedTuple):
    """What moved something: an entry or a tick, and where it is sealed."""

    when: int
    entry: bytes
    """The entry; for a tick what it was about."""
    what: str
    """Kind of the entry, or the name of the tick."""
    charter: int | None
    height: int | None
    """None: it is pending."""
    place: int | None


def explain(view: View, args: ExplainArgs) -> list[dict[str, Any]]:
    """`explain{id, commodity?}`: for a member every posting of its account, oldest first; they sum to the balance.

    In money a member has several accounts, and each sums to its own. For a deal those of its escrow, which sum to what
    is still in it; for a proposal or a vote on it, all votes and what they moved; for a donation what it brought and
    what it bought, which sum to what is left of it; for another statement about money all that booked it; for another
    entry all that it moved, as its receivers see it. Only a single entry is explained before it is sealed.

    Raises UnresolvedError, ArgumentError.
    """
    commodity = args.commodity.strip().upper()
    if not _is_commodity(commodity):
        allowed = "POINT, a currency such as CNY, or VOUCHER-CNY"
        raise ArgumentError(f"--commodity {quoted(args.commodity)} is not possible: {allowed}")
    match = _is_posting(args.id.strip())
    if match is not None:
        return [_one(view, *(int(part) for part in match.groups()))]
    member, entry_id = _meant(view, args.id)
    if member is not None:
        return list(_of_accounts(view, member, _accounts(member, commodity), commodity))
    entry = view.entry(entry_id)
    if entry is not None and entry.kind == "accept":
        rows = list(_of_accounts(view, entry_id, frozenset((escrow_of(entry_id),)), commodity))
        if rows:
            return rows
    if entry is not None and entry.kind in STATED and view.archive.sealed_row(entry_id) is not None:
        return list(_of_statement(view, entry_id, entry.kind))
    if entry is not None and entry.kind in ("propose", "vote"):
        return list(_of_proposal(view, entry_id if entry.kind == "propose" else entry.body["proposal"]))
    return list(_of_entry(view, entry_id))


def lines_of(view: View, member: bytes) -> Iterator[dict[str, Any]]:
    """Every sealed movement on any account of a member, oldest first."""
    accounts = frozenset(f"{noun}/{member.hex()}" for noun in MEMBER_NOUNS)
    return _of_accounts(view, member, accounts, None)


def postings_of(view: View, entry_id: bytes) -> list[dict[str, Any]]:
    """What an entry has moved, or would move, as its receivers see it."""
    return list(_of_entry(view, entry_id))


def _meant(view: View, text: str) -> tuple[bytes | None, bytes]:
    """The member, or else the entry, that is meant. A member's id is that of its join."""
    try:
        return resolve_member(view, text), b""
    except UnresolvedError as error:
        if error.reason != HomeReason.NOT_FOUND:
            raise
        refusal = error
    try:
        return None, resolve_entry(view, text)
    except UnresolvedError as error:
        # Candidates that look like the name help more than that no entry begins so.
        if refusal.candidates:
            raise refusal from None
        if error.reason != HomeReason.NOT_FOUND:
            raise
        raise UnresolvedError(
            f"no partner, deal or entry here is {quoted(text)}",
            reason=HomeReason.NOT_FOUND,
            hint="a partner is given by its name, anything else by the first digits of its id: "
            "`tally partners`, `tally deals`, `tally log`",
        ) from None


def _accounts(member: bytes, commodity: str) -> frozenset[str]:
    """The accounts of a member: one of points or goods, several of money, which say what the money was."""
    if commodity == POINT or commodity.startswith(VOUCHER):
        return frozenset((account_of(member),))
    return frozenset(f"{noun}/{member.hex()}" for noun in MEMBER_NOUNS if noun != "partner")


def _of_accounts(view: View, owner: bytes, accounts: frozenset[str], commodity: str | None) -> Iterator[dict[str, Any]]:
    """Movements on these accounts; of one commodity, or of all."""
    for height, row in view.archive.outcomes_of(owner):
        cause = _cause(height, row)
        for number, posting in enumerate(row.postings):
            if commodity in (None, posting.commodity):
                sides = (posting.source, posting.target)
                yield from (_line(view, cause, number, posting, side) for side in sides if side in accounts)


def _of_entry(view: View, entry_id: bytes) -> Iterator[dict[str, Any]]:
    sealed = view.archive.sealed_row(entry_id)
    if sealed is not None:
        row = view.archive.outcome(sealed.height, sealed.place)
        if row is not None:
            cause = _cause(sealed.height, row)
            for number, posting in enumerate(row.postings):
                yield _line(view, cause, number, posting, posting.target)
        return
    pending = view.ledger.pool.entries.get(entry_id)
    state = view.preview
    result = view.ledger.preview.result(entry_id)
    if pending is not None and result is not None:
        version = state.charter_row.version if state.charters else None
        cause = _Cause(result.at, entry_id, pending.entry.kind, version, None, None)
        for number, posting in enumerate(result.postings):
            yield _line(view, cause, number, posting, posting.target)


def _of_statement(view: View, entry_id: bytes, kind: str) -> Iterator[dict[str, Any]]:
    """All that booked a statement about money. A donation is seen from the till: what came in less what went out."""
    for height, row in booked(view, entry_id):
        cause = _cause(height, row)
        for number, posting in enumerate(row.postings):
            yield _line(view, cause, number, posting, "cash" if kind == "donate" else posting.target)


def _of_proposal(view: View, proposal_id: bytes) -> Iterator[dict[str, Any]]:
    """The votes on a proposal, then what it moved when it had passed, which may be some blocks later."""
    yield from votes_on(view, proposal_id)
    for height, row in view.archive.outcomes():
        if row.cause == proposal_id:
            cause = _cause(height, row)
            for number, posting in enumerate(row.postings):
                yield _line(view, cause, number, posting, posting.target)


def _one(view: View, height: int, place: int, number: int) -> dict[str, Any]:
    row = view.archive.outcome(height, place) if height < 2**63 and place < 2**32 else None
    postings = () if row is None else row.postings
    if row is None or number >= len(postings):
        raise UnresolvedError(f"there is no posting {height}.{place}.{number}", reason=HomeReason.NOT_FOUND)
    return _line(view, _cause(height, row), number, postings[number], postings[number].target)


def _cause(height: int, row: OutcomeRow) -> _Cause:
    return _Cause(row.at, row.cause, row.what, row.charter_version, height, row.place)


def _line(view: View, cause: _Cause, number: int, posting: Posting, account: str) -> dict[str, Any]:
    is_target = account == posting.target
    counter = posting.source if is_target else posting.target
    return {
        "when": cause.when,
        "amount": posting.amount if is_target else -posting.amount,
        "commodity": posting.commodity,
        "account": account,
        "counter_account": counter,
        "entry": cause.entry.hex(),
        "rule": posting.rule,
        "charter": cause.charter,
        "formula": posting.formula,
        "block": cause.height,
        # Beyond what programs were promised.
        "what": cause.what,
        "counter_name": view.owner_name(counter),
        "posting": None if cause.height is None else f"{cause.height}.{cause.place}.{number}",
        "about": _about(view, cause.entry),
    }


def _about(view: View, cause: bytes) -> dict[str, Any] | None:
    """The deal behind a posting: who sold what to whom."""
    deal_id = _deal_of(view, cause)
    deal = None if deal_id is None else view.deal(deal_id)
    if deal_id is None or deal is None:
        return None
    corrected = view.preview.corrected.get(deal_id)
    return {
        "deal": deal_id.hex(),
        "step": deal.step or None,
        "seller": deal.seller.hex(),
        "seller_name": view.name(deal.seller),
        "buyer": deal.buyer.hex(),
        "buyer_name": view.name(deal.buyer),
        # What was set aside stays so while somebody may object to the decision, or a panel judges it.
        "status": deal.status,
        "open": deal_id in view.preview.deals,
        # What the seller has from it since both sides corrected it: that moves between the two, and not in its escrow.
        "corrected": None if corrected is None else corrected.paid,
    }


def _deal_of(view: View, cause: bytes) -> bytes | None:
    """The deal that an entry or tick was about. A tick's cause is the deal itself."""
    if view.deal(cause) is not None:
        return cause
    entry = view.entry(cause)
    ref = None if entry is None else entry.body.get("deal")
    return ref if isinstance(ref, bytes) else None
