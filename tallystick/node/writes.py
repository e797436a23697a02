"""What a person can do, turned into the entry that says it: one function an operation, one table.

Nothing is signed here. A draft names the kind, the body and the words; `desk` tries it out, signs and submits it.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from tallystick.crypto.keys import SecretKey
from tallystick.node.moments import read_moment
from tallystick.node.resolve import resolve_entry, resolve_member
from tallystick.node.view import View
from tallystick.node.writes_base import Args, ArgumentError, Count, Draft, Ref, When, Words, Write, words_of
from tallystick.node.writes_devices import DEVICES, resolve_device
from tallystick.node.writes_money import MONEY
from tallystick.node.writes_people import PEOPLE
from tallystick.protocol.deal_rules import open_terms, terms_of
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver, Evidence
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.endorse import Endorse
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.sealer import SealerOff, SealerOn
from tallystick.protocol.kinds.verdict import Verdict
from tallystick.protocol.kinds.withdraw import Withdraw
from tallystick.protocol.records_deal import Terms

INVITE_MS: Final = 7 * 86_400_000


class InviteArgs(Args, frozen=True, kw_only=True):
    standing: Literal["partner", "contributor", "observer"] = msgspec.field(default="partner", name="as")
    uses: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    expires: When | None = None


class MemberArgs(Args, frozen=True, kw_only=True):
    partner: Ref


class AdmitArgs(MemberArgs, frozen=True, kw_only=True):
    sealer: bool = False


class SealerArgs(Args, frozen=True, kw_only=True):
    on: bool
    device: Ref | None = None
    """Another device of mine is to seal; absent: this one."""


class OfferArgs(Args, frozen=True, kw_only=True):
    step: Ref | None = None
    units: Count | None = None
    open: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    """Title of an offer that no step describes."""
    points: Annotated[int, msgspec.Meta(ge=0, le=10**12)] | None = None
    payer: Literal["pool", "buyer"] = "pool"
    buy: bool = False
    to: Ref | None = None
    deadline: When | None = None
    copies: Count | None = None
    expires: When | None = None
    note: Words | None = None


class OfferRefArgs(Args, frozen=True, kw_only=True):
    offer: Ref
    note: Words | None = None


class EvidenceFileArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    name: Annotated[str, msgspec.Meta(max_length=255)] = ""


class DealArgs(Args, frozen=True, kw_only=True):
    deal: Ref
    note: Words | None = None


class DeliverArgs(DealArgs, frozen=True, kw_only=True):
    units: Count
    evidence: Annotated[tuple[EvidenceFileArgs, ...], msgspec.Meta(max_length=16)] = ()
    public: bool = False
    """Every member may have the files, not only who has to judge them."""


class ApproveArgs(DealArgs, frozen=True, kw_only=True):
    units: Count | None = None
    grade: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None


class VerdictArgs(DealArgs, frozen=True, kw_only=True):
    grade: Annotated[int, msgspec.Meta(ge=0, le=200)]


class RejectArgs(Args, frozen=True, kw_only=True):
    deal: Ref
    reason: Words


class ReturnArgs(Args, frozen=True, kw_only=True):
    deal: Ref
    note: Words


def _deal(view: View, text: str) -> bytes:
    return resolve_entry(view, text, kinds=("accept",))


def invite(view: View, args: InviteArgs) -> Draft:
    secret = SecretKey.from_seed(secrets.token_bytes(32))
    length = INVITE_MS if args.expires is None else read_moment(args.expires, view.now, "--expires") - view.now
    body = Invite(key=secret.public, standing=args.standing, uses=args.uses, expires=view.now + length)
    return Draft(body, secret=secret)


def admit(view: View, args: AdmitArgs) -> Draft:
    return Draft(Admit(member=resolve_member(view, args.partner), sealer=args.sealer))


def sealer(view: View, args: SealerArgs) -> Draft:
    if not args.on:
        return Draft(SealerOff())
    return Draft(SealerOn(device=view.device if args.device is None else resolve_device(view, args.device)))


def offer(view: View, args: OfferArgs) -> Draft:
    step, units, terms = _open_offer(view, args) if args.open is not None else _step_offer(view, args)
    body = Offer(
        side="buy" if args.buy else "sell",
        step=step,
        units=units,
        terms=terms,
        to=None if args.to is None else resolve_member(view, args.to),
        deadline=None if args.deadline is None else read_moment(args.deadline, view.now, "--deadline"),
        expires=None if args.expires is None else read_moment(args.expires, view.now, "--expires"),
        copies=None if args.copies in (None, 1) else args.copies,
    )
    return Draft(body, words_of(title=args.open, note=args.note))


def _step_offer(view: View, args: OfferArgs) -> tuple[str, int, Terms]:
    charter = view.ledger.charter
    step = charter.steps.get(args.step or "")
    if step is None:
        known = ", ".join(charter.steps) or "none"
        raise ArgumentError(f"there is no step {args.step!r} in the charter", f"steps are: {known}")
    if args.units is None:
        raise ArgumentError("how many units? UNITS is missing")
    if args.points is not None:
        raise ArgumentError("the price of a step is in the charter: --points goes with --open")
    return step.id, args.units, terms_of(step)


def _open_offer(view: View, args: OfferArgs) -> tuple[None, int, Terms]:
    rules = view.ledger.charter.open
    if rules is None:
        raise ArgumentError("this charter has no [open]: every offer names one of its steps")
    if args.points is None or args.step is not None or args.units is not None:
        raise ArgumentError("an open offer has a title and points, no step and no units")
    return None, 1, open_terms(rules, args.points, args.payer)


def withdraw(view: View, args: OfferRefArgs) -> Draft:
    return Draft(Withdraw(offer=resolve_entry(view, args.offer, kinds=("offer",))), words_of(note=args.note))


def accept(view: View, args: OfferRefArgs) -> Draft:
    return Draft(Accept(offer=resolve_entry(view, args.offer, kinds=("offer",))), words_of(note=args.note))


def deliver(view: View, args: DeliverArgs) -> Draft:
    deal = _deal(view, args.deal)
    evidence = tuple(Evidence(bytes.fromhex(row.sha256), row.size) for row in args.evidence)
    words = words_of(note=args.note)
    if any(row.name for row in args.evidence):
        words["files"] = [row.name for row in args.evidence]
    if args.public:
        if not evidence:
            raise ArgumentError("there is no evidence that could be public")
        words["public"] = True
    return Draft(Deliver(deal=deal, units=args.units, evidence=evidence or None), words, deal)


def return_(view: View, args: ReturnArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Return(deal=deal), words_of(note=args.note), deal)


def approve(view: View, args: ApproveArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Approve(deal=deal, units=args.units, grade=args.grade), words_of(note=args.note), deal)


def reject(view: View, args: RejectArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Reject(deal=deal), words_of(reason=args.reason), deal)


def cancel(view: View, args: DealArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Cancel(deal=deal), words_of(note=args.note), deal)


def cosign(view: View, args: DealArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Cosign(deal=deal), words_of(note=args.note), deal)


def endorse(view: View, args: OfferRefArgs) -> Draft:
    return Draft(Endorse(offer=resolve_entry(view, args.offer, kinds=("offer",))), words_of(note=args.note))


def dispute(view: View, args: DealArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Dispute(deal=deal), words_of(note=args.note), deal)


def verdict(view: View, args: VerdictArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Verdict(deal=deal, grade=args.grade), words_of(note=args.note), deal)


WRITES: Final[Mapping[str, Write]] = {
    "invite": (InviteArgs, invite),
    "admit": (AdmitArgs, admit),
    "sealer": (SealerArgs, sealer),
    "offer": (OfferArgs, offer),
    "withdraw": (OfferRefArgs, withdraw),
    "accept": (OfferRefArgs, accept),
    "deliver": (DeliverArgs, deliver),
    "return": (ReturnArgs, return_),
    "approve": (ApproveArgs, approve),
    "reject": (RejectArgs, reject),
    "cancel": (DealArgs, cancel),
    "cosign": (DealArgs, cosign),
    "endorse": (OfferRefArgs, endorse),
    "dispute": (DealArgs, dispute),
    "verdict": (VerdictArgs, verdict),
    **MONEY,
    **PEOPLE,
    **DEVICES,
}
