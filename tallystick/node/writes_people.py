"""People and their votes, as a person asks for them: who comes and goes, what is proposed, how somebody votes.

Source: docs/spec/cli.md#governance
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from tallystick.node.founding import CharterInvalidError
from tallystick.node.moments import read_moment
from tallystick.node.resolve import beginning, one_device, resolve_entry, resolve_member
from tallystick.node.view import View
from tallystick.node.writes_base import Args, ArgumentError, Draft, Ref, When, Words, Write, words_of
from tallystick.protocol.charter import CharterError, read_charter, read_toml
from tallystick.protocol.kinds.away import Away, Back
from tallystick.protocol.kinds.erase import Erase
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.propose import FIELDS, Propose
from tallystick.protocol.kinds.refound import Rejoin
from tallystick.protocol.kinds.refuse import Refuse
from tallystick.protocol.kinds.uninvite import Uninvite
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.records_governance import Choice, ProposalType

Minor = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class NoArgs(Args, frozen=True, kw_only=True):
    note: Words | None = None


class AwayArgs(Args, frozen=True, kw_only=True):
    until: When
    note: Words | None = None


class RefuseArgs(Args, frozen=True, kw_only=True):
    partner: Ref
    note: Words | None = None


class UninviteArgs(Args, frozen=True, kw_only=True):
    invite: Ref


class EraseArgs(Args, frozen=True, kw_only=True):
    entry: Ref


class VoteArgs(Args, frozen=True, kw_only=True):
    proposal: Ref
    choice: Choice


class ProposeArgs(Args, frozen=True, kw_only=True):
    type: str
    charter: Annotated[str, msgspec.Meta(max_length=256 * 1024)] | None = None
    """The whole new charter, as TOML."""
    partner: Ref | None = None
    role: Ref | None = None
    take: bool = False
    proceeds: Minor | None = None
    costs: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    amount: Minor | None = None
    deal: Ref | None = None
    entry: Ref | None = None
    device: Ref | None = None
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None
    text: Words | None = None


def away(view: View, args: AwayArgs) -> Draft:
    return Draft(Away(until=read_moment(args.until, view.now, "--until")), words_of(note=args.note))


def back(view: View, args: NoArgs) -> Draft:
    return Draft(Back(), words_of(note=args.note))


def leave(view: View, args: NoArgs) -> Draft:
    return Draft(Leave(), words_of(note=args.note))


def refuse(view: View, args: RefuseArgs) -> Draft:
    return Draft(Refuse(member=resolve_member(view, args.partner)), words_of(note=args.note))


def uninvite(view: View, args: UninviteArgs) -> Draft:
    return Draft(Uninvite(invite=resolve_entry(view, args.invite, kinds=("invite",))))


def erase(view: View, args: EraseArgs) -> Draft:
    return Draft(Erase(entry=resolve_entry(view, args.entry)))


def vote(view: View, args: VoteArgs) -> Draft:
    return Draft(Vote(proposal=resolve_entry(view, args.proposal, kinds=("propose",)), choice=args.choice))


def propose(view: View, args: ProposeArgs) -> Draft:
    if args.type not in FIELDS:
        raise ArgumentError(f"nothing of the type {args.type[:32]!r} can be proposed", f"types: {', '.join(FIELDS)}")
    kind: ProposalType = args.type  # type: ignore[assignment]
    fields: dict[str, Any] = {
        "member": None if args.partner is None else resolve_member(view, args.partner),
        "role": args.role,
        "take": True if args.take else None,
        "proceeds": args.proceeds,
        "costs": args.costs,
        "percent": None if args.percent == 100 else args.percent,
        "amount": args.amount,
        "deal": None if args.deal is None else resolve_entry(view, args.deal, kinds=("accept",)),
        "entry": None if args.entry is None else resolve_entry(view, args.entry),
        "version": args.version,
    }
    if args.charter is not None:
        try:
            charter = read_charter(read_toml(args.charter))
        except CharterError as error:
            raise CharterInvalidError("the proposed charter", error) from error
        fields |= {"charter": charter.bytes, "replaces": view.ledger.charter.hash}
    if args.device is not None:
        fields |= _last_good(view, args.device, args.entry)
    given = {name: value for name, value in fields.items() if value is not None}
    needed, possible = FIELDS[kind]
    if missing := needed - given.keys():
        raise ArgumentError(f"a proposal to {kind} needs {', '.join(sorted(missing)).replace('member', 'a partner')}")
    if extra := given.keys() - needed - possible:
        raise ArgumentError(f"a proposal to {kind} has no {', '.join(sorted(extra)).replace('member', 'partner')}")
    if kind == "text" and not args.text:
        raise ArgumentError("what is proposed? the text is missing")
    return Draft(Propose(type=kind, **given), words_of(text=args.text))


def _last_good(view: View, device: str, entry: str | None) -> dict[str, Any]:
    """The device by the prefix of its key, and its last good entry: the one named, else the newest one sealed."""
    found = beginning([key for key, _ in view.preview.devices.items()], device)
    meant = one_device(found, device, "`tally device list --partner PARTNER` lists somebody's")
    row = view.sealed.devices.get(meant)
    if entry is None:
        if row is None:
            raise ArgumentError("this device has no sealed entry yet")
        return {"device": meant, "entry": row.head, "seq": row.head_seq}
    entry_id = resolve_entry(view, entry)
    good = view.entry(entry_id)
    if good is None or good.device != meant:
        raise ArgumentError("this entry is not one of that device")
    return {"device": meant, "entry": entry_id, "seq": good.seq}


def rejoin(view: View, args: NoArgs) -> Draft:
    """`rejoin{}`: join this ledger, which was founded anew, with everything that one has in it."""
    return Draft(Rejoin(founding=view.ledger.id), words_of(note=args.note))


PEOPLE: Final[Mapping[str, Write]] = {
    "rejoin": (NoArgs, rejoin),
    "away": (AwayArgs, away),
    "back": (NoArgs, back),
    "leave": (NoArgs, leave),
    "refuse": (RefuseArgs, refuse),
    "uninvite": (UninviteArgs, uninvite),
    "erase": (EraseArgs, erase),
    "propose": (ProposeArgs, propose),
    "vote": (VoteArgs, vote),
}
