"""Entry kind `erase`: the words of one's own entry are deleted everywhere. Its numbers and its hash stay.

Source: docs/spec/membership.md#erase
"""

from typing import ClassVar, Literal

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.base import Body, Bytes32
from tallystick.protocol.records_governance import Erased
from tallystick.protocol.words import check_erasable


class Erase(Body, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "erase"
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "observer"
    DEPARTED_MAY: ClassVar[bool] = True
    WORK_SCOPE: ClassVar[bool] = True
    AFTER_SALE: ClassVar[bool] = True

    entry: Bytes32

    def refs(self) -> tuple[bytes, ...]:
        return (self.entry,)

    def apply(self, act: Act) -> None:
        """Raises EntryError: NOT_FOUND, ALREADY_DONE, STILL_NEEDED, NOT_ALLOWED, tried in that order."""
        device = act.state.devices.get(check_erasable(act, self.entry))
        if device is None or device.member != act.author_id:
            raise EntryError(Reason.NOT_ALLOWED, "somebody else's words")
        act.state.erased.set(self.entry, Erased(act.cause))
