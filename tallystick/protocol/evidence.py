"""Evidence: two messages of one node key that no honest node signs both of.

    [code, accused key, [type, payload, signature], [type, payload, signature]]

    e1  two different votes of one type, height and round
    e2  two different proposals of one height and round
    e3  a PRECOMMIT of A in round r, and a PREVOTE of another block in a later round whose reason (jr) is older than r

E1 and E2 have the smaller payload first, E3 the precommit: one pair of messages is one piece of evidence. It convicts a
key and not a person; a node key lies unencrypted on a disk.

Source: docs/spec/finality.md#evidence
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tallystick.crypto.signatures import SIGNATURE_SIZE_BYTES, SignType
from tallystick.protocol import codec
from tallystick.protocol.ballot import (
    Precommit,
    Prevote,
    precommit_payload,
    read_precommit_untrusted,
    read_prevote_untrusted,
)
from tallystick.protocol.block import Certificate
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.proposal import Proposal, read_proposal_untrusted
from tallystick.protocol.signed import PAYLOAD_SIZE_BYTES_MAX, Check, Envelope, Fields

EVIDENCE_SIZE_BYTES_MAX: Final = 2048

Code = Literal["e1", "e2", "e3"]
Vote = Proposal | Prevote | Precommit
"""What a key may sign once in each of its slots."""

_READERS: Final[Mapping[str, Callable[[Envelope], Vote]]] = {
    SignType.PROPOSAL.value: read_proposal_untrusted,
    SignType.PREVOTE.value: read_prevote_untrusted,
    SignType.PRECOMMIT.value: read_precommit_untrusted,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A contradiction, well formed; whether its signatures hold, `checks` is for."""

    code: Code
    first: Vote
    second: Vote

    @property
    def accused(self) -> bytes:
        """The node key that signed both."""
        return self.first.signer

    @property
    def ledger(self) -> bytes:
        return self.first.ledger

    @property
    def height(self) -> int:
        return self.first.height

    def checks(self) -> list[Check]:
        """The two signatures that have to hold."""
        return [self.first.check(), self.second.check()]

    def encode(self) -> bytes:
        """The canonical bytes."""
        rows = [[vote.TYPE.value, vote.payload, vote.signature] for vote in (self.first, self.second)]
        return codec.encode([self.code, self.accused, *rows])


def read_evidence_untrusted(data: bytes) -> Evidence:
    """Read a piece of evidence that proves what it says, if its signatures hold.

    Raises DecodeError; BlockError: MALFORMED, UNKNOWN_TYPE, NO_CONTRADICTION, NOT_CANONICAL (another code or order).
    """
    fields = Fields(codec.decode(data, size_max=EVIDENCE_SIZE_BYTES_MAX), 4)
    code = fields.text()
    accused = fields.fixed()
    first, second = (_read_vote(fields.array(3), accused) for _ in range(2))
    evidence = contradiction(first, second)
    if evidence is None:
        raise BlockError(BlockReason.NO_CONTRADICTION)
    if evidence.code != code or evidence.first is not first:
        raise BlockError(BlockReason.NOT_CANONICAL, "another code or order")
    return evidence


def _read_vote(row: list[object], signer: bytes) -> Vote:
    fields = Fields(row, 3)
    name = fields.text()
    reader = _READERS.get(name)
    if reader is None:
        raise BlockError(BlockReason.UNKNOWN_TYPE, name[:32])
    payload = fields.blob(PAYLOAD_SIZE_BYTES_MAX)
    return reader(Envelope(name, payload, signer, fields.fixed(SIGNATURE_SIZE_BYTES), None))


def check_evidence(evidence: Evidence, ledger: bytes) -> bytes:
    """Return the key that a piece of evidence convicts in a ledger, if its signatures hold.

    Raises BlockError: WRONG_LEDGER, NO_CONTRADICTION, NOT_CANONICAL.
    """
    if evidence.ledger != ledger:
        raise BlockError(BlockReason.WRONG_LEDGER)
    proven = contradiction(evidence.first, evidence.second)
    if proven is None:
        raise BlockError(BlockReason.NO_CONTRADICTION)
    if proven.code != evidence.code or proven.first is not evidence.first:
        raise BlockError(BlockReason.NOT_CANONICAL)
    return evidence.accused


def contradiction(one: Vote, other: Vote) -> Evidence | None:
    """Return what two messages prove against their signer, or None: then one honest node may have signed both."""
    if (one.signer, one.ledger, one.height) != (other.signer, other.ledger, other.height):
        return None
    if one.TYPE is other.TYPE:
        # A signature is no part of the message: one message has many valid ones.
        if one.round != other.round or one.payload == other.payload:
            return None
        first, second = sorted((one, other), key=lambda vote: vote.payload)
        code: Code = "e2" if one.TYPE is SignType.PROPOSAL else "e1"
        return Evidence(code=code, first=_bare(first), second=_bare(second))
    for committed, prevoted in ((one, other), (other, one)):
        if isinstance(committed, Precommit) and isinstance(prevoted, Prevote) and _is_amnesia(committed, prevoted):
            return Evidence(code="e3", first=committed, second=prevoted)
    return None


def _bare(vote: Vote) -> Vote:
    """A proposal without its body: evidence is about what was signed."""
    return vote.without_body() if isinstance(vote, Proposal) and vote.body is not None else vote


def _is_amnesia(committed: Precommit, prevoted: Prevote) -> bool:
    """Whether the prevote forgets the lock that the precommit tells of.

    Whoever precommits A in r is locked on it, and may prevote another block later only with a quorum of prevotes for
    that block from r or after it. So an honest jr is never older than r.
    """
    return (
        committed.block_id is not None
        and prevoted.block_id not in (None, committed.block_id)
        and prevoted.round > committed.round
        and prevoted.jr < committed.round
    )


def find_evidence(votes: Iterable[Vote]) -> list[Evidence]:
    """Return one piece of evidence against every signer whose votes contradict each other, ascending by key.

    For the culprits of a fork: give it all votes of both sides, those in certificates too.
    """
    by_signer: dict[bytes, list[Vote]] = {}
    for vote in votes:
        by_signer.setdefault(vote.signer, []).append(vote)
    found = []
    for signer in sorted(by_signer):
        # Sorted, so that everybody who has the same votes writes the same evidence.
        mine = sorted(by_signer[signer], key=lambda vote: (vote.TYPE.value, vote.payload))
        evidence = next(
            (proof for at, one in enumerate(mine) for other in mine[:at] if (proof := contradiction(other, one))), None
        )
        if evidence is not None:
            found.append(evidence)
    return found


def precommits_of(certificate: Certificate, ledger: bytes, sealers: Sequence[bytes]) -> list[Precommit]:
    """The votes that a certificate consists of, as messages; `sealers` are the node keys of its height in order."""
    payload = precommit_payload(ledger, certificate.height, certificate.round, certificate.block_id)
    return [
        read_precommit_untrusted(Envelope(SignType.PRECOMMIT.value, payload, sealers[index], signature, None))
        for index, signature in certificate.votes
    ]
