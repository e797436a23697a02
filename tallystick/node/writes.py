"""What a person can do, turned into the entry that says it: one function an operation, one table.

Nothing is signed here. A draft names the kind, the body and the words; `desk` tries it out, signs and submits it.

Source: docs/spec/cli.md#operations
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec

from tallystick.crypto.keys import SecretKey
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.moments import read_moment
from tallystick.node.resolve import resolve_entry, resolve_member
from tallystick.node.view import View
from tallystick.protocol.deal_rules import terms_of
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver, Evidence
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.sealer import SealerOff, SealerOn
from tallystick.protocol.kinds.withdraw import Withdraw

INVITE_MS: Final = 7 * 86_400_000
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


class OfferArgs(Args, frozen=True, kw_only=True):
    step: Ref | None = None
    units: Count | None = None
    buy: bool = False
    to: Ref | None = None
    deadline: When | None = None
    copies: Count | None = None
    expires: When | None = None
    note: Words | None = None


class OfferRefArgs(Args, frozen=True, kw_only=True):
    offer: Ref
    note: Words | None = None


class EvidenceArgs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    name: Annotated[str, msgspec.Meta(max_length=255)] = ""


class DealArgs(Args, frozen=True, kw_only=True):
    deal: Ref
    note: Words | None = None


class DeliverArgs(DealArgs, frozen=True, kw_only=True):
    units: Count
    evidence: Annotated[tuple[EvidenceArgs, ...], msgspec.Meta(max_length=16)] = ()


class ApproveArgs(DealArgs, frozen=True, kw_only=True):
    units: Count | None = None
    grade: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None


class RejectArgs(Args, frozen=True, kw_only=True):
    deal: Ref
    reason: Words


class ReturnArgs(Args, frozen=True, kw_only=True):
    deal: Ref
    note: Words


def _words(**words: str | None) -> dict[str, Any]:
    return {name: text for name, text in words.items() if text}


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
    return Draft(SealerOn(device=view.device) if args.on else SealerOff())


def offer(view: View, args: OfferArgs) -> Draft:
    charter = view.ledger.charter
    step = charter.steps.get(args.step or "")
    if step is None:
        known = ", ".join(charter.steps) or "none"
        raise ArgumentError(f"there is no step {args.step!r} in the charter", f"steps are: {known}")
    if args.units is None:
        raise ArgumentError("how many units? UNITS is missing")
    body = Offer(
        side="buy" if args.buy else "sell",
        step=step.id,
        units=args.units,
        terms=terms_of(step),
        to=None if args.to is None else resolve_member(view, args.to),
        deadline=None if args.deadline is None else read_moment(args.deadline, view.now, "--deadline"),
        expires=None if args.expires is None else read_moment(args.expires, view.now, "--expires"),
        copies=None if args.copies in (None, 1) else args.copies,
    )
    return Draft(body, _words(note=args.note))


def withdraw(view: View, args: OfferRefArgs) -> Draft:
    return Draft(Withdraw(offer=resolve_entry(view, args.offer, kinds=("offer",))), _words(note=args.note))


def accept(view: View, args: OfferRefArgs) -> Draft:
    return Draft(Accept(offer=resolve_entry(view, args.offer, kinds=("offer",))), _words(note=args.note))


def deliver(view: View, args: DeliverArgs) -> Draft:
    deal = _deal(view, args.deal)
    evidence = tuple(Evidence(bytes.fromhex(row.sha256), row.size) for row in args.evidence)
    words = _words(note=args.note)
    if any(row.name for row in args.evidence):
        words["files"] = [row.name for row in args.evidence]
    return Draft(Deliver(deal=deal, units=args.units, evidence=evidence or None), words, deal)


def return_(view: View, args: ReturnArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Return(deal=deal), _words(note=args.note), deal)


def approve(view: View, args: ApproveArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Approve(deal=deal, units=args.units, grade=args.grade), _words(note=args.note), deal)


def reject(view: View, args: RejectArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Reject(deal=deal), _words(reason=args.reason), deal)


def cancel(view: View, args: DealArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Cancel(deal=deal), _words(note=args.note), deal)


def cosign(view: View, args: DealArgs) -> Draft:
    deal = _deal(view, args.deal)
    return Draft(Cosign(deal=deal), _words(note=args.note), deal)


Write = tuple[type[Args], Callable[[View, Any], Draft]]

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
}


def read_args(kind: type[Args], args: Mapping[str, Any]) -> Args:
    """Typed arguments. Raises ArgumentError with what is wrong."""
    try:
        return msgspec.convert({name: value for name, value in args.items() if value is not None}, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ArgumentError(str(error)) from None
