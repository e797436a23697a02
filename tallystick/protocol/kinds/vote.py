"""Entry kind `vote`: yes, no or abstain; the last word of an elector counts until the proposal is decided.

Source: docs/spec/charter.md#vote
"""

from typing import ClassVar, Literal

from tallystick.protocol import governance
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.records_governance import Choice


class Vote(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "vote"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    AFTER_SALE: ClassVar[bool] = True

    proposal: Bytes32
    choice: Choice

    def refs(self) -> tuple[bytes, ...]:
        return (self.proposal,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, PROPOSAL_CLOSED, NOT_AN_ELECTOR, tried in that order."""
        proposal = act.state.proposals.get(self.proposal)
        if proposal is None or act.author is None:
            raise EntryError(Reason.NOT_FOUND, "no such proposal")
        ballot = proposal.ballot
        if proposal.status != "open" or (ballot is not None and act.at >= ballot.end):
            raise EntryError(Reason.PROPOSAL_CLOSED)
        if ballot is None:
            # Sealed in this block: its electors are fixed at the end, and who is none by then has not voted.
            may = governance.is_elector(proposal, act.author_id, act.author, act.at)
        else:
            may = any(elector.member == act.author_id for elector in ballot.electors)
        if not may:
            raise EntryError(Reason.NOT_AN_ELECTOR)
        act.state.proposals.set(self.proposal, governance.with_vote(proposal, act.author_id, self.choice))
        if ballot is not None:
            act.at_boundary("judge", self.proposal)
