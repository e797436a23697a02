"""Votes: who decides, when, by which part, and what comes of it."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol.charter import canonical
from tallystick.protocol.errors import Reason
from tallystick.protocol.governance import passes_at_end, passes_early, with_vote
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.records_governance import Ballot, Elector, Proposal
from tests.support.builders import DAY_MS, HOUR_MS, MINUTE_MS, World
from tests.support.governance import body, member, passed, proposal, proposed, vote
from tests.support.market import MARKET, market


@pytest.fixture
def world() -> World:
    return market()


def ballot(world: World, proposal_id: bytes) -> Ballot:
    row = proposal(world, proposal_id).ballot
    assert row is not None
    return row


def names(world: World, row: Ballot) -> dict[str, int]:
    by_id = {person.member: name for name, person in world.people.items()}
    return {by_id[elector.member]: elector.weight for elector in row.electors}


# -- electors ----------------------------------------------------------------------------------------------------------


def test_electors_are_those_of_the_block_that_sealed_it(world: World) -> None:
    """Whoever is admitted in that block decides it, whoever leaves in it or comes later does not."""
    world.join("ed")
    text = world.do("ana", body(world, "text"))
    world.do("di", Leave())
    block = world.seal()
    world.join("flo")
    world.seal()
    row = ballot(world, text)
    assert names(world, row) == dict.fromkeys(("ana", "bo", "cy", "ed"), 1)
    start = proposal(world, text).at
    assert block.time - 10 * MINUTE_MS <= start < block.time
    assert (row.end, row.notice) == (start + 7 * DAY_MS, start)
    assert world.refused("flo", Vote(proposal=text, choice="yes")) is Reason.NOT_AN_ELECTOR
    world.do("ed", Vote(proposal=text, choice="yes"))


def test_contributors_and_newcomers_on_probation_do_not_decide(world: World) -> None:
    """Who is suspended or away does."""
    world.join("ed", standing="contributor")
    world.alter("bo", probation_until=world.now + 30 * DAY_MS)
    world.alter("cy", suspended_from=world.now, suspended_until=world.now + 30 * DAY_MS)
    world.alter("di", away_until=world.now + 30 * DAY_MS)
    text = proposed(world, "ana", "text")
    assert names(world, ballot(world, text)) == dict.fromkeys(("ana", "cy", "di"), 1)
    assert world.refused("ed", Vote(proposal=text, choice="yes")) is Reason.NOT_A_PARTNER
    assert world.refused("bo", Vote(proposal=text, choice="yes")) is Reason.NOT_A_PARTNER
    world.do("cy", Vote(proposal=text, choice="yes"))


def test_who_left_after_voting_has_voted(world: World) -> None:
    """And who left without counts among the electors."""
    text = proposed(world, "ana", "text")
    vote(world, text, bo="yes", cy="yes")
    for name in ("bo", "di"):
        world.do(name, Leave())
    world.seal()
    vote(world, text, ana="yes")
    assert proposal(world, text).status == "passed"
    assert (proposal(world, text).yes, proposal(world, text).total) == (3, 4)


@pytest.mark.parametrize("what", ["expel", "suspend"])
def test_nobody_decides_its_own_case(world: World, what: str) -> None:
    """The target has no vote."""
    case = proposed(world, "ana", what, member="bo")
    assert names(world, ballot(world, case)) == dict.fromkeys(("ana", "cy", "di"), 1)
    assert world.refused("bo", Vote(proposal=case, choice="no")) is Reason.NOT_AN_ELECTOR


def test_nobody_reinstates_itself(world: World) -> None:
    """Though it may propose it."""
    world.alter("bo", suspended_from=world.now, suspended_until=world.now + 30 * DAY_MS)
    case = proposed(world, "bo", "reinstate", member="bo")
    assert "bo" not in names(world, ballot(world, case))


def test_weights_by_points() -> None:
    """What each holds when the proposal is sealed; one each while nobody holds anything."""
    world = market(governance={"weight": "points"})
    world.accepted("cy", "bo", "bake", 3)
    text = proposed(world, "ana", "text")
    assert names(world, ballot(world, text)) == {"ana": 100, "bo": 70, "cy": 100, "di": 100}
    poor = market(governance={"weight": "points"}, points={"pool": 1_000})
    text = proposed(poor, "ana", "text")
    assert names(poor, ballot(poor, text)) == dict.fromkeys(("ana", "bo", "cy", "di"), 1)


def test_a_vote_in_the_block_of_the_proposal_counts_if_its_author_is_an_elector(world: World) -> None:
    """Who has left by the end of that block has not voted."""
    text = world.do("ana", body(world, "text"))
    for name in ("bo", "cy", "di"):
        world.do(name, Vote(proposal=text, choice="yes"))
    world.do("di", Leave())
    first = world.seal()
    assert proposal(world, text).status == "open"
    assert first.height == world.ledger.head.height
    assert world.ledger.due_by(world.now), "the next block decides, and nobody has to write anything for it"
    world.seal()
    row = proposal(world, text)
    assert (row.status, row.yes, row.total) == ("passed", 2, 3)


def test_nobody_but_an_elector_votes_in_that_block(world: World) -> None:
    """What will be decided at its end is foreseen from the state."""
    world.join("ed", standing="contributor")
    case = world.do("ana", body(world, "expel", member="bo"))
    assert world.refused("bo", Vote(proposal=case, choice="no")) is Reason.NOT_AN_ELECTOR
    assert world.refused("ed", Vote(proposal=case, choice="no")) is Reason.NOT_A_PARTNER


# -- deciding ----------------------------------------------------------------------------------------------------------


def test_a_text_passes_as_soon_as_nothing_could_change_it(world: World) -> None:
    """With half of all and one more: three of four, not two."""
    text = proposed(world, "ana", "text")
    vote(world, text, ana="yes", bo="yes")
    assert proposal(world, text).status == "open"
    executed = vote(world, text, cy="yes")
    row = proposal(world, text)
    assert (row.status, row.yes, row.no, row.abstain, row.total) == ("passed", 3, 0, 0, 4)
    assert row.decided == executed.time
    assert [(tick.what, tick.ref) for tick in executed.ticks] == [("passed.text", text)]
    assert world.refused("di", Vote(proposal=text, choice="no")) is Reason.PROPOSAL_CLOSED
    assert not world.ledger.state.due, "nothing waits for a proposal that is decided"


def test_a_vote_can_be_changed_until_it_is_decided(world: World) -> None:
    """The last word counts."""
    text = proposed(world, "ana", "text")
    vote(world, text, ana="yes", bo="yes", cy="no")
    vote(world, text, bo="no", cy="abstain")
    vote(world, text, bo="abstain")
    executed = world.seal(ballot(world, text).end)
    row = proposal(world, text)
    assert (row.status, row.yes, row.no, row.abstain, row.decided) == ("passed", 1, 0, 2, executed.time)


@pytest.mark.parametrize(
    ("choices", "status"),
    [
        ({"ana": "yes", "bo": "yes"}, "passed"),
        ({"ana": "yes", "bo": "abstain"}, "passed"),
        ({"ana": "yes"}, "failed"),
        ({"ana": "yes", "bo": "no"}, "failed"),
        ({"ana": "abstain", "bo": "abstain", "cy": "abstain"}, "failed"),
        ({"ana": "no", "bo": "no", "cy": "no"}, "failed"),
        ({}, "failed"),
    ],
)
def test_at_the_end_a_quorum_and_a_majority_decide(world: World, choices: dict[str, str], status: str) -> None:
    """Half of all have to vote, abstentions too; a tie fails, and so does silence."""
    text = proposed(world, "ana", "text")
    vote(world, text, **choices)
    world.seal(ballot(world, text).end - 1)
    assert proposal(world, text).status == "open"
    world.seal()
    assert proposal(world, text).status == status


def test_a_vote_at_the_end_is_too_late(world: World) -> None:
    """Within the period is before its end, whenever it is sealed."""
    text = proposed(world, "ana", "text")
    vote(world, text, ana="yes")
    end = ballot(world, text).end
    assert world.refused("bo", Vote(proposal=text, choice="yes"), time=end) is Reason.PROPOSAL_CLOSED
    late = market()
    text = proposed(late, "ana", "text")
    vote(late, text, ana="yes")
    late.do("bo", Vote(proposal=text, choice="yes"), time=ballot(late, text).end - 1)
    late.seal(late.now + HOUR_MS)
    assert proposal(late, text).status == "passed"


def test_a_fraction_is_of_all_before_the_end_and_of_the_votes_at_it() -> None:
    """Two thirds of four are three; at the end two of three votes are enough, with the larger quorum."""
    world = market(governance={"notice": "0s"})
    deal = world.accepted("bo", "ana", "roast")
    release = proposed(world, "ana", "release", deal=deal)
    vote(world, release, ana="yes", bo="yes", cy="no")
    assert proposal(world, release).status == "open"
    world.seal(ballot(world, release).end)
    assert proposal(world, release).status == "passed"
    other = proposed(world, "ana", "release", deal=world.accepted("bo", "ana", "roast"))
    vote(world, other, ana="yes", bo="yes")
    world.seal(ballot(world, other).end)
    assert proposal(world, other).status == "failed", "two of four are no two thirds of all"


def test_notice_gives_everybody_time_to_hear_of_it(world: World) -> None:
    """A large majority waits for it; a tick ends it, and nobody has to write."""
    case = proposed(world, "ana", "suspend", member="bo")
    vote(world, case, ana="yes", cy="yes")
    assert proposal(world, case).status == "open"
    world.do("di", Vote(proposal=case, choice="abstain"))
    world.seal(ballot(world, case).notice - 1)
    assert proposal(world, case).status == "open"
    world.do("di", Vote(proposal=case, choice="yes"), time=world.now)
    world.seal()
    assert proposal(world, case).status == "passed"


def test_notice_is_a_tick(world: World) -> None:
    """At its end the votes are counted."""
    world.join("ed")
    case = proposed(world, "ana", "suspend", member="bo")
    vote(world, case, ana="yes", cy="yes", di="yes")
    assert proposal(world, case).status == "open"
    assert not world.ledger.due_by(ballot(world, case).notice - 1)
    assert world.ledger.due_by(ballot(world, case).notice)
    world.seal(ballot(world, case).notice)
    assert proposal(world, case).status == "passed"


def test_when_all_others_said_yes_nobody_waits(world: World) -> None:
    """Whatever the proposer says itself."""
    case = proposed(world, "ana", "suspend", member="bo")
    vote(world, case, cy="yes", di="yes")
    assert proposal(world, case).status == "open", "two of three are less than three quarters"
    vote(world, case, ana="yes")
    assert proposal(world, case).status == "passed"


@pytest.mark.parametrize("what", ["expel", "suspend"])
def test_in_a_ledger_of_two_nobody_is_expelled_or_suspended(what: str) -> None:
    """One yes is not enough, and there is nobody else."""
    world = market("bo")
    case = proposed(world, "ana", what, member="bo")
    vote(world, case, ana="yes")
    assert proposal(world, case).status == "open"
    world.seal(ballot(world, case).end)
    assert proposal(world, case).status == "failed"
    assert member(world, "bo").status == "active"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("what", ["amend", "sale", "ratify", "rules", "release", "dividend", "text"])
def test_in_a_small_ledger_one_is_not_enough_for_something_major(what: Any, count: int) -> None:
    """Whatever weight it has: with two or three electors two heads have to agree."""
    ids = [bytes([number]) * 32 for number in range(count)]
    electors = tuple(Elector(each, 1_000 if each == ids[0] else 1) for each in ids)
    case = with_vote(Proposal(number=0, author=ids[0], what=what, at=0), ids[0], "yes")
    row = Ballot(electors, (2, 3), (2, 3), 0, 10)
    major = what not in ("dividend", "text")
    enough = not major or count in (1, 4)
    assert (passes_early(case, row, 5), passes_at_end(case, row)) == (enough, enough)
    if count > 1:
        case = with_vote(case, ids[1], "yes")
        assert passes_early(case, row, 5)
        assert passes_at_end(case, row)


def test_expulsion_needs_two_heads_in_any_ledger() -> None:
    """One of great weight does not throw anybody out."""
    ids = [bytes([number]) * 32 for number in range(9)]
    electors = tuple(Elector(each, 1_000 if each == ids[0] else 1) for each in ids)
    row = Ballot(electors, (3, 4), (2, 3), 0, 10)
    for what in ("expel", "suspend"):
        case = with_vote(Proposal(number=0, author=ids[0], what=what, at=0), ids[0], "yes")
        assert not passes_early(case, row, 5)
        assert not passes_at_end(case, row)
        assert passes_early(with_vote(case, ids[1], "yes"), row, 5)


def test_somebody_alone_decides_alone() -> None:
    """A founder without partners passes what it wants, after its own vote."""
    world = World.found(
        {"charter": 1, "name": "One", "points": {"pool": 9}, "contribution": [{"id": "a", "points": 1}]}
    )
    rules = proposed(world, "ana", "rules", version=2)
    assert proposal(world, rules).status == "open"
    vote(world, rules, ana="yes")
    assert proposal(world, rules).status == "passed"


def test_proposals_are_decided_in_their_order(world: World) -> None:
    """When both pass in one block, the first takes effect first."""
    first = proposed(world, "ana", "role", member="bo", role="roaster")
    second = proposed(world, "bo", "role", member="bo", role="roaster", take=True)
    for name in ("cy", "di", "ana"):
        world.do(name, Vote(proposal=second, choice="yes"))
    for name in ("cy", "di", "ana"):
        world.do(name, Vote(proposal=first, choice="yes"))
    executed = world.seal()
    assert [tick.ref for tick in executed.ticks] == [first, second]
    assert member(world, "bo").roles == ()


def test_a_vote_needs_a_proposal(world: World) -> None:
    """Another entry, or a proposal that was void, is none."""
    assert world.refused("ana", Vote(proposal=world.people["bo"].member, choice="yes")) is Reason.NOT_FOUND
    void = world.send("ana", body(world, "ratify"))
    assert world.outcome(void).reason is Reason.STATE
    assert world.refused("bo", Vote(proposal=void, choice="yes")) is Reason.NOT_FOUND


VOTES = st.lists(
    st.tuples(st.sampled_from(("ana", "bo", "cy", "di", "ed")), st.sampled_from(("yes", "no", "abstain"))), max_size=12
)


@given(VOTES, st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_the_order_of_votes_does_not_matter(votes: list[tuple[str, Any]], seed: int) -> None:
    """Only the last word of each elector counts, in whichever order the others spoke."""
    last = dict(votes)
    outcomes = []
    for order in (list(last.items()), random.Random(seed).sample(list(last.items()), len(last))):
        world = market("bo", "cy", "di", "ed")
        case = proposed(world, "ana", "suspend", member="bo")
        for name, choice in order:
            if name != "bo":
                world.do(name, Vote(proposal=case, choice=choice))
        world.seal()
        world.seal(world.now + 8 * DAY_MS)
        row = proposal(world, case)
        outcomes.append((row.status, row.yes, row.no, row.abstain, row.total))
    assert outcomes[0] == outcomes[1]
    said = [choice for name, choice in last.items() if name != "bo"]
    yes, no = said.count("yes"), said.count("no")
    enough = len(said) * 3 >= 2 * 4 and yes * 4 >= 3 * (yes + no) and yes > no and yes >= 2
    assert outcomes[0][0] == ("passed" if enough else "failed")


def test_ballots_count_exactly() -> None:
    """Fractions are compared as integers, at their very edge."""

    def row(yes: int, rest: int, fraction: tuple[int, int]) -> tuple[Proposal, Ballot]:
        big = 10**15
        electors = (Elector(b"a" * 32, yes * big), Elector(b"b" * 32, rest * big))
        case = Proposal(number=0, author=b"c" * 32, what="text", at=0)
        return with_vote(case, b"a" * 32, "yes"), Ballot(electors, fraction, (1, 2), 0, 10)

    assert passes_early(*row(2, 1, (2, 3)), 0)
    assert not passes_early(*row(1_999, 1_001, (2, 3)), 0)
    assert not passes_early(*row(1, 1, (1, 2)), 0), "half is no majority"
    assert passes_at_end(*row(1, 1, (1, 1)))
    assert not passes_at_end(*row(999, 1_001, (1, 1))), "below the quorum"


# -- what is decided about people --------------------------------------------------------------------------------------


def test_a_suspension_lasts_as_long_as_the_charter_says(world: World) -> None:
    """From its effect on; then it is over by itself."""
    case = passed(world, "ana", "suspend", "ana", "cy", "di", member="bo")
    row = member(world, "bo")
    assert (row.suspended_from, row.suspended_until) == (
        proposal(world, case).decided,
        proposal(world, case).decided + 30 * DAY_MS,
    )
    assert world.refused("bo", world.offer("roast")) is Reason.NOT_ACTIVE
    world.wait(30 * DAY_MS)
    world.offered("bo", "roast")


def test_nobody_is_suspended_again_within_ninety_days(world: World) -> None:
    """Neither proposed nor, where two were open at once, decided."""
    first = proposed(world, "ana", "suspend", member="bo")
    second = proposed(world, "ana", "suspend", member="bo")
    vote(world, first, ana="yes", cy="yes", di="yes")
    start = member(world, "bo").suspended_from
    vote(world, second, ana="yes", cy="yes", di="yes")
    assert (proposal(world, first).status, proposal(world, second).status) == ("passed", "failed")
    assert member(world, "bo").suspended_from == start
    third = body(world, "suspend", member="bo")
    assert world.refused("ana", third, time=start + 90 * DAY_MS - 1) is Reason.TOO_EARLY
    world.do("ana", third, time=start + 90 * DAY_MS)


def test_a_reinstatement_ends_a_suspension(world: World) -> None:
    """Only of somebody who is suspended; when it is over by then, it has passed without an effect."""
    assert world.refused("ana", body(world, "reinstate", member="bo")) is Reason.STATE
    passed(world, "ana", "suspend", "ana", "cy", "di", member="bo")
    passed(world, "ana", "reinstate", "ana", "cy", "di", member="bo")
    world.offered("bo", "roast")
    assert world.refused("ana", body(world, "reinstate", member="bo")) is Reason.STATE


def test_a_reinstatement_that_comes_too_late_changes_nothing() -> None:
    """The suspension is over by then."""
    world = market(governance={"suspension": "3d"})
    passed(world, "ana", "suspend", "ana", "cy", "di", member="bo")
    late = proposed(world, "bo", "reinstate", member="bo")
    before = member(world, "bo")
    vote(world, late, ana="yes", cy="abstain")
    world.seal(ballot(world, late).end)
    assert proposal(world, late).status == "passed"
    assert member(world, "bo") == before


def test_an_expulsion_is_a_departure(world: World) -> None:
    """It keeps what is vested, its offers end, and it is gone."""
    world.offered("bo", "roast")
    deal = world.accepted("bo", "ana", "roast")
    passed(world, "ana", "expel", "ana", "cy", "di", member="bo")
    row = member(world, "bo")
    assert (row.status, row.leaver) == ("departed", "keep-vested")
    assert world.deal(deal).status == "cancelled"
    assert world.points("bo") == 100
    assert world.refused("ana", body(world, "expel", member="bo")) is Reason.NOT_ACTIVE
    assert world.refused("ana", body(world, "role", member="bo", role="roaster")) is Reason.NOT_ACTIVE


def test_who_left_before_cannot_be_expelled_any_more(world: World) -> None:
    """The proposal has passed, and has no effect."""
    case = proposed(world, "ana", "expel", member="bo")
    world.do("bo", Leave())
    vote(world, case, ana="yes", cy="yes", di="yes")
    assert proposal(world, case).status == "passed"
    assert member(world, "bo").leaver == "keep-vested"


def test_forfeit_all_takes_everything_and_what_comes_later() -> None:
    """Pay of deals that run on goes to the pool, without a referral; what returns to it goes there too."""
    world = market(leaver={"bad": "forfeit-all"}, referral={"percent": 50})
    sold = world.delivered("bo", "ana", "roast", 2)
    bought = world.delivered("cy", "bo", "bake", 2)
    passed(world, "ana", "expel", "ana", "cy", "di", member="bo")
    assert world.points("bo") == 0
    pool, ana = world.points("pool"), world.points("ana")
    world.wait(8 * DAY_MS)
    world.seal()
    assert world.deal(sold).status == world.deal(bought).status == "approved"
    assert world.points("bo") == 0
    assert world.points("pool") == pool + 24
    assert world.points("ana") == ana
    assert world.points("cy") == 120


def test_the_last_active_partner_is_not_expelled(world: World) -> None:
    """The others have left while it was decided: it has become impossible."""
    case = proposed(world, "ana", "expel", member="bo")
    vote(world, case, ana="yes", cy="yes")
    for name in ("ana", "cy", "di"):
        world.do(name, Leave())
    world.seal()
    world.seal(ballot(world, case).end)
    assert proposal(world, case).status == "failed"
    assert member(world, "bo").status == "active"


def test_roles_are_given_and_taken(world: World) -> None:
    """Giving one to a holder or taking it from somebody without it has no effect."""
    assert member(world, "bo").roles == ()
    for _ in range(2):
        passed(world, "ana", "role", "ana", "bo", "cy", member="bo", role="roaster")
        assert member(world, "bo").roles == ("roaster",)
    passed(world, "ana", "role", "ana", "bo", "cy", member="bo", role="treasurer")
    assert member(world, "bo").roles == ("roaster", "treasurer")
    for _ in range(2):
        passed(world, "ana", "role", "ana", "bo", "cy", member="bo", role="roaster", take=True)
        assert member(world, "bo").roles == ("treasurer",)
    assert member(world, "ana").roles == ("roaster", "taster", "treasurer"), "giving one to others takes none"
    assert world.refused("ana", body(world, "role", member="bo", role="king")) is Reason.ROLE


def test_a_role_has_room_for_so_many() -> None:
    """One more has become impossible; somebody who leaves makes room."""
    world = market(role=[{"id": "roaster", "max-holders": 2}, {"id": "taster"}])
    passed(world, "ana", "role", "ana", "bo", "cy", member="bo", role="roaster")
    case = proposed(world, "ana", "role", member="cy", role="roaster")
    vote(world, case, ana="yes", bo="yes", cy="yes")
    assert proposal(world, case).status == "failed"
    world.do("bo", Leave())
    world.seal()
    passed(world, "ana", "role", "ana", "cy", member="cy", role="roaster")


# -- deals and rules ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [World.accepted, World.delivered])
def test_a_release_ends_an_undecided_deal(world: World, how: Any) -> None:
    """Whether something was delivered or not."""
    deal = how(world, "bo", "ana", "roast")
    release = proposed(world, "cy", "release", deal=deal)
    vote(world, release, ana="yes", bo="yes", cy="yes")
    assert proposal(world, release).status == "passed"
    assert world.deal(deal).status == "cancelled"
    assert world.refused("cy", body(world, "release", deal=deal)) is Reason.DEAL_CLOSED


def test_a_release_of_a_deal_that_closed_has_no_effect(world: World) -> None:
    """It has passed all the same."""
    deal = world.delivered("bo", "ana", "roast")
    release = proposed(world, "cy", "release", deal=deal)
    world.do("ana", Approve(deal=deal))
    vote(world, release, ana="yes", bo="yes", cy="yes")
    assert proposal(world, release).status == "passed"
    assert world.deal(deal).status == "approved"


def test_a_release_is_of_an_undecided_deal(world: World) -> None:
    """Not of one that was rejected, and not of an offer."""
    deal = world.delivered("bo", "ana", "roast")
    world.do("ana", Reject(deal=deal))
    assert world.refused("cy", body(world, "release", deal=deal)) is Reason.STATE
    assert world.refused("cy", body(world, "release", deal=world.offered("bo", "roast"))) is Reason.NOT_FOUND


def test_rules_only_go_forward(world: World) -> None:
    """A lower version, or the same, is void; one that another vote has overtaken fails."""
    assert world.refused("ana", body(world, "rules", version=1)) is Reason.ALREADY_DONE
    two, three = proposed(world, "ana", "rules", version=2), proposed(world, "ana", "rules", version=3)
    vote(world, three, ana="yes", bo="yes", cy="yes", di="yes")
    assert world.ledger.state.rules[""].version == 3
    vote(world, two, ana="yes", bo="yes", cy="yes", di="yes")
    assert proposal(world, two).status == "failed"
    assert world.ledger.state.rules[""].version == 3


# -- trial -------------------------------------------------------------------------------------------------------------


def test_a_trial_ends_with_its_ratification() -> None:
    """Until then there is no sale, dividend or expulsion, and an amendment needs only `pass`."""
    world = market(trial=True, sale={"currency": "EUR"})
    for what, fields in (("sale", {"proceeds": 5}), ("dividend", {"amount": 5}), ("expel", {"member": "bo"})):
        assert world.refused("ana", body(world, what, **fields)) is Reason.TRIAL
    document = MARKET | {"trial": True, "sale": {"currency": "EUR"}, "purpose": "a better one"}
    amend = proposed(world, "ana", "amend", charter=canonical(document))
    assert ballot(world, amend).fraction == (1, 2)
    assert ballot(world, amend).quorum == (2, 3)
    passed(world, "ana", "ratify", "ana", "bo", "cy", "di")
    assert not world.ledger.state.course.trial
    assert ballot(world, amend).fraction == (1, 2), "what was open stays as it was"
    assert world.refused("ana", body(world, "ratify")) is Reason.STATE
    later = proposed(world, "ana", "amend", charter=canonical(document))
    assert ballot(world, later).fraction == (2, 3)
    world.do("ana", body(world, "expel", member="bo"))


def test_a_suspended_partner_votes_and_proposes(world: World) -> None:
    """It still counts, only not in its own case."""
    passed(world, "ana", "suspend", "ana", "cy", "di", member="bo")
    text = proposed(world, "bo", "text")
    vote(world, text, bo="yes", ana="yes", cy="yes")
    assert proposal(world, text).status == "passed"
    assert world.refused("bo", Accept(offer=world.offered("ana", "roast"))) is Reason.NOT_ACTIVE


def test_suspended_on_probation_is_still_on_probation(world: World) -> None:
    """A suspension gives nobody a vote."""
    world.alter(
        "bo",
        probation_until=world.now + 60 * DAY_MS,
        suspended_from=world.now,
        suspended_until=world.now + 30 * DAY_MS,
    )
    assert world.refused("bo", body(world, "text")) is Reason.NOT_A_PARTNER
    assert world.refused("bo", Admit(member=world.people["cy"].member, sealer=True)) is Reason.NOT_ACTIVE


def test_a_backdated_proposal_gives_no_less_time(world: World) -> None:
    """The period counts from the moment that its author claims, as far as clocks may differ."""
    early = world.now
    world.wait(30 * DAY_MS)
    text = world.do("ana", body(world, "text"), time=early)
    block = world.seal(world.now + MINUTE_MS)
    assert proposal(world, text).at == early
    assert ballot(world, text).end == block.time - 10 * MINUTE_MS + 7 * DAY_MS
