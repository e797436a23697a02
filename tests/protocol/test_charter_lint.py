"""Warnings about charters that are valid, and what so many partners can never meet."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol.charter import Charter
from tallystick.protocol.charter_lint import check_partners, lint
from tests.support.charters import charters, small_charter

CAPPED: dict[str, Any] = {"id": "roast", "price": 12, "budget": 50_000, "pair-cap": 1_000}


def sound(**tables: Any) -> Charter:
    """A small charter without warnings, with some tables added or replaced."""
    return small_charter(**{"step": [CAPPED]} | tables)


def paths(charter: Charter) -> list[str]:
    """Which rules are warned about."""
    return [each.path for each in lint(charter)]


def test_sound_charter_has_no_warning() -> None:
    """Nothing is said where nothing is wrong."""
    assert lint(sound()) == []


@pytest.mark.parametrize(
    ("tables", "path"),
    [
        ({"step": [{"id": "roast", "price": 12, "budget": 500}]}, "step.roast.pair-cap"),
        ({"contribution": [{"id": "like", "points": 1, "attest": 0}]}, "contribution.like.attest"),
        ({"leaver": {"bad": "forfeit-all"}}, "leaver.bad"),
        ({"membership": {"sponsors": 1}}, "membership.sponsors"),
        ({"membership": {"sponsors": 2}, "points": {"pool": 9, "start": 1}}, "points.start"),
        ({"governance": {"sale": "1/2"}}, "governance.sale"),
        ({"governance": {"early-sale": "3/5"}}, "governance.early-sale"),
        ({"governance": {"weight": "points"}}, "governance.weight"),
        ({"duty": {"term": "59m"}}, "duty.term"),
        (
            {
                "round": [{"id": "a", "currency": "EUR", "price": 5, "points": 1, "voucher": 6}],
                "sale": {"currency": "EUR"},
            },
            "round.a.voucher",
        ),
    ],
)
def test_each_danger_is_warned_about(tables: dict[str, Any], path: str) -> None:
    """One dangerous rule, one warning."""
    assert paths(sound(**tables)) == [path]


@pytest.mark.parametrize(
    "tables",
    [
        {"step": [{"id": "roast", "price": 12, "budget": 500, "cosign-above": 100}]},
        {"step": [{"id": "roast", "price": 12, "payer": "buyer"}]},
        {"governance": {"sale": "2/3", "early-sale": "2/3"}},
        {"points": {"pool": 9, "start": 1}},
        {"membership": {"sponsors": 2}},
        {"duty": {"term": "1h"}},
    ],
)
def test_guarded_rule_is_not_warned_about(tables: dict[str, Any]) -> None:
    """A rule with its guard gives no warning."""
    assert paths(sound(**tables)) == []


def test_votes_by_points_are_judged_by_who_holds_them() -> None:
    """With the holdings at hand only a concentration is warned about."""
    charter = sound(governance={"weight": "points"})
    assert lint(charter, [10] * 12) == []
    assert [each.path for each in lint(charter, [100, *[1] * 11])] == ["governance.weight"]


def test_alone_nothing_can_be_earned() -> None:
    """One partner can neither deal nor claim."""
    found = {each.path for each in check_partners(sound(contribution=[{"id": "like", "points": 1}]), 1)}
    assert {"step.roast", "contribution.like", "governance.expel"} <= found


def test_enough_partners_meet_everything() -> None:
    """With many partners nothing is out of reach."""
    assert check_partners(sound(), 5) == []


@pytest.mark.parametrize(
    ("tables", "path", "enough"),
    [
        ({}, "governance.expel", 3),
        ({}, "membership.sponsors", 4),
        ({}, "dispute.panel", 5),
        ({"contribution": [{"id": "like", "points": 1, "attest": 4}]}, "contribution.like.attest", 5),
        ({"open": {"budget": 9, "endorse": 4}}, "open.endorse", 6),
        ({"step": [CAPPED | {"cosign-above": 5}]}, "step.roast.cosign-above", 3),
        ({"duty": {"size": 7}}, "duty.size", 7),
        ({"objective": {"metric": "partners", "threshold": 9}}, "objective.threshold", 9),
        (
            {
                "objective": {"metric": "capital", "threshold": 12},
                "round": [{"id": "a", "currency": "EUR", "price": 2, "points": 1, "voucher": 0, "max-per-partner": 1}],
                "sale": {"currency": "EUR"},
            },
            "objective.threshold",
            6,
        ),
    ],
)
def test_number_of_partners_decides(tables: dict[str, Any], path: str, enough: int) -> None:
    """A rule is listed for one partner too few, and not for just enough."""
    charter = sound(**tables)
    assert path in {each.path for each in check_partners(charter, enough - 1)}
    assert path not in {each.path for each in check_partners(charter, enough)}


@pytest.mark.parametrize(
    ("tables", "path"),
    [
        ({"step": [CAPPED | {"budget": 11}]}, "step.roast.budget"),
        ({"step": [CAPPED | {"pair-cap": 11}]}, "step.roast.pair-cap"),
        ({"points": {"pool": 11}}, "step.roast.price"),
        ({"contribution": [{"id": "like", "points": 2, "budget": 1}]}, "contribution.like.budget"),
        ({"open": {"budget": 0}}, "open.budget"),
        ({"objective": {"metric": "points-earned", "threshold": 100_001}}, "objective.threshold"),
        ({"membership": {"max-partners": 99}}, "membership.max-partners"),
    ],
)
def test_what_nobody_can_reach_is_listed(tables: dict[str, Any], path: str) -> None:
    """However many they are, some rules can never be met."""
    assert [each.path for each in check_partners(sound(**tables), 100)] == [path]


@given(charters(), st.integers(1, 300))
@settings(deadline=None)
def test_any_charter_can_be_judged(charter: Charter, count: int) -> None:
    """Warnings are sentences about a path, for every valid charter."""
    for path, message in [*lint(charter), *lint(charter, [count, 0]), *check_partners(charter, count)]:
        assert path
        assert message
