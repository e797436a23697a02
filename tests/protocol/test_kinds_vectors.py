"""Golden cases of entry kinds: every kind is accepted at least once and refused for each reason that it names."""

import re
from typing import Any

import pytest

from tallystick.protocol.errors import Reason
from tallystick.protocol.kinds.table import KINDS
from tests.support.vectors import FOLDER, Case, play, read_cases

#: Kinds whose cases are written out in words: those of members and devices need keys and blocks.
IN_WORDS = {
    "admit",
    "device.add",
    "device.claim",
    "device.retire",
    "device.revoke",
    "erase",
    "evidence",
    "found",
    "invite",
    "join",
    "recover.approve",
    "recover.request",
    "recovery.change",
    "refound",
    "refuse",
    "sealer.off",
    "sealer.on",
    "uninvite",
}
#: Reasons that lie in who writes, not in what: any kind can give them.
OF_THE_AUTHOR = {"not-a-partner", "not-allowed", "not-active", "not-a-member"}

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
CASES = [case for name in NAMES for case in read_cases(name)]


def _name(case: Case) -> str:
    return f"{case['kind']}-{case['name']}".replace(" ", "-")


def named_reasons(kind: str) -> set[str]:
    """The reasons that the rule of a kind names in its docstring."""
    words = re.search(r"Raises EntryError: (.*)", KINDS[kind].apply.__doc__ or "", re.DOTALL)
    return set() if words is None else {Reason[name].value for name in re.findall(r"\b[A-Z_]{2,}\b", words[1])}


def test_every_kind_has_cases() -> None:
    """A kind without a file would be left out of everything below."""
    assert set(NAMES) - set(KINDS) == set(), "cases of a kind that is not there"
    assert set(KINDS) - set(NAMES) - IN_WORDS == set(), "a kind without cases"


@pytest.mark.parametrize("kind", NAMES)
def test_a_kind_is_accepted_and_refused_for_each_of_its_reasons(kind: str) -> None:
    """A file that only shows one side, or nothing, shows nothing."""
    outcomes = {case["expect"] for case in read_cases(kind)}
    assert named_reasons(kind), "its rule names no reason"
    assert None in outcomes
    assert len(outcomes) > 1
    assert outcomes - {None} - OF_THE_AUTHOR <= named_reasons(kind)
    assert named_reasons(kind) <= outcomes


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_case(case: dict[str, Any]) -> None:
    """What becomes of the entry is what the file says."""
    reason, moved = play(case)
    assert reason == case["expect"]
    assert moved == case.get("postings", []), moved
