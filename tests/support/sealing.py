"""Sealers for tests: keys by number, blocks that mean nothing but have the right form, one machine on a table.

`QuickSigner` stands for Ed25519 where thousands of messages are signed: a keyed hash that `is_signed` can check. The
machine never looks at a signature, so it cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from tallystick.crypto.hashing import tagged_hash
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.ballot import Precommit, Prevote, make_precommit, make_prevote
from tallystick.protocol.block import Header, readys_hash
from tallystick.protocol.consensus import Height
from tallystick.protocol.proposal import Proposal, ProposalBody, make_proposal
from tallystick.protocol.ready import Ready, block_time, make_ready
from tallystick.protocol.sealing import Sealing, Status, make_status, read_sealing_untrusted
from tallystick.protocol.sealing_effects import Effect, Judge, Send, Slot, Times, Verdict
from tallystick.protocol.signed import Check

LEDGER = tagged_hash("test-ledger", b"")
PREV_ID = tagged_hash("test-block", b"")
HEIGHT = 12
"""proposer(round) = (12 + round) mod n: sealer 0 for n of 1 to 4 and 6, so round r is proposed by r mod n."""
START_MS = 1_772_323_200_000
PREV_TIME = START_MS - 60_000

VALID_ROOT = b"v" * 32
INVALID_ROOT = b"i" * 32

_SECRETS: dict[bytes, bytes] = {}


class QuickSigner:
    """A signer that costs next to nothing. Remembers what it signed in which slot, and refuses a second thing."""

    def __init__(self, number: int, ledger: bytes = LEDGER, *, honest: bool = True) -> None:
        self.secret = tagged_hash("test-sealer", number.to_bytes(2, "big"))
        self.public = tagged_hash("test-sealer-public", self.secret)
        self.honest = honest
        self.slots: dict[Slot, bytes] = {}
        self._ledger = ledger
        _SECRETS[self.public] = self.secret

    def sign(self, sign_type: SignType, payload: bytes) -> bytes:
        if self.honest and (slot := slot_of(sign_type, payload)) is not None:
            # The strongest oracle there is: it sees a double vote in the moment in which it is signed.
            assert self.slots.setdefault(slot, payload) == payload, f"signed twice in {slot}"
        return blake2b(signed_bytes(sign_type, self._ledger, payload), key=self.secret, digest_size=64).digest()


def slot_of(sign_type: SignType, payload: bytes) -> Slot | None:
    """The slot that a payload is signed in; None for what is no vote."""
    fields: Any = codec.decode(payload)
    if sign_type is SignType.PROPOSAL:
        return fields[2], fields[3], 0
    if sign_type in (SignType.PREVOTE, SignType.PRECOMMIT):
        return fields[3], fields[4], fields[2]
    return None


def is_signed(checks: Iterable[Check]) -> bool:
    """Whether all these signatures are those of quick signers."""
    return all(
        check.key in _SECRETS
        and blake2b(check.message, key=_SECRETS[check.key], digest_size=64).digest() == check.signature
        for check in checks
    )


def frontier(*heads: tuple[int, int]) -> bytes:
    """A frontier of (device number, seq): one branch for each device."""
    rows = {
        tagged_hash("test-device", bytes([device])): (seq, tagged_hash("test-entry", bytes([device, seq % 256])))
        for device, seq in heads
    }
    return codec.encode([[device, [rows[device]]] for device in sorted(rows)])


class Bench:
    """The sealers of one height, and everything they can sign. Sealer numbers are indices."""

    def __init__(self, count: int, height: int = HEIGHT) -> None:
        self.signers = [QuickSigner(number, honest=False) for number in range(count)]
        """They sign whatever a test wants. The machines have signers of their own, which refuse to sign twice."""
        self.own = [QuickSigner(number) for number in range(count)]
        self.keys = tuple(signer.public for signer in self.signers)
        self.height = height

    def machine(
        self,
        number: int | None = 0,
        *,
        cls: type[Height] = Height,
        record: bytes | None = None,
        guard: Slot = (0, 0, 0),
        times: Times | None = None,
        now: int = START_MS,
    ) -> Height:
        """The machine of one sealer; None for a node that does not seal."""
        return cls(
            ledger=LEDGER,
            height=self.height,
            prev_id=PREV_ID,
            prev_time=PREV_TIME,
            sealers=self.keys,
            own=None if number is None else self.own[number],
            times=times or Times(),
            record=record,
            guard=guard,
            now=now,
        )

    def ready(self, number: int, *, time: int = START_MS, seq: int = 0, prev_id: bytes = PREV_ID) -> Ready:
        return make_ready(
            self.signers[number],
            ledger=LEDGER,
            height=self.height,
            prev_id=prev_id,
            time=time,
            frontier=frontier((number, seq)),
            count=seq + 1,
        )

    def readys(self, numbers: Iterable[int] | None = None, *, time: int = START_MS) -> tuple[Ready, ...]:
        """READYs of these sealers, or of all."""
        return tuple(
            self.ready(number, time=time) for number in (range(len(self.keys)) if numbers is None else numbers)
        )

    def body(
        self,
        round_: int,
        *,
        readys: Sequence[Ready] | None = None,
        label: int = 0,
        root: bytes = VALID_ROOT,
        prevotes: tuple[Prevote, ...] = (),
        **changes: Any,
    ) -> ProposalBody:
        """A block made in this round; `label` makes it another one, `changes` are fields of its header."""
        chosen = tuple(self.readys() if readys is None else readys)
        fields: dict[str, Any] = {
            "ledger": LEDGER,
            "height": self.height,
            "prev_id": PREV_ID,
            "time": block_time(PREV_TIME, chosen),
            "proposer": (self.height + round_) % len(self.keys),
            "round_created": round_,
            "readys_hash": readys_hash(chosen, self.keys),
            "entry_count": label,
            "log_size": 0,
            "log_root": bytes(32),
            "state_root": root,
            "sealers_hash": bytes(32),
            "sealers_next_hash": bytes(32),
            "charter_hash": bytes(32),
            "rules_version": 1,
        }
        return ProposalBody(header=Header(**(fields | changes)), readys=chosen, prevotes=prevotes)

    def proposer(self, round_: int) -> int:
        return (self.height + round_) % len(self.keys)

    def proposal(self, round_: int, body: ProposalBody, *, vr: int = -1, prevotes: Iterable[Prevote] = ()) -> Proposal:
        """The proposal of this round's proposer."""
        whole = ProposalBody(header=body.header, readys=body.readys, prevotes=tuple(prevotes))
        signer = self.signers[self.proposer(round_)]
        return make_proposal(signer, ledger=LEDGER, height=self.height, round_=round_, vr=vr, body=whole)

    def prevote(self, number: int, round_: int, block_id: bytes | None, jr: int = -1) -> Prevote:
        signer = self.signers[number]
        return make_prevote(signer, ledger=LEDGER, height=self.height, round_=round_, block_id=block_id, jr=jr)

    def precommit(self, number: int, round_: int, block_id: bytes | None) -> Precommit:
        signer = self.signers[number]
        return make_precommit(signer, ledger=LEDGER, height=self.height, round_=round_, block_id=block_id)

    def status(self, number: int, *, round_: int = -1, step: int = 0, now: int = START_MS, **bits: int) -> Status:
        return make_status(
            self.signers[number],
            ledger=LEDGER,
            height=self.height,
            round_=round_,
            step=step,
            prevotes=bits.get("prevotes", 0),
            precommits=bits.get("precommits", 0),
            now=now,
        )


def give(machine: Height, *messages: Sealing, now: int = START_MS, fresh: bool = True) -> list[Effect]:
    """Hand messages to a machine, one after the other, and judge what it wants judged by its state root."""
    effects: list[Effect] = []
    for message in messages:
        effects += settle(machine, machine.receive(message, now, fresh=fresh), now)
    return effects


def settle(machine: Height, effects: list[Effect], now: int = START_MS) -> list[Effect]:
    """Answer every Judge among effects, and those that follow; return all effects."""
    out: list[Effect] = []
    queue = list(effects)
    while queue:
        effect = queue.pop(0)
        out.append(effect)
        if isinstance(effect, Judge):
            queue += machine.judged(effect.block_id, verdict_on(effect.body), now)
    return out


def verdict_on(body: ProposalBody) -> Verdict:
    """What every honest node says of a block in these tests."""
    return Verdict.INVALID if body.header.state_root == INVALID_ROOT else Verdict.VALID


def sent(effects: Iterable[Effect]) -> list[Sealing]:
    """What was sent, STATUS left out."""
    messages = [read_sealing_untrusted(effect.message) for effect in effects if isinstance(effect, Send)]
    return [message for message in messages if not isinstance(message, Status)]


def opened(number: int | None = 1, count: int = 4) -> tuple[Bench, Height]:
    """A machine in round 0, with the READYs of all."""
    bench = Bench(count)
    machine = bench.machine(number)
    assert machine.start(START_MS) == []
    give(machine, *bench.readys(each for each in range(count) if each != number))
    if number is not None:
        machine.wish(frontier((number, 0)), 1, START_MS)
    assert machine.round == 0
    return bench, machine


def round_of(bench: Bench, machine: Height, round_: int) -> None:
    """Bring a machine into a round by what others sent there (R2)."""
    others = [number for number in range(4) if bench.keys[number] != bench.keys[machine._me or 0]]
    give(machine, *(bench.precommit(number, round_, None) for number in others[:2]))
    assert machine.round == round_


def of_type(effects: list[Effect], kind: type[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, kind)]


def only(effects: list[Effect]) -> Sealing:
    """The one message that was sent."""
    (message,) = sent(effects)
    return message
