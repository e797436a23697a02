"""Small deeds, money and points, as a person asks for them: claims, rounds, donations, cash, vouchers, payments.

Amounts of money are whole minor units: 1250 of a currency with cents are 12.50.

Source: docs/spec/cli.md#money
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from tallystick.node.resolve import resolve_entry, resolve_member
from tallystick.node.view import View
from tallystick.node.writes_base import Args, ArgumentError, Count, Draft, Ref, Words, Write, words_of
from tallystick.protocol.duty import term_at, term_before
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.paid import Paid, Received
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.report import Report
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.kinds.use_voucher import UseVoucher

Minor = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Currency = Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]


class ClaimArgs(Args, frozen=True, kw_only=True):
    kind: Ref
    count: Count = 1
    note: Words | None = None


class ClaimRefArgs(Args, frozen=True, kw_only=True):
    claim: Ref


class EntryArgs(Args, frozen=True, kw_only=True):
    entry: Ref


class SubscribeArgs(Args, frozen=True, kw_only=True):
    round: Ref
    shares: Count = 1


class DonateArgs(Args, frozen=True, kw_only=True):
    amount: Minor
    purpose: Words | None = None


class CashArgs(Args, frozen=True, kw_only=True):
    type: str
    amount: Minor
    category: Ref
    currency: Currency | None = None
    source: Ref | None = msgspec.field(default=None, name="from")
    note: Words | None = None


class VoucherArgs(Args, frozen=True, kw_only=True):
    amount: Minor
    currency: Currency | None = None
    note: Words | None = None


class TransferArgs(Args, frozen=True, kw_only=True):
    to: Ref
    points: Minor
    note: Words | None = None


class PaidArgs(Args, frozen=True, kw_only=True):
    partner: Ref
    amount: Minor
    currency: Currency | None = None


class ReceivedArgs(Args, frozen=True, kw_only=True):
    amount: Minor
    currency: Currency | None = None


class CorrectArgs(Args, frozen=True, kw_only=True):
    entry: Ref
    units: Count | None = None
    grade: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    amount: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    note: Words | None = None


class ReportArgs(Args, frozen=True, kw_only=True):
    counted: dict[Currency, Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]] = {}
    """Minor units in the till, by currency."""
    before: bool = False
    """For the term before the present one."""
    note: Words | None = None


#: What a receipt can be for.
_RECEIPT_FOR: Final = ("subscribe", "donate", "cash", "use.voucher")


def claim(view: View, args: ClaimArgs) -> Draft:
    known = view.ledger.charter.contributions
    if args.kind not in known:
        there = f"there are: {', '.join(known)}" if known else "this charter pays for no small deeds"
        raise ArgumentError(f"there is no contribution {args.kind!r} in the charter", there)
    return Draft(Claim(contribution=args.kind, count=args.count), words_of(note=args.note))


def attest(view: View, args: ClaimRefArgs) -> Draft:
    return Draft(Attest(claim=resolve_entry(view, args.claim, kinds=("claim",))))


def subscribe(view: View, args: SubscribeArgs) -> Draft:
    known = view.ledger.charter.rounds
    if args.round not in known:
        there = f"there are: {', '.join(known)}" if known else "this charter sells no shares"
        raise ArgumentError(f"there is no round {args.round!r} in the charter", there)
    return Draft(Subscribe(round=args.round, shares=args.shares))


def donate(view: View, args: DonateArgs) -> Draft:
    return Draft(Donate(amount=args.amount), words_of(purpose=args.purpose))


def receipt(view: View, args: EntryArgs) -> Draft:
    return Draft(Receipt(entry=resolve_entry(view, args.entry, kinds=_RECEIPT_FOR)))


def cash(view: View, args: CashArgs) -> Draft:
    if args.type not in ("income", "expense"):
        raise ArgumentError("cash is 'income' or 'expense'")
    source = None if args.source is None else resolve_entry(view, args.source, kinds=("donate",))
    body = Cash(
        type="income" if args.type == "income" else "expense",
        amount=args.amount,
        category=args.category,
        currency=args.currency,
        source=source,
    )
    return Draft(body, words_of(note=args.note))


def use_voucher(view: View, args: VoucherArgs) -> Draft:
    return Draft(UseVoucher(amount=args.amount, currency=args.currency), words_of(note=args.note))


def transfer(view: View, args: TransferArgs) -> Draft:
    return Draft(Transfer(to=resolve_member(view, args.to), points=args.points), words_of(note=args.note))


def paid(view: View, args: PaidArgs) -> Draft:
    return Draft(Paid(partner=resolve_member(view, args.partner), amount=args.amount, currency=args.currency))


def received(view: View, args: ReceivedArgs) -> Draft:
    return Draft(Received(amount=args.amount, currency=args.currency))


def correct(view: View, args: CorrectArgs) -> Draft:
    entry_id = resolve_entry(view, args.entry, kinds=("approve", "accept", "donate", "cash", "use.voucher", "paid"))
    entry = view.entry(entry_id)
    deal = None
    if entry is not None and entry.kind == "accept":
        deal = entry_id
        closed = view.archive.closed_deal(deal) or view.preview.deals.get(deal)
        # What a person calls by the deal's name is the approval of it, if somebody gave one.
        entry_id = closed.approval if closed is not None and closed.approval else entry_id
    elif entry is not None and entry.kind == "approve":
        deal = bytes(entry.body["deal"])
    body = Correct(entry=entry_id, deal=deal, units=args.units, grade=args.grade, amount=args.amount)
    return Draft(body, words_of(note=args.note), deal)


def report(view: View, args: ReportArgs) -> Draft:
    state = view.preview
    term = term_before(state, view.now) if args.before else term_at(state, view.now)
    if term is None:
        raise ArgumentError("there is no term before the present one")
    return Draft(Report(period=term.start, counted=dict(sorted(args.counted.items()))), words_of(note=args.note))


def confirm(view: View, args: EntryArgs) -> Draft:
    return Draft(Confirm(entry=resolve_entry(view, args.entry, kinds=("correct",))))


MONEY: Final[Mapping[str, Write]] = {
    "claim": (ClaimArgs, claim),
    "attest": (ClaimRefArgs, attest),
    "subscribe": (SubscribeArgs, subscribe),
    "donate": (DonateArgs, donate),
    "receipt": (EntryArgs, receipt),
    "cash": (CashArgs, cash),
    "use-voucher": (VoucherArgs, use_voucher),
    "transfer": (TransferArgs, transfer),
    "paid": (PaidArgs, paid),
    "received": (ReceivedArgs, received),
    "confirm": (EntryArgs, confirm),
    "correct": (CorrectArgs, correct),
    "report": (ReportArgs, report),
}
