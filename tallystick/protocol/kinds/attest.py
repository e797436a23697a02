"""Entry kind `attest`: a partner confirms somebody's claim; the one that completes the number pays it.

Source: docs/spec/charter.md#claims
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from tallystick.protocol import claims
from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.membership import asked


class Attest(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "attest"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True
    SUSPENDED_MAY: ClassVar[bool] = False

    claim: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.claim,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, NOT_ALLOWED, ALREADY_DONE, ALONE, POOL_EMPTY, BUDGET_EXHAUSTED, tried in that
        order.
        """
        claim = act.state.claims.get(self.claim)
        if claim is None:
            raise EntryError(Reason.NOT_FOUND, "no claim that waits to be confirmed")
        if claim.author == act.author_id:
            raise EntryError(Reason.NOT_ALLOWED, "one's own claim")
        if act.author_id in claim.attested:
            raise EntryError(Reason.ALREADY_DONE)
        claim = msgspec.structs.replace(claim, attested=(*claim.attested, act.author_id))
        if len(claim.attested) < asked(claim.attest, act.state, act.at, without=(claim.author,)):
            act.state.claims.set(self.claim, claim)
            return
        claims.drop(act, self.claim)
        claims.pay_claim(act, claim)
