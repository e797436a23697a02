"""The votes of one height, conflicting ones too, and how they are counted.

    count(pv[r], v) = |{i : prevote (i, v, jr), jr = -1 or (jr < r and count(pv[jr], v) >= Q)}|
    any(d)          = |{i with a vote in d}|

A prevote that names an earlier quorum as its reason counts only where that quorum is here: a liar who could name any
round would be free of what it signed before. All different votes of a sealer are kept, at most four in a round and of a
type: with the first one alone, a quorum that formed on another one's other vote could never be shown.

Source: docs/spec/finality.md#votes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tallystick.protocol.ballot import Precommit, Prevote
from tallystick.protocol.proposal import PREVOTES_MAX

VOTES_MAX: Final = 4
"""Different votes of one sealer in one round and of one type. An honest one has one."""
ROUNDS_AHEAD_MAX: Final = 8
"""Rounds of one sealer beyond the next one that are kept, the highest. Honest sealers only climb."""
ROUNDS_BEHIND_MAX: Final = 64
"""Rounds behind that are kept though no quorum formed in them. Later rounds lose nothing without them."""


class Votes:
    """Prevotes and precommits by round and sealer index."""

    def __init__(self, quorum: int) -> None:
        self._quorum = quorum
        self.prevotes: dict[int, dict[int, list[Prevote]]] = {}
        self.precommits: dict[int, dict[int, list[Precommit]]] = {}
        self.committed: dict[bytes, int] = {}
        """Block id -> round in which a quorum precommitted it."""
        self._counts: dict[tuple[int, bytes | None], int] = {}

    # -- taking ----------------------------------------------------------------------------------------------------

    def has(self, index: int, vote: Prevote | Precommit) -> bool:
        """Whether this vote is here."""
        return any(other.payload == vote.payload for other in self._of(index, vote))

    def has_room(self, index: int, vote: Prevote | Precommit) -> bool:
        """Whether another vote of this sealer in this round and of this type may be kept."""
        return len(self._of(index, vote)) < VOTES_MAX

    def add(self, index: int, vote: Prevote | Precommit) -> bool:
        """Keep a vote, whatever the limits say; False where it is here already."""
        if self.has(index, vote):
            return False
        if isinstance(vote, Prevote):
            self.prevotes.setdefault(vote.round, {}).setdefault(index, []).append(vote)
            self._counts.clear()
        else:
            self.precommits.setdefault(vote.round, {}).setdefault(index, []).append(vote)
            block_id = vote.block_id
            if block_id is not None and self.precommit_count(vote.round, block_id) >= self._quorum:
                self.committed.setdefault(block_id, vote.round)
        return True

    def of(self, index: int) -> Iterator[Prevote | Precommit]:
        """All votes of a sealer."""
        for rounds in (self.prevotes, self.precommits):
            for by_sealer in rounds.values():
                yield from by_sealer.get(index, ())

    def _of(self, index: int, vote: Prevote | Precommit) -> list[Prevote] | list[Precommit]:
        if isinstance(vote, Prevote):
            return self.prevotes.get(vote.round, {}).get(index, [])
        return self.precommits.get(vote.round, {}).get(index, [])

    # -- counting --------------------------------------------------------------------------------------------------

    def is_justified(self, vote: Prevote) -> bool:
        """Whether a prevote counts: it needs no reason, or the quorum it names is here."""
        return vote.jr == -1 or (vote.jr < vote.round and self.has_polka(vote.jr, vote.block_id))

    def count(self, round_: int, block_id: bytes | None) -> int:
        """How many sealers have a prevote for this, in this round, that counts."""
        key = (round_, block_id)
        count = self._counts.get(key)
        if count is None:
            count = sum(self.is_counted(index, round_, block_id) for index in self.prevotes.get(round_, ()))
            self._counts[key] = count
        return count

    def is_counted(self, index: int, round_: int, block_id: bytes | None) -> bool:
        """Whether a sealer has a prevote for this, in this round, that counts."""
        votes = self.prevotes.get(round_, {}).get(index, ())
        return any(vote.block_id == block_id and self.is_justified(vote) for vote in votes)

    def has_polka(self, round_: int, block_id: bytes | None) -> bool:
        """Whether a quorum prevoted for this in this round."""
        return round_ in self.prevotes and self.count(round_, block_id) >= self._quorum

    def polkas(self, round_: int) -> list[bytes]:
        """The blocks that a quorum prevoted for in this round, ascending: one, while fewer than 2Q-n sealers cheat."""
        named = {
            vote.block_id
            for votes in self.prevotes.get(round_, {}).values()
            for vote in votes
            if vote.block_id is not None
        }
        return [block_id for block_id in sorted(named) if self.has_polka(round_, block_id)]

    def prevoters(self, round_: int) -> set[int]:
        """The sealers with any prevote in this round."""
        return set(self.prevotes.get(round_, ()))

    def precommitters(self, round_: int) -> set[int]:
        """The sealers with any precommit in this round."""
        return set(self.precommits.get(round_, ()))

    def precommit_count(self, round_: int, block_id: bytes) -> int:
        """How many sealers precommitted this block in this round."""
        return len(self.precommits_for(round_, block_id))

    def precommits_for(self, round_: int, block_id: bytes) -> list[tuple[int, bytes]]:
        """(sealer index, signature) of the precommits for this block in this round, ascending."""
        return sorted(
            (index, vote.signature)
            for index, votes in self.precommits.get(round_, {}).items()
            for vote in votes
            if vote.block_id == block_id
        )

    # -- proofs ----------------------------------------------------------------------------------------------------

    def proof(self, round_: int, block_id: bytes) -> list[Prevote]:
        """The prevotes that show a quorum for a block in a round, and those that they rely on, by round.

        As few as possible: of each round a quorum, those without a reason first. Whoever takes them in this order can
        count each one when it comes.
        """
        chosen: list[Prevote] = []
        wanted = {round_}
        done: set[int] = set()
        while wanted:
            # Reasons lie in earlier rounds, so no round comes up twice.
            at = max(wanted)
            wanted.remove(at)
            done.add(at)
            rows = self._best(at, block_id)[: self._quorum]
            if len(chosen) + len(rows) > PREVOTES_MAX:
                break
            chosen += rows
            wanted |= {vote.jr for vote in rows if vote.jr >= 0} - done
        return sorted(chosen, key=lambda vote: vote.round)

    def _best(self, round_: int, block_id: bytes) -> list[Prevote]:
        rows = []
        for index, votes in sorted(self.prevotes.get(round_, {}).items()):
            counted = [vote for vote in votes if vote.block_id == block_id and self.is_justified(vote)]
            if counted:
                best = min(counted, key=lambda vote: vote.jr)
                rows.append((best.jr, index, best))
        return [vote for _, _, vote in sorted(rows, key=lambda row: row[:2])]

    # -- bounds ----------------------------------------------------------------------------------------------------

    def rounds(self) -> set[int]:
        """Rounds in which there is any vote."""
        return self.prevotes.keys() | self.precommits.keys()

    def prune(self, is_wanted: Callable[[int], bool]) -> None:
        """Drop the rounds that nobody needs any more."""
        for rounds in (self.prevotes, self.precommits):
            for round_ in [each for each in rounds if not is_wanted(each)]:
                del rounds[round_]
        self._counts.clear()

    def forget(self, index: int, round_: int) -> None:
        """Drop what one sealer sent for one round."""
        for rounds in (self.prevotes, self.precommits):
            rounds.get(round_, {}).pop(index, None)
            if not rounds.get(round_, True):
                del rounds[round_]
        self._counts.clear()
