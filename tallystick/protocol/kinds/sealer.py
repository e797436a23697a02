"""Entry kinds `sealer.on` and `sealer.off`: a partner's computer starts or stops to seal.

Source: docs/spec/finality.md#sealers
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.records import Rules, Sealer


class SealerOn(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "sealer.on"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"
    FULL: ClassVar[bool] = True

    device: Bytes32
    """One's own device, whose node key votes."""

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, NOT_ALLOWED, ALREADY_DONE, tried in that order."""
        state = act.state
        device = state.devices.get(self.device)
        if device is None or device.member != act.author_id or device.status != "active":
            raise EntryError(Reason.NOT_FOUND, "not an active device of yours")
        if state.keys[device.node_key].use == "convicted":
            raise EntryError(Reason.NOT_ALLOWED, "this node key has signed contradictions and never seals again")
        if any(row.member == act.author_id for row in state.sealers.values()):
            raise EntryError(Reason.ALREADY_DONE)
        rules = state.rules[""]
        state.sealers.set(rules.sealer_next, Sealer(act.author_id, self.device, device.node_key, "requested", act.at))
        state.rules.set("", Rules(rules.version, rules.due_next, rules.sealer_next + 1))


class SealerOff(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "sealer.off"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "partner"

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND."""
        sealers = act.state.sealers
        for number, row in sorted(sealers.items()):
            if row.member == act.author_id and row.status != "leaving":
                if row.status == "active":
                    sealers.set(number, msgspec.structs.replace(row, status="leaving"))
                else:
                    # It does not seal: if it were leaving it would, until there is room for it to go.
                    sealers.delete(number)
                return
        raise EntryError(Reason.NOT_FOUND, "this member does not seal")
