"""How many sealers decide, and how many can block: the two numbers behind every count of votes.

Source: docs/spec/finality.md#sealers
"""

from __future__ import annotations


def quorum(count: int) -> int:
    """How many of `count` sealers decide: all of one or two, 2 of 3, from 4 on more than two thirds.

    Two of three leave a fork to a single cheater, who is named by it; all of three would let one sleeping laptop stop
    everybody.
    """
    if count <= 2:
        return count
    return 2 if count == 3 else 2 * count // 3 + 1


def blocking(count: int) -> int:
    """How many sealers meet every quorum of `count`: that many cannot be left out of a decision."""
    return count - quorum(count) + 1


def culprits_least(count: int) -> int:
    """How many sealers at least have signed contradictions when a ledger has forked."""
    return max(1, 2 * quorum(count) - count)
