"""Scenarios: what can be read, everything that is wrong at once, and what is only nonsense to be shown as void."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol.charter import CharterError, Problem
from tallystick.protocol.rehearsal import Rehearsal
from tallystick.protocol.scenario import ScenarioError, read_scenario, read_text

CHARTER: dict[str, Any] = {
    "charter": 1,
    "name": "C",
    "points": {"pool": 1_000, "start": 10},
    "role": [{"id": "baker"}],
    "step": [{"id": "roast", "price": 12, "budget": 500}, {"id": "bake", "price": 1, "payer": "buyer"}],
    "round": [{"id": "seed", "currency": "EUR", "price": 100, "points": 1}],
    "contribution": [{"id": "share", "points": 1}],
    "sale": {"currency": "EUR"},
}
GOOD: dict[str, Any] = {
    "charter": CHARTER,
    "partners": ["ana", "bo", "cy"],
    "event": [
        {"at": "1d", "by": "bo", "do": "offer", "as": "o", "step": "roast", "units": 3},
        {"at": "1d", "by": "ana", "do": "accept", "as": "d", "offer": "o"},
    ],
}


def load(path: str) -> dict[str, Any]:
    """One charter that is there, one that is none, and nothing else."""
    if path == "cafe.toml":
        return copy.deepcopy(CHARTER)
    if path == "bad.toml":
        raise CharterError((Problem("line 1, column 1", "x", "TOML"),))
    raise FileNotFoundError(2, "No such file or directory", path)


def scenario(*events: dict[str, Any], **tables: Any) -> dict[str, Any]:
    """The good one with more events and other tables."""
    document = copy.deepcopy(GOOD) | tables
    document["event"] = [*document["event"], *events]
    return document


def mistakes(document: dict[str, Any]) -> list[str]:
    """Paths of what is wrong with a document."""
    with pytest.raises(ScenarioError) as caught:
        read_scenario(document, load)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [each.path for each in caught.value.problems]


def outcome(*events: dict[str, Any], **tables: Any) -> dict[str, Any]:
    """What comes of the last event."""
    rehearsal = Rehearsal(read_scenario(scenario(*events, **tables), load)).play()
    entry = rehearsal.to_json()["entries"][-1]
    assert isinstance(entry, dict)
    return entry


DEFAULT = {"at": "2d", "by": "bo"}


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"do": "bake"}, "event[3].do"),
        ({"do": "invite"}, "event[3].do"),
        ({"do": "report"}, "event[3].do"),
        ({"do": 7}, "event[3].do"),
        ({"do": ["offer"]}, "event[3].do"),
        ({"do": "leave", "by": "zoe"}, "event[3].by"),
        ({"do": "leave", "by": ["bo"]}, "event[3].by"),
        ({"do": "leave", "at": "tomorrow"}, "event[3].at"),
        ({"do": "leave", "at": 3}, "event[3].at"),
        ({"do": "leave", "at": "23h"}, "event[3].at"),
        ({"do": "leave", "as": "o"}, "event[3].as"),
        ({"do": "leave", "as": ""}, "event[3].as"),
        ({"do": "leave", "as": "#1"}, "event[3].as"),
        ({"do": "leave", "as": ["x"]}, "event[3].as"),
        ({"do": "leave", "until": "3d"}, "event[3].until"),
        ({"do": "accept", "offer": "x"}, "event[3].offer"),
        ({"do": "accept", "offer": ["o"]}, "event[3].offer"),
        ({"do": "accept", "offer": "o", "units": 1}, "event[3].units"),
        ({"do": "accept", "offer": "later", "as": "later"}, "event[3].offer"),
        ({"do": "transfer", "to": "zoe", "points": 1}, "event[3].to"),
        ({"do": "paid", "partner": {"ana": 1}, "amount": 1}, "event[3].partner"),
        ({"do": "propose", "type": "amend", "charter": "none.toml"}, "event[3].charter"),
    ],
)
def test_what_cannot_be_read_is_named(event: dict[str, Any], path: str) -> None:
    """Unknown partners, commands, keys and names, and times that are none: nobody knows what was meant."""
    assert mistakes(scenario(DEFAULT | event)) == [path]


@pytest.mark.parametrize(
    ("tables", "path"),
    [
        ({"charter": "none.toml"}, "charter"),
        ({"charter": 3}, "charter"),
        ({"charter": "bad.toml"}, "charter.line 1, column 1"),
        ({"charter": CHARTER | {"name": 3}}, "charter.name"),
        ({"partners": []}, "partners"),
        ({"partners": "ana"}, "partners"),
        ({"partners": ["ana", "bo", "cy", "bo"]}, "partners"),
        ({"partners": ["ana", "bo", ""]}, "partners"),
        ({"roles": {"bo": ["cook"]}}, "roles.bo"),
        ({"roles": {"bo": "baker"}}, "roles.bo"),
        ({"roles": {"zoe": ["baker"]}}, "roles.zoe"),
        ({"roles": ["baker"]}, "roles"),
        ({"inviter": {"bo": "zoe"}}, "inviter.bo"),
        ({"inviter": {"ana": "bo"}}, "inviter.ana"),
        ({"standing": {"bo": "guest"}}, "standing.bo"),
        ({"standing": {"ana": "partner"}}, "standing.ana"),
        ({"joined": {"bo": "soon"}}, "joined.bo"),
        ({"joined": {"ana": "3d"}}, "joined.ana"),
        ({"until": "1h"}, "until"),
        ({"until": "soon"}, "until"),
        ({"partner": ["ana"]}, "partner"),
    ],
)
def test_a_mistake_at_the_top_is_named(tables: dict[str, Any], path: str) -> None:
    """The charter must be one, partners must be known, and there are no other tables."""
    assert path in mistakes(scenario(**tables))


def test_everything_wrong_is_reported_at_once_and_in_order() -> None:
    """The top first, then the events, each by its number."""
    assert mistakes(
        scenario(
            {"at": "3d", "by": "zoe", "do": "leave"},
            {"at": "2d", "by": "bo", "do": "accept", "offer": "x", "colour": "red"},
            {"at": "4d", "by": "bo", "do": "dance"},
            {"at": "1d"},
            charter=CHARTER | {"name": 3, "points": {}},
            zebra=1,
            apple=2,
        )
    ) == [
        "zebra",
        "apple",
        "charter.name",
        "charter.points.pool",
        "event[3].by",
        "event[4].offer",
        "event[4].colour",
        "event[5].do",
        "event[6].by",
        "event[6].do",
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"do": "offer", "step": "roast", "units": 0},
        {"do": "offer", "step": "roast", "units": "three"},
        {"do": "offer", "step": "roast", "units": True},
        {"do": "offer", "step": "roast", "units": 10**9 + 1},
        {"do": "offer", "step": "roast"},
        {"do": "offer", "units": 1},
        {"do": "offer", "step": "fly", "units": 1},
        {"do": "offer", "step": 3, "units": 1},
        {"do": "offer", "step": "roast", "units": 1, "side": "both"},
        {"do": "offer", "step": "roast", "units": 1, "copies": 0},
        {"do": "offer", "step": "roast", "units": 1, "deadline": "soon"},
        {"do": "offer", "step": "roast", "units": 1, "note": 3},
        {"do": "offer", "open": "Sing", "points": 3},
        {"do": "accept"},
        {"do": "deliver", "deal": "d"},
        {"do": "deliver", "deal": "d", "units": -1},
        {"do": "approve", "deal": "d", "grade": 0},
        {"do": "approve", "deal": "d", "grade": 201},
        {"do": "verdict", "deal": "d", "grade": -1},
        {"do": "claim"},
        {"do": "claim", "kind": "song"},
        {"do": "claim", "kind": "share", "count": 0},
        {"do": "subscribe", "round": "late"},
        {"do": "subscribe", "round": "seed", "shares": 0},
        {"do": "donate"},
        {"do": "donate", "amount": 0},
        {"do": "cash", "type": "income", "amount": 1, "category": "No!"},
        {"do": "cash", "type": "income", "amount": 1, "category": "x", "currency": "euro"},
        {"do": "transfer", "to": "cy", "points": 0},
        {"do": "transfer", "points": 1},
        {"do": "propose"},
        {"do": "propose", "type": "expel"},
        {"do": "propose", "type": "revoke"},
        {"do": "propose", "type": "sale", "proceeds": 0},
        {"do": "propose", "type": "sale", "proceeds": 5, "costs": 6},
        {"do": "propose", "type": "sale", "proceeds": 5, "percent": 101},
        {"do": "propose", "type": "amend", "charter": {"charter": 2}},
        {"do": "propose", "type": "amend", "charter": "bad.toml"},
        {"do": "propose", "type": "amend", "charter": 7},
        {"do": "vote", "proposal": "o", "choice": "perhaps"},
        {"do": "away", "until": "next week"},
        {"do": "away"},
        {"do": "correct", "entry": "o"},
        {"do": "correct", "entry": "d"},
    ],
)
def test_what_no_command_line_would_sign_is_malformed(event: dict[str, Any]) -> None:
    """Such an event is shown, has a block, and changes nothing."""
    answer = outcome(DEFAULT | event)
    assert (answer["status"], answer["reason"]) == ("void", "malformed")


def test_words_are_read_over() -> None:
    """Notes and reasons may stand there as on the command line: no rule reads them."""
    event = {"do": "offer", "step": "roast", "units": 1, "note": "fresh", "at": "2d", "by": "bo"}
    assert outcome(event)["status"] == "sealed"


def test_a_name_of_a_void_entry_may_be_used() -> None:
    """What refers to it is void in its turn."""
    first = {"at": "2d", "by": "bo", "do": "offer", "step": "fly", "units": 1, "as": "x"}
    assert outcome(first, {"at": "2d", "by": "ana", "do": "accept", "offer": "x"})["reason"] == "offer-closed"


def test_an_inviter_may_come_later() -> None:
    """Until then nobody earns with whom it has brought."""
    events = [
        {"at": "2d", "by": "bo", "do": "claim", "kind": "share", "as": "c"},
        {"at": "2d", "by": "ana", "do": "attest", "claim": "c"},
    ]
    charter = CHARTER | {"referral": {"percent": 100}}
    assert outcome(*events, charter=charter, inviter={"bo": "cy"}, joined={"cy": "9d"})["status"] == "sealed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partners = [", "line 1, column 13"),
        ("a = 1\na = 2", "line 2, column 6"),
        ("a = " + "9" * 5_000, "64 bits"),
        ("a = " + "[" * 5_000, "not so deep"),
    ],
)
def test_a_text_that_is_no_toml_is_refused(text: str, words: str) -> None:
    """With the place of the fault, and whatever the parser stumbles over."""
    with pytest.raises(ScenarioError) as caught:
        read_text(text)
    assert words in str(caught.value)


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["bo", "o", "d", "1d", "roast"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_KEYS = st.sampled_from(
    "at by do as step units side to deadline expires copies open points payer offer deal grade entry amount claim kind "
    "count round shares type category currency from proposal choice charter partner role take percent until x".split()
)
_COMMANDS = st.sampled_from(
    "offer accept deliver approve reject cancel cosign dispute verdict return correct confirm endorse withdraw claim "
    "attest subscribe receipt donate cash use-voucher transfer propose vote paid received away leave back".split()
)


@given(st.lists(st.dictionaries(_KEYS, _VALUES, max_size=6), max_size=4), st.lists(_COMMANDS, min_size=4, max_size=4))
@settings(max_examples=400)
def test_any_document_is_a_scenario_or_is_refused(rows: list[dict[str, Any]], commands: list[str]) -> None:
    """Whatever stands in it, nothing fails: it is refused as a whole, or each event works or is void."""
    events = [{"at": "2d", "by": "bo", "do": do} | row for row, do in zip(rows, commands, strict=False)]
    try:
        read = read_scenario(scenario(*events), load)
    except ScenarioError as error:
        assert error.problems
        return
    answer = Rehearsal(read).play().to_json()
    assert sum(answer["accounts"]["POINT"].values()) == 0


@given(
    st.dictionaries(st.sampled_from("charter partners roles inviter standing joined until event x".split()), _VALUES)
)
@settings(max_examples=300)
def test_any_top_is_read_or_refused(tables: dict[str, Any]) -> None:
    """The same for what stands above the events."""
    try:
        read = read_scenario(copy.deepcopy(GOOD) | tables, load)
    except ScenarioError as error:
        assert error.problems
    else:
        assert Rehearsal(read).play().to_json()["height"] >= 0
