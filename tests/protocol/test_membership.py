"""Questions about standing: where each answer changes, to the millisecond."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.protocol.charter import from_bytes
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.membership import (
    asked,
    full_partner_count,
    full_partners,
    has_role,
    is_active,
    is_away,
    is_full_partner,
    is_suspended,
    other_member,
    sponsors_needed,
)
from tallystick.protocol.records import Member
from tallystick.protocol.state import State
from tests.support.market import market


def member(**fields: Any) -> Member:
    given: dict[str, Any] = {
        "standing": "partner",
        "status": "active",
        "recovery": bytes(32),
        "inviter": None,
        "since": 0,
        "probation_until": 0,
    }
    return Member(**given | fields)


def state_of(**rows: Member) -> State:
    state = State()
    for name, row in rows.items():
        state.members.set(name.encode(), row)
    return state


@pytest.mark.parametrize(("at", "is_it"), [(9, True), (10, True), (19, True), (20, False)])
def test_a_suspension_holds_for_all_that_is_dated_before_its_end(at: int, is_it: bool) -> None:
    """Also for what claims a moment before its beginning: the state knows of it."""
    row = member(suspended_from=10, suspended_until=20)
    assert is_suspended(row, at) is is_it
    assert is_active(row, at) is not is_it
    assert is_full_partner(row, at) is not is_it


@pytest.mark.parametrize(("at", "is_it"), [(9, True), (10, False)])
def test_being_away_ends_by_itself(at: int, is_it: bool) -> None:
    """At its moment one is back."""
    assert is_away(member(away_until=10), at) is is_it


@pytest.mark.parametrize(("at", "is_it"), [(9, False), (10, True)])
def test_probation_ends_at_its_moment(at: int, is_it: bool) -> None:
    """From then on one votes and vouches."""
    assert is_full_partner(member(probation_until=10), at) is is_it


@pytest.mark.parametrize("standing", ["observer", "contributor"])
@pytest.mark.parametrize("status", ["applicant", "departed", "refused", "active"])
def test_nobody_else_is_a_full_partner(standing: str, status: str) -> None:
    """Neither by standing nor by what has become of them."""
    assert not is_full_partner(member(standing=standing), 0)
    assert is_active(member(standing=standing, status=status), 0) is (status == "active")
    assert is_full_partner(member(status=status), 0) is (status == "active")


def test_full_partners_are_counted_without_some() -> None:
    """Those on probation, suspended, gone, or of another standing are none."""
    state = state_of(
        a=member(),
        b=member(probation_until=6),
        c=member(suspended_from=0, suspended_until=9),
        d=member(status="departed"),
        e=member(standing="contributor"),
        f=member(),
    )
    assert set(full_partners(state, 5)) == {b"a", b"f"}
    assert set(full_partners(state, 6)) == {b"a", b"b", b"f"}
    assert full_partner_count(state, 9, without=(b"a", b"x")) == 3
    assert list(full_partners(state_of(), 5)) == []


@pytest.mark.parametrize(("number", "count"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_a_rule_never_asks_for_more_than_there_are(number: int, count: int) -> None:
    """Of three full partners two are others."""
    state = state_of(a=member(), b=member(), c=member())
    assert asked(number, state, 0, without=(b"a",)) == count


@pytest.mark.parametrize(
    ("partners", "sponsors", "needed"),
    [(1, 1, 1), (1, 5, 1), (2, 5, 2), (3, 5, 2), (4, 5, 3), (9, 5, 5), (9, 2, 2), (9, 1, 1)],
)
def test_sponsors_are_never_more_than_half_and_one(partners: int, sponsors: int, needed: int) -> None:
    """So that a small ledger can grow at all."""
    world = market(membership={"sponsors": sponsors, "probation": "0s"})
    charter = from_bytes(world.view().charter_row.data)
    state = state_of(**{f"p{number}": member() for number in range(partners)})
    assert sponsors_needed(charter, state, 0) == needed


def test_one_of_the_roles_is_enough() -> None:
    """And no roles asked means everybody."""
    charter = from_bytes(market().view().charter_row.data)
    row = member(roles=("roaster",))
    assert has_role(charter, row, ())
    assert has_role(charter, row, ("taster", "roaster"))
    assert not has_role(charter, row, ("taster",))
    assert not has_role(charter, member(), ("taster",))


@pytest.mark.parametrize("status", ["active", "departed"])
def test_whoever_was_ever_a_member_can_be_named(status: str) -> None:
    """Those who only asked cannot, nor those who never did."""
    state = state_of(a=member(status=status), b=member(status="applicant"), c=member(status="refused"))
    assert other_member(state, b"a").status == status
    for name in (b"b", b"c", b"d"):
        with pytest.raises(EntryError) as caught:
            other_member(state, name)
        assert caught.value.reason is Reason.NOT_A_MEMBER
