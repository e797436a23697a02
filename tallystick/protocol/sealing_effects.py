"""What goes in and out of the machine of one height: its times, its effects, its verdicts, and the facts it shows.

Effects are carried out in the order in which they are returned. A `Persist` is durable before the next one is begun:
what was signed must be known after a crash before anybody else knows it.

Source: docs/spec/finality.md#machine
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tallystick.protocol.block import Certificate
from tallystick.protocol.evidence import Evidence
from tallystick.protocol.proposal import ProposalBody
from tallystick.protocol.ready import Ready

Slot = tuple[int, int, int]
"""(height, round, step): a key signs one thing in each, and never in one that is not after the last it signed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long sealing waits for others, in milliseconds."""

    propose_ms: int = 10_000
    propose_step_ms: int = 5_000
    """More for each round."""
    vote_ms: int = 5_000
    vote_step_ms: int = 2_000
    timeout_ms_max: int = 120_000
    status_ms: int = 10_000
    """How often a STATUS goes out, and how far apart two READYs are at least."""
    present_ms: int = 30_000
    """For so long a message proves that its sealer is there."""
    patience_ms: int = 43_200_000
    """The wall-clock deadline of a timer in round 0; more in each round, up to six times as much."""

    def propose(self, round_: int) -> int:
        """Live time that a proposal may take."""
        return min(self.timeout_ms_max, self.propose_ms + self.propose_step_ms * round_)

    def vote(self, round_: int) -> int:
        """Live time that the rest of the votes may take."""
        return min(self.timeout_ms_max, self.vote_ms + self.vote_step_ms * round_)

    def patience(self, round_: int) -> int:
        """Wall-clock time that anything may take."""
        return self.patience_ms * min(6, round_ + 1)


class Verdict(StrEnum):
    """What executing a proposed block has shown."""

    VALID = "valid"
    """It is what its READYs and the state make of it; it and its entries are durable."""
    INVALID = "invalid"
    """For ever. What merely cannot be judged yet has no verdict yet."""


@dataclass(frozen=True, slots=True)
class Persist:
    """Write in one synced batch the record and the signed bytes, and raise the guard: all that before the next effect.

    `message` is what was signed, None where only the record has changed. `guard` is the last slot signed in.
    """

    record: bytes
    guard: Slot
    message: bytes | None


@dataclass(frozen=True, slots=True)
class Keep:
    """Store a message of somebody else, unsynced: a restart, a partner or a bundle may need it."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a message of our own to everybody."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Judge:
    """Fetch what the block needs, execute it, and answer with `judged`, when it can be said. Asked once."""

    block_id: bytes
    body: ProposalBody


@dataclass(frozen=True, slots=True)
class Build:
    """Make a block of these READYs, and answer with `built`; later, or never, where entries are missing."""

    round: int
    readys: tuple[Ready, ...]
    """In the order of the sealers."""


@dataclass(frozen=True, slots=True)
class NeedBody:
    """Ask others for the body of this block, and hand it over with `supply`. Repeated while it is missing."""

    block_id: bytes


@dataclass(frozen=True, slots=True)
class NeedPol:
    """Ask others for the prevotes for this block in this round (their `pol`), and `receive` them."""

    round: int
    block_id: bytes


@dataclass(frozen=True, slots=True)
class Decide:
    """The block is final. Store it with its certificate; this machine's work is done."""

    block_id: bytes
    certificate: Certificate
    body: ProposalBody


@dataclass(frozen=True, slots=True)
class Accuse:
    """A node key has signed a contradiction: write an entry `evidence`, if the key is not convicted yet."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Mute:
    """Our own key signed this vote, and the record does not know it: the key is in use elsewhere, or the record is old.

    The machine signs nothing more, until `unmute`.
    """

    message: bytes


@dataclass(frozen=True, slots=True)
class Disagree:
    """A quorum sealed a block that was judged INVALID here: stop, write down the difference, tell the person."""

    block_id: bytes
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Forked:
    """A valid certificate for another block than the one decided: the fork alarm."""

    certificate: Certificate


Effect = Persist | Keep | Send | Judge | Build | NeedBody | NeedPol | Decide | Accuse | Mute | Disagree | Forked


@dataclass(frozen=True, slots=True, kw_only=True)
class SealerFact:
    """What is known of one sealer in this height."""

    key: bytes
    ready: int | None
    """Clock of its READY; None without one."""
    present: bool
    prevoted: bool
    precommitted: bool
    """In the current round."""
    accused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Where a height stands, for `tally status`."""

    height: int
    round: int
    """-1 while READYs are waited for."""
    step: int
    sealers: tuple[SealerFact, ...]
    proposed: bytes | None
    """Block proposed in this round, if one is known."""
    locked: bytes | None
    skew_ms: int | None
    """How far the clocks of the others are ahead of ours, in the middle; None where nobody was heard of."""
    muted: bool
    decided: bytes | None
