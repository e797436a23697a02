"""Entry kinds `refound` and `rejoin`: a ledger founded anew on a state of another, and joining it.

Source: docs/spec/finality.md#founding-anew
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.protocol import codec, refounding
from tallystick.protocol.act import Act
from tallystick.protocol.entry import Entry
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32, Bytes64, Proof
from tallystick.protocol.membership import is_full_partner
from tallystick.protocol.records import Record
from tallystick.protocol.records_refounding import Refounded

LINE_MAX: Final = 32
SIGNATURES_MAX: Final = 512


class Before(Record, frozen=True):
    """A ledger before this one, and its last block that counts here."""

    ledger: Bytes32
    height: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


class Signed(Record, frozen=True):
    """What a partner has signed, with a device that the state knows."""

    device: Bytes32
    signature: Bytes64


class Refound(Body, frozen=True, kw_only=True):
    """A ledger founded anew: its first entry, whose id is its ledger id. The blocks before stay, and so do all ids."""

    KIND: ClassVar[str] = "refound"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    SUSPENDED_MAY: ClassVar[bool] = False
    AFTER_SALE: ClassVar[bool] = True
    STANDS_STILL: ClassVar[bool] = True

    line: Annotated[tuple[Before, ...], msgspec.Meta(min_length=1, max_length=LINE_MAX)]
    """All ledgers before, oldest first; the last is the one it goes on with."""
    block: Bytes32
    """Id of that ledger's last block, which the header cites too."""
    state_root: Bytes32
    signatures: Annotated[tuple[Signed, ...], msgspec.Meta(min_length=1, max_length=SIGNATURES_MAX)]
    """Ascending by device, one a partner, the founder's among them."""

    def check(self) -> None:
        heights = [each.height for each in self.line]
        if any(high <= low for low, high in pairwise(heights)):
            raise EntryError(Reason.MALFORMED, "line: heights that do not rise")
        devices = [each.device for each in self.signatures]
        if any(high <= low for low, high in pairwise(devices)):
            raise EntryError(Reason.MALFORMED, "signatures: not ascending")

    def to_map(self) -> dict[str, Any]:
        body = super().to_map()
        body["line"] = [[each.ledger, each.height] for each in self.line]
        body["signatures"] = [[each.device, each.signature] for each in self.signatures]
        return body

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        before = self.line[-1]
        if entry.seal != (before.height, self.block):
            raise EntryError(Reason.BAD_SIGNATURE, "its header cites another block")
        message = refound_message(before.ledger, before.height, self.block, self.state_root, entry.device)
        return tuple(Proof(each.device, message, each.signature) for each in self.signatures)

    def apply(self, act: Act) -> None:
        """Raises EntryError: ALREADY_DONE, NOT_ALLOWED, TOO_FEW_SIGNED, tried in that order."""
        state, entry, before = act.state, act.entry, self.line[-1]
        if entry is None or entry.id != act.context.ledger:
            raise EntryError(Reason.ALREADY_DONE, "this ledger is founded")
        time = act.context.time_prev
        signed: set[bytes] = set()
        for each in self.signatures:
            device = state.devices.get(each.device)
            if device is None or device.status != "active" or device.scope != "all" or device.member in signed:
                raise EntryError(Reason.NOT_ALLOWED, "a signature of no device, or a second one of a partner")
            if not is_full_partner(state.members[device.member], time):
                raise EntryError(Reason.NOT_ALLOWED, "a signature of somebody who was no partner")
            signed.add(device.member)
        if act.author_id not in signed:
            raise EntryError(Reason.NOT_ALLOWED, "the founder has not signed")
        partners = refounding.partners_at(state, time)
        if len(signed) < refounding.signatures_needed(partners):
            raise EntryError(Reason.TOO_FEW_SIGNED, f"{len(signed)} of {partners}")
        row = Refounded(
            founding=entry.id,
            ledger=before.ledger,
            height=before.height,
            block_id=self.block,
            state_root=self.state_root,
            time=time,
            at=act.at,
            signed=tuple(sorted(signed)),
            partners=partners,
            joined=1,
        )
        refounding.stand_still(act, founder=act.author_id, device=entry.device, row=row)


class Rejoin(Body, frozen=True, kw_only=True):
    """A member of the ledger before joins the one that was founded anew: with its id, its keys and all that it has."""

    KIND: ClassVar[str] = "rejoin"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    AFTER_SALE: ClassVar[bool] = True

    founding: Bytes32
    """The founding entry: whoever joins says which ledger."""

    def refs(self) -> tuple[bytes, ...]:
        return (self.founding,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, ALREADY_DONE, tried in that order."""
        row = act.state.refounded.get("")
        if row is None or row.founding != self.founding or act.author is None:
            raise EntryError(Reason.NOT_FOUND, "no founding anew that counts here")
        refounding.join(act, act.author)


def refound_message(ledger: bytes, height: int, block_id: bytes, state_root: bytes, founder: bytes) -> bytes:
    """What each partner signs: the state, and the device that founds the ledger anew on it."""
    return signed_bytes(SignType.REFOUND, ledger, codec.encode([ledger, height, block_id, state_root, founder]))
