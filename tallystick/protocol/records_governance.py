"""What the state keeps of votes, amendments and the course of the venture: one immutable record a row."""

from typing import Literal

from tallystick.protocol.records import Record

ProposalType = Literal[
    "amend",
    "ratify",
    "expel",
    "suspend",
    "reinstate",
    "role",
    "sale",
    "dividend",
    "release",
    "revoke",
    "recover",
    "erase",
    "rules",
    "text",
]
Choice = Literal["yes", "no", "abstain"]
ProposalStatus = Literal["open", "passed", "failed"]


class Course(Record, frozen=True):
    """How far the venture has come: one row, written at the founding."""

    trial: bool
    """Nobody has ratified the charter yet."""
    reached: bool = False
    """The objective of the charter in force has been reached."""
    met: bool = False
    """A second partner has joined, once and for all."""
    sold: bool = False
    """The whole has been sold."""
    proposal_next: int = 0
    """Number of the next proposal: outcomes follow the order of the proposals."""


class Elector(Record, frozen=True):
    """Somebody who may vote on a proposal, and with which weight."""

    member: bytes
    weight: int


class Vote(Record, frozen=True):
    """The last word of an elector."""

    member: bytes
    choice: Choice


class Ballot(Record, frozen=True):
    """Who decides a proposal and when: fixed at the end of the block that sealed it."""

    electors: tuple[Elector, ...]
    """Ascending by id."""
    fraction: tuple[int, int]
    quorum: tuple[int, int]
    notice: int
    """It is not decided before this time (ms), unless all others have said yes."""
    end: int
    """From this time (ms) on nobody votes any more."""
    due: tuple[tuple[int, int], ...] = ()
    """The ticks at which it is judged."""


class Proposal(Record, frozen=True):
    """What is, or was, put to the vote. Its id is the id of the `propose` entry."""

    number: int
    author: bytes
    what: ProposalType
    at: int
    subject: bytes = b""
    """The member, deal, device or entry that it is about; for an amendment the hash of the charter it replaces."""
    charter: bytes = b""
    """The whole new charter, while it is open."""
    role: str = ""
    take: bool = False
    amount: int = 0
    """Proceeds of a sale, amount of a dividend, version of the rules, last good number of a device's chain."""
    costs: int = 0
    percent: int = 0
    last: bytes = b""
    """Id of the last good entry of a device."""
    status: ProposalStatus = "open"
    ballot: Ballot | None = None
    """None in the block that seals it, and again once it is decided."""
    votes: tuple[Vote, ...] = ()
    """Ascending by member; empty again once it is decided."""
    yes: int = 0
    """Weights, when it is decided."""
    no: int = 0
    abstain: int = 0
    total: int = 0
    decided: int = 0
    """Block time at which it passed or failed."""


class Amendment(Record, frozen=True):
    """A charter that has been adopted and waits out its grace: at most one."""

    proposal: bytes
    data: bytes
    due: int


class Erased(Record, frozen=True):
    """An entry whose words are deleted everywhere."""

    by: bytes
    """The `erase` entry, or the proposal."""
