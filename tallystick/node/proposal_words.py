"""What is voted on, in words: the role, the sum, the partner, the text, and what a new charter would change.

Source: docs/spec/cli.md#proposals
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.node.currency import money_text
from tallystick.node.errors import HomeReason
from tallystick.node.names import shown
from tallystick.node.reads_deals import title
from tallystick.node.resolve import UnresolvedError, resolve_entry
from tallystick.protocol.charter import Charter, from_bytes
from tallystick.protocol.charter_diff import Difference, change_text, differences

if TYPE_CHECKING:
    from tallystick.node.view import View
    from tallystick.protocol.records_governance import Proposal

#: So many letters of a text, and so many changes of a charter, fit where there is one line for a proposal.
LETTERS_MAX: Final = 200
LETTERS_BRIEF_MAX: Final = 80
CHANGES_MAX: Final = 4
CHANGES_BRIEF_MAX: Final = 2


def proposed(view: View, proposal_id: bytes, row: Proposal, *, brief: bool = False) -> str:
    """What would be so if it passes, in one line, or in a `brief` one; why it was proposed is left to `text_of`."""
    member = view.called(row.subject) if row.subject in view.preview.members else row.subject.hex()[:8]
    match row.what:
        case "amend":
            return _amendment(view, proposal_id, CHANGES_BRIEF_MAX if brief else CHANGES_MAX)
        case "ratify":
            return "end the trial: the charter becomes binding"
        case "expel" | "suspend" | "reinstate":
            return f"{row.what} {member}"
        case "role":
            return f"take the role {row.role} from {member}" if row.take else f"give {member} the role {row.role}"
        case "sale":
            part = "the whole" if row.percent == 100 else f"{row.percent}%"
            costs = f", costs {_money(view, row.costs)}" if row.costs else ""
            return f"sell {part} for {_money(view, row.amount)}{costs}"
        case "dividend":
            return f"pay out {_money(view, row.amount)}"
        case "release":
            return f"cancel deal {row.subject.hex()[:8]}{_deal(view, row.subject)}"
        case "revoke":
            device = view.preview.devices.get(row.subject)
            of = "" if device is None else f" of {view.called(device.member)}"
            return f"revoke device {row.subject.hex()[:8]}{of} after its entry {row.last.hex()[:8]}"
        case "recover":
            return f"let the recovery {row.subject.hex()[:8]}{_of_request(view, row.subject)} go on despite the veto"
        case "erase":
            return f"delete the words of {_entry(view, row.subject)}"
        case "rules":
            return f"go over to version {row.amount} of the rules"
        case "text":
            return _short(_said(view, proposal_id) or "(words missing)", LETTERS_BRIEF_MAX if brief else LETTERS_MAX)


def text_of(view: View, proposal_id: bytes) -> str | None:
    """The words of a proposal, or why it was made, as they are shown: whoever wrote it may begin a new line."""
    text = _said(view, proposal_id)
    return None if text is None else "\n".join(shown(line) for line in text.splitlines())


# -- amendments --------------------------------------------------------------------------------------------------------


def proposed_charter(view: View, proposal_id: bytes) -> tuple[Charter, bytes] | None:
    """The charter of a proposal and the hash of the one that it replaces; None of another proposal."""
    entry = view.entry(proposal_id)
    data = None if entry is None else entry.body.get("charter")
    if entry is None or entry.kind != "propose" or not isinstance(data, bytes):
        return None
    return from_bytes(data), entry.body["replaces"]


def resolve_charter(view: View, text: str) -> Charter:
    """The charter of the proposal that is meant. Raises UnresolvedError."""
    entry_id = resolve_entry(view, text, kinds=("propose",))
    found = proposed_charter(view, entry_id)
    if found is None:
        raise UnresolvedError(
            f"proposal {entry_id.hex()[:8]} is not about the charter",
            reason=HomeReason.NOT_FOUND,
            hint="`tally proposals` says what each is about",
        )
    return found[0]


def charter_changes(view: View, proposal_id: bytes) -> list[Difference] | None:
    """Every setting that an amendment changes in the charter it replaces; None where that one is not known here."""
    found = proposed_charter(view, proposal_id)
    if found is None:
        return None
    charter, replaced = found
    before = _charter_of(view, replaced)
    return None if before is None else differences(before, charter)


def changes_json(view: View, proposal_id: bytes) -> list[dict[str, Any]] | None:
    """The same for programs; null of other proposals."""
    changes = charter_changes(view, proposal_id)
    return None if changes is None else [each._asdict() for each in changes]


def _charter_of(view: View, digest: bytes) -> Charter | None:
    """A charter by its hash: the one in force, the first one, or one that somebody has proposed."""
    if view.ledger.charter.hash == digest:
        return view.ledger.charter
    founding = view.entry(view.ledger.id_at(1)) if view.ledger.head.height else None
    if founding is not None and founding.kind == "found":
        charter = from_bytes(founding.body["charter"])
        if charter.hash == digest:
            return charter
    for proposal_id, row in sorted(view.preview.proposals.items()):
        found = proposed_charter(view, proposal_id) if row.what == "amend" else None
        if found is not None and found[0].hash == digest:
            return found[0]
    return None


def _amendment(view: View, proposal_id: bytes, most: int) -> str:
    changes = charter_changes(view, proposal_id)
    if changes is None:
        return "another charter"
    if not changes:
        return "write the charter in another way: no rule is different"
    first = "; ".join(map(change_text, changes[:most]))
    more = len(changes) - most
    return f"change the charter: {first}" + (f"; and {more} more" if more > 0 else "")


# -- what others are about ---------------------------------------------------------------------------------------------


def _said(view: View, proposal_id: bytes) -> str | None:
    """The text of a proposal as it was written."""
    text = (view.words(proposal_id) or {}).get("text")
    return text if isinstance(text, str) else None


def _short(text: str, letters_max: int) -> str:
    """Words of others in one line, which they cannot leave."""
    line = shown(" ".join(text.split()))
    return line if len(line) <= letters_max else f"{line[: letters_max - 3]}..."


def _money(view: View, amount: int) -> str:
    currency = view.ledger.charter.sale.currency
    return str(amount) if currency is None else money_text(amount, currency)


def _deal(view: View, deal_id: bytes) -> str:
    deal = view.deal(deal_id)
    if deal is None:
        return ""
    what = title(view, deal.step, deal.offer) or "an open offer"
    return f", {deal.units} x {what} of {view.called(deal.seller)} for {view.called(deal.buyer)}"


def _of_request(view: View, request_id: bytes) -> str:
    row = view.preview.recoveries.get(request_id)
    return "" if row is None else f" of the keys of {view.called(row.member)}"


def _entry(view: View, entry_id: bytes) -> str:
    entry = view.entry(entry_id)
    if entry is None:
        return f"entry {entry_id.hex()[:8]}"
    device = view.preview.devices.get(entry.device)
    by = "" if device is None else f" by {view.called(device.member)}"
    return f"entry {entry_id.hex()[:8]}, {entry.kind}{by}"
