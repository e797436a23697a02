"""Entry kind `evidence`: two messages of one node key that no honest node signs both of. That key never seals again.

The partner keeps all other rights and may name another device: what is convicted is a key that lies on a disk.

Source: docs/spec/finality.md#evidence
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.errors import BlockError, DecodeError, EntryError, Reason
from tallystick.protocol.evidence import EVIDENCE_SIZE_BYTES_MAX, Evidence, read_evidence_untrusted
from tallystick.protocol.kinds.base import Body, Proof

if TYPE_CHECKING:
    from tallystick.protocol.entry import Entry


class Convict(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "evidence"
    #: Whoever has seen it may say so, also who has left.
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    DEPARTED_MAY: ClassVar[bool] = True
    AFTER_SALE: ClassVar[bool] = True

    evidence: Annotated[bytes, msgspec.Meta(max_length=EVIDENCE_SIZE_BYTES_MAX)]
    """As `protocol.evidence` encodes it."""

    def check(self) -> None:
        self._read()

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        return tuple(Proof(*check) for check in self._read().checks())

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, ALREADY_DONE, tried in that order."""
        evidence = self._read()
        if evidence.ledger != act.context.ledger:
            # What was signed for another ledger proves nothing here, but for the one that this one goes on with.
            before = act.state.refounded.get("")
            if before is None or evidence.ledger != before.ledger:
                raise EntryError(Reason.NOT_FOUND, "signed for another ledger")
        key = evidence.accused
        row = act.state.keys.get(key)
        if row is None or row.use not in ("node", "convicted"):
            raise EntryError(Reason.NOT_FOUND, "no node key of this ledger")
        if row.use == "convicted":
            raise EntryError(Reason.ALREADY_DONE)
        act.state.keys.set(key, msgspec.structs.replace(row, use="convicted"))

    def _read(self) -> Evidence:
        try:
            return read_evidence_untrusted(self.evidence)
        except (DecodeError, BlockError) as error:
            raise EntryError(Reason.MALFORMED, str(error)) from None
