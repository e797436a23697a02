"""The two numbers behind every count of votes, as a table and as what they must guarantee."""

import pytest

from tallystick.protocol.quorum import blocking, culprits_least, quorum


@pytest.mark.parametrize(
    ("count", "needed", "can_block", "least"),
    [
        (1, 1, 1, 1),
        (2, 2, 1, 2),
        (3, 2, 2, 1),
        (4, 3, 2, 2),
        (5, 4, 2, 3),
        (6, 5, 2, 4),
        (7, 5, 3, 3),
        (10, 7, 4, 4),
        (31, 21, 11, 11),
    ],
)
def test_the_numbers_of_the_specification(count: int, needed: int, can_block: int, least: int) -> None:
    """All of one or two, 2 of 3, more than two thirds from 4 on."""
    assert (quorum(count), blocking(count), culprits_least(count)) == (needed, can_block, least)


@pytest.mark.parametrize("count", range(1, 200))
def test_what_they_guarantee(count: int) -> None:
    """Two quorums share somebody; who blocks meets every quorum and one fewer does not; more than a third forks."""
    assert 1 <= quorum(count) <= count
    assert 2 * quorum(count) - count >= 1
    assert quorum(count) + blocking(count) == count + 1
    if count != 3:
        assert culprits_least(count) * 3 > count - 1
        assert culprits_least(count) == 2 * quorum(count) - count
    if count >= 4:
        assert 3 * quorum(count) > 2 * count >= 3 * (quorum(count) - 1)
