"""What waits for the person who asks in small deeds, money and duty: the rest of `reads_inbox`.

Source: docs/spec/cli.md#inbox
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tallystick.node.currency import POINT, money_text
from tallystick.node.inbox_item import Item, item
from tallystick.protocol.duty import confirmers, term_at, term_before
from tallystick.protocol.membership import is_active, is_full_partner
from tallystick.protocol.totals import received_name, total

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.records import Member

_WORDS = {
    "subscribe": "says it has paid for shares",
    "donate": "says it has given",
    "income": "says the till took in",
    "expense": "says the till paid out",
    "voucher": "says it has had goods for",
}


def claims_to_attest(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Small deeds of others that I may confirm and have not."""
    if not is_full_partner(member, view.moment):
        return
    for claim_id, claim in list(view.preview.claims.items()):
        if me not in (claim.author, *claim.attested):
            what = f"{claim.count} x {claim.contribution}, {money_text(claim.count * claim.points, POINT)}"
            text = f"{view.called(claim.author)} claims {what}: confirm it if it is so"
            deadline = None if claim.due is None else claim.due[0]
            yield item(view, "attest", claim_id, text, deadline=deadline, partner=claim.author)


def money_to_confirm(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """What others have said about money and I may give a receipt for."""
    if not _may_confirm(view, member):
        return
    for entry_id, row in list(view.preview.money.items()):
        if row.due is not None and me in confirmers(view.preview, view.moment, row.author):
            said = f"{_WORDS.get(row.kind, row.kind)} {money_text(row.amount, row.currency)}"
            what = row.word or view.word(entry_id, "purpose") or ""
            text = f"{view.called(row.author)} {said}{what and f' for {what}'}: confirm it if it is so"
            yield item(view, "receipt", entry_id, text, deadline=row.due[0], partner=row.author)


def corrections_to_confirm(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Corrections that wait for me: as the seller of the deal, a third partner, or somebody who confirms money."""
    for entry_id, row in list(view.preview.corrections.items()):
        what = "confirm"
        if row.units:
            deal = view.deal(row.target)
            if deal is None:
                continue
            if row.confirmed:
                what = "cosign"
                is_mine = is_full_partner(member, view.moment) and me not in (deal.seller, deal.buyer)
            else:
                is_mine = me == deal.seller
            units = f"{row.units} {'unit' if row.units == 1 else 'units'}"
            text = f"{view.called(row.author)} corrects deal {row.target.hex()[:8]}: {units}, {row.grade}%"
        else:
            is_mine = _may_confirm(view, member) and me in confirmers(view.preview, view.moment, row.author)
            stated = view.preview.money.get(row.target)
            # In minor units where what is corrected is gone: its currency went with it.
            amount = str(row.amount) if stated is None else money_text(row.amount, stated.currency)
            text = f"{view.called(row.author)} corrects entry {row.target.hex()[:8]}: the amount is {amount}"
        if is_mine:
            deadline = None if row.due is None else row.due[0]
            yield item(view, what, entry_id, text, deadline=deadline, partner=row.author)


def payments_to_acknowledge(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """Money that others say they have handed me."""
    state = view.preview
    account = f"/paid/{me.hex()}"
    paid = [(path.split("/", 1)[0], amount) for path, amount in state.accounts.items() if path.endswith(account)]
    for currency, amount in paid:
        rest = amount - total(state, received_name(currency, me))
        if rest > 0:
            text = f"the book says you were paid {money_text(rest, currency)}: say so with `tally received {rest}`"
            yield item(view, "received", me, text, deadline=None, partner=None)


def payments_due(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """What the venture owes others and I may say that it has been paid: one item for each currency."""
    if not _may_confirm(view, member):
        return
    state = view.preview
    owed: dict[str, list[int]] = {}
    for path, amount in state.accounts.items():
        currency, _, account = path.partition("/")
        noun, _, owner = account.partition("/")
        if noun == "payable" and amount > 0 and me in confirmers(state, view.moment, bytes.fromhex(owner)):
            owed.setdefault(currency, []).append(amount)
    for currency, amounts in sorted(owed.items()):
        who = "1 partner is" if len(amounts) == 1 else f"{len(amounts)} partners are"
        owed_text = money_text(sum(amounts), currency)
        text = f"{who} owed {owed_text}: `tally settlement` lists it, then `tally paid`"
        yield item(view, "paid", me, text, deadline=None, partner=None)


def reports_due(view: View, me: bytes, member: Member) -> Iterator[Item]:
    """My account of the till for the term before, in a ledger that has one."""
    state = view.preview
    if view.ledger.charter.sale.currency is None and not any(path.endswith("/cash") for path in state.accounts):
        return
    before = term_before(state, view.moment)
    if before is not None and me in before.team and (before.start, me) not in state.reports:
        text = "account for the till of your term of duty, with `tally report`"
        yield item(view, "report", me, text, deadline=term_at(state, view.moment).end, partner=None)


def _may_confirm(view: View, member: Member) -> bool:
    return member.standing == "partner" and is_active(member, view.moment)
