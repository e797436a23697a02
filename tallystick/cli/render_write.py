"""What a signing command says: what was written and what it is now, or what it would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallystick.cli.errors import explain
from tallystick.cli.render_explain import account_text, shortened
from tallystick.cli.text import clean, due, listed, short
from tallystick.node.currency import money_text

#: What has been done, by kind of entry. Kinds without a line are shown by their name.
DONE: dict[str, str] = {
    "found": "the ledger is founded",
    "refound": "the ledger is founded anew",
    "rejoin": "you are back in the ledger, which was founded anew",
    "invite": "an invitation is written",
    "uninvite": "the invitation is taken back",
    "join": "your request to join is signed",
    "admit": "you vouch for the newcomer",
    "refuse": "the applicant is refused",
    "sealer.on": "you ask to seal with this device",
    "sealer.off": "this device no longer seals",
    "offer": "your offer is written",
    "withdraw": "your offer is withdrawn",
    "endorse": "you endorse the offer",
    "accept": "you accept the offer: the deal begins",
    "deliver": "your delivery is written",
    "return": "the delivery goes back for rework",
    "approve": "you approve the delivery",
    "reject": "you reject the delivery: its price stays set aside while the seller may dispute",
    "cancel": "your wish to cancel is written",
    "cosign": "you cosign the approval",
    "dispute": "you dispute the decision: a panel will judge",
    "verdict": "your verdict is written",
    "correct": "your correction is proposed: the other side must confirm it",
    "confirm": "you confirm the correction",
    "claim": "your claim is written",
    "attest": "you attest the claim",
    "subscribe": "you subscribe: a receipt makes it count",
    "donate": "your donation is written: a receipt makes it count",
    "receipt": "you confirm that the money is there",
    "cash": "the money is booked",
    "report": "the report is written",
    "use.voucher": "the use of the voucher is written: a receipt makes it count",
    "transfer": "the points are transferred",
    "propose": "your proposal is written: the vote begins when it is sealed",
    "vote": "your vote is written",
    "paid": "the payment is written",
    "received": "you confirm that you were paid",
    "leave": "you leave the ledger at the end of the block that seals this",
    "away": "you are away, and not asked for what others can do",
    "back": "you are back",
    "erase": "the words will be erased everywhere",
    "evidence": "the evidence is written: the key it convicts seals no more",
    "recovery.change": "your recovery words are changed",
    "recover.request": "your recovery is asked for",
    "recover.approve": "you approve the recovery",
    "device.add": "the device is added",
    "device.claim": "the device is yours again",
    "device.retire": "this device has written its last entry",
    "device.revoke": "the device is revoked",
}


def outcome_text(outcome: Mapping[str, Any], said: str = "") -> str:
    """One sentence on what was written, and one on what it is now."""
    kind = str(outcome.get("kind", ""))
    deal = outcome.get("deal")
    entry = short(outcome.get("entry"))
    about = f", deal {short(deal)}" if deal and short(deal) != entry else ""
    return f"{said or DONE.get(kind, kind)} (entry {entry}{about})\n{_state_line(outcome)}"


def _state_line(outcome: Mapping[str, Any]) -> str:
    state = outcome.get("status")
    height = outcome.get("height")
    if state == "sealed":
        return f"sealed in #{height}" if height is not None else "sealed"
    if state == "void":
        where = f" in #{height}" if height is not None else ""
        reason = str(outcome.get("reason") or "")
        return f"void{where}: {reason}: {explain(reason, str(outcome.get('detail') or ''))}"
    names = awaited(outcome)
    if not names:
        return "pending: the next block seals it; `tally seal` asks for one now"
    return f"pending: finality waits for {names}"


def awaited(outcome: Mapping[str, Any]) -> str:
    """Whose computers have to be heard before a block: `Ana and Bo`, `Ana or Bo`, `2 of Ana, Bo and Cy`."""
    names = [clean(_called(each)) for each in outcome.get("waits_for") or ()]
    least = outcome.get("waits_for_least") or 1
    if least >= len(names):
        return listed(names)
    return listed(names, "or") if least == 1 else f"{least} of {listed(names)}"


def trial_text(op: str, outcome: Mapping[str, Any], now_ms: int) -> str:
    """What an entry would do, and whom it would wait for."""
    kind = str(outcome.get("kind") or op)
    lines = ["nothing was signed"]
    if outcome.get("status") == "void":
        reason = str(outcome.get("reason") or "")
        lines.append(f"{kind} would be void: {reason}: {explain(reason, str(outcome.get('detail') or ''), op)}")
        return "\n".join(lines)
    lines.append(f"{kind} would be valid")
    postings = outcome.get("postings") or ()
    lines += [f"  {_posting(each)}" for each in postings]
    # What leaving moves is moved when the block is complete: a note says how much.
    if not postings and kind != "leave":
        lines.append("  it moves no points by itself")
    if names := awaited(outcome):
        lines.append(f"  then finality waits for {names}")
    lines += [f"  next {clean(each)}" for each in outcome.get("next") or ()]
    if deadline := outcome.get("deadline"):
        silence = outcome.get("silence")
        lines.append(f"  until {due(deadline, now_ms)}" + (f", then: {clean(silence)}" if silence else ""))
    lines += [f"  note: {clean(each)}" for each in outcome.get("remarks") or ()]
    return "\n".join(lines)


def _called(row: Any) -> str:
    """A member somebody waits for: its name, or its digits."""
    if isinstance(row, Mapping):
        return str(row.get("name") or short(row.get("partner") or ""))
    return str(row)


def _posting(row: Mapping[str, Any]) -> str:
    """`36 points, 3 x 12: pool -> escrow 7f3a21c0, by step.roast.price`."""
    commodity, amount = row["commodity"], row["amount"]
    count = money_text(amount, commodity)
    formula = shortened(row["formula"], amount, commodity)
    why = f", {formula}" if formula else ""
    way = " -> ".join(account_text(row[side], row.get(f"{side}_name")) for side in ("from", "to"))
    return clean(f"{count}{why}: {way}, by {row['rule']}")
