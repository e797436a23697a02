"""What cannot be taken back, told before it is signed: what somebody keeps and loses who leaves, who gives up a
computer, or who has words deleted.

Source: docs/spec/cli.md#questions
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tallystick.node.currency import money_text
from tallystick.node.names import shown
from tallystick.protocol.act import POINT, Act
from tallystick.protocol.departure import depart
from tallystick.protocol.pay import account_of

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.state import State

_NAMED_MAX: Final = 5
_WORDS_LENGTH: Final = 60
_PAYABLE: Final = "payable/"


def leaving(view: View, state: State, now: int) -> Iterator[str]:
    """What a member keeps and loses that leaves; `state` is that in which it has said so, and stays as it is."""
    me = view.me
    if me is None:
        return
    cancelled = [key for key, deal in state.deals.items() if me in (deal.seller, deal.buyer)]
    offers = sum(1 for row in state.offers.values() if row.author == me and row.copies and not row.withdrawn)
    claims = sum(1 for row in state.claims.values() if row.author == me)
    roles = state.members[me].roles
    mark = state.mark()
    try:
        context = view.ledger.context(now)
        act = Act(state, context, context.time, context.ledger)
        depart(act, me, good=True)
        kept = state.balance(POINT, account_of(me))
        lost = sum(row.amount for row in act.postings if row.rule == "leaver.good")
        going_on = [key for key in cancelled if key in state.deals]
    finally:
        state.rollback(mark)
    yield f"you keep {money_text(kept, POINT)}" + (f"; {money_text(lost, POINT)} go back to the pool" if lost else "")
    yield from _owed(state, me)
    ended = [key for key in cancelled if key not in going_on]
    if ended:
        yield f"{_deals(ended)} without a delivery, and so cancelled"
    if going_on:
        yield f"{_deals(going_on)} with a delivery: that goes on, and silence decides what you do not"
    if offers:
        yield f"{_count(offers, 'offer')} of yours withdrawn"
    if claims:
        yield f"{_count(claims, 'claim')} of yours that nobody has attested, and so lost"
    if roles:
        yield f"you lose your roles: {', '.join(map(shown, roles))}"


def retiring(view: View, state: State) -> Iterator[str]:
    """What is left to a member that gives up this computer."""
    me, device = view.me, view.device
    others = sum(
        1 for key, row in state.devices.items() if row.member == me and key != device and row.status == "active"
    )
    if others:
        yield f"you have {_count(others, 'other computer')} that can sign for you"
    else:
        yield "it is your last computer: nobody can sign for you any more, and what waits for you is decided by silence"
        yield "you come back with your recovery words, or through your partners: `tally recover`"
    sealers = view.ledger.sealers()
    seals = any(row.device == device for row in sealers)
    if seals and len(sealers) == 1:
        yield "no other computer seals this ledger: nothing will ever be sealed any more"
    elif seals:
        yield f"it seals: of {len(sealers)} computers that do, {len(sealers) - 1} are left"


def erasing(view: View, entry_id: bytes) -> Iterator[str]:
    """What is deleted."""
    words = view.words(entry_id)
    if not words:
        yield "there are no words here that would be deleted"
        return
    for name, text in words.items():
        if isinstance(text, str):
            short = text if len(text) <= _WORDS_LENGTH else text[: _WORDS_LENGTH - 1] + "…"
            yield f"deleted on every computer, for good: {shown(name)} '{shown(short)}'"
        elif name == "files":
            yield "the evidence that was delivered with it is deleted too"


def _owed(state: State, me: bytes) -> Iterator[str]:
    """Money that the venture owes to the member. It stays owed."""
    end = f"/{_PAYABLE}{me.hex()}"
    for account, amount in sorted(state.accounts.rows.items()):
        if account.endswith(end) and amount > 0:
            currency = account.removesuffix(end)
            yield f"{money_text(amount, currency)} stay owed to you; `tally received` still works"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _deals(ids: list[bytes]) -> str:
    names = ", ".join(key.hex()[:8] for key in sorted(ids)[:_NAMED_MAX])
    more = f" and {len(ids) - _NAMED_MAX} more" if len(ids) > _NAMED_MAX else ""
    return f"{_count(len(ids), 'deal')} ({names}{more})"
