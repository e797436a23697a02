"""Entry kind `found`: the first entry of a ledger. Its id is the ledger id and the founder's member id.

Source: docs/spec/entries.md#found
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import msgspec

from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import codec, records
from tallystick.protocol.act import POINT, Act
from tallystick.protocol.charter import CharterError, from_bytes
from tallystick.protocol.duty import start_cycle
from tallystick.protocol.entry import Entry
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Bytes64, Proof
from tallystick.protocol.lots import earn
from tallystick.protocol.records_governance import Course

#: The rules of this version of the software (finality, section 3).
RULES_VERSION = 1
#: Role that every ledger has.
TREASURER = "treasurer"


class Found(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "found"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    INTRODUCES: ClassVar[bool] = True

    charter: bytes
    """Canonical bytes of the whole charter."""
    node_key: Bytes32
    recovery: Bytes32
    possession: Bytes64
    """By the node key, over [signing key, node key, recovery key]."""

    def check(self) -> None:
        try:
            from_bytes(self.charter)
        except CharterError as error:
            raise EntryError(Reason.MALFORMED, f"charter: {error}") from None

    def enrols(self) -> tuple[bytes, ...]:
        return self.node_key, self.recovery

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        return (possession_proof(entry, self.node_key, self.recovery, self.possession),)

    def apply(self, act: Act) -> None:
        state = act.state
        entry = act.entry
        if entry is None or state.founded:
            raise EntryError(Reason.ALREADY_DONE, "a ledger is founded once")
        found_state(
            act,
            charter=self.charter,
            founder=entry.id,
            device=entry.device,
            head=entry.id,
            node_key=self.node_key,
            recovery=self.recovery,
        )
        start_cycle(act, act.charter.duty)


def found_state(
    act: Act, *, charter: bytes, founder: bytes, device: bytes, head: bytes, node_key: bytes, recovery: bytes
) -> None:
    """The state of a founder: it holds every role, seals, and has its start points. No duty cycle is drawn yet."""
    state = act.state
    rules = from_bytes(charter)
    state.founded.set("", records.Founded(act.context.ledger, act.at, founder))
    state.rules.set("", records.Rules(RULES_VERSION, 0, 1))
    state.charters.set("", records.CharterRow(1, charter, rules.hash))
    state.courses.set("", Course(trial=rules.trial))
    state.members.set(
        founder,
        records.Member(
            standing="partner",
            status="active",
            recovery=recovery,
            inviter=None,
            since=act.at,
            probation_until=act.at,
            roles=tuple(sorted({*rules.roles, TREASURER})),
        ),
    )
    state.devices.set(device, records.Device(founder, node_key, "all", "active", 0, head, act.at))
    enrol_keys(act, founder, device=device, node_key=node_key, recovery=recovery)
    state.sealers.set(0, records.Sealer(founder, device, node_key, "active", act.at))
    act.post(POINT, "issued", "pool", rules.points.pool, "points.pool", f"{rules.points.pool}")
    grant_start(act, founder)


def enrol_keys(act: Act, member: bytes, *, device: bytes, node_key: bytes, recovery: bytes | None) -> None:
    """Write the keys down as used, for ever.

    Raises EntryError: KEY_USED.
    """
    uses: list[tuple[bytes, Literal["signing", "node", "recovery"]]] = [(device, "signing"), (node_key, "node")]
    if recovery is not None:
        uses.append((recovery, "recovery"))
    for key, use in uses:
        if key in act.state.keys:
            raise EntryError(Reason.KEY_USED, use)
        act.state.keys.set(key, records.KeyUse(use, member))


def grant_start(act: Act, member: bytes) -> None:
    """Points to begin with, as far as the pool holds (charter, meaning 4)."""
    row = act.state.members[member]
    if row.started:
        return
    act.state.members.set(member, msgspec.structs.replace(row, started=True))
    start = act.charter.points.start
    amount = min(start, act.state.balance(POINT, "pool"))
    if amount:
        act.post(POINT, "pool", f"partner/{member.hex()}", amount, "points.start", f"{amount}")
        earn(act, member, amount)


def possession_proof(entry: Entry, node_key: bytes, recovery: bytes, signature: bytes) -> Proof:
    """The node key signs the three new keys together, so that nobody enrols a key that is not theirs."""
    payload = codec.encode([entry.device, node_key, recovery])
    return Proof(node_key, signed_bytes(SignType.POSSESSION, entry.ledger, payload), signature)
