"""The list of entry kinds. A new kind is one file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.attest import Attest
from tallystick.protocol.kinds.away import Away, Back
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.cancel import Cancel
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.claim import Claim
from tallystick.protocol.kinds.confirm import Confirm
from tallystick.protocol.kinds.correct import Correct
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.device import DeviceAdd, DeviceClaim, DeviceRetire, DeviceRevoke
from tallystick.protocol.kinds.dispute import Dispute
from tallystick.protocol.kinds.donate import Donate
from tallystick.protocol.kinds.endorse import Endorse
from tallystick.protocol.kinds.erase import Erase
from tallystick.protocol.kinds.evidence import Convict
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.kinds.invite import Invite
from tallystick.protocol.kinds.join import Join
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.paid import Paid, Received
from tallystick.protocol.kinds.propose import Propose
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.recover import RecoverApprove, RecoverRequest, RecoveryChange
from tallystick.protocol.kinds.refound import Refound, Rejoin
from tallystick.protocol.kinds.refuse import Refuse
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.report import Report
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.sealer import SealerOff, SealerOn
from tallystick.protocol.kinds.subscribe import Subscribe
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.kinds.uninvite import Uninvite
from tallystick.protocol.kinds.use_voucher import UseVoucher
from tallystick.protocol.kinds.verdict import Verdict
from tallystick.protocol.kinds.vote import Vote
from tallystick.protocol.kinds.withdraw import Withdraw

if TYPE_CHECKING:
    from collections.abc import Callable

    from tallystick.protocol.entry import Entry

_BODIES: Final[tuple[type[Body], ...]] = (
    Found,
    Refound,
    Rejoin,
    Invite,
    Join,
    Admit,
    Refuse,
    Uninvite,
    Away,
    Back,
    Leave,
    Propose,
    Vote,
    Erase,
    DeviceAdd,
    DeviceRetire,
    DeviceRevoke,
    DeviceClaim,
    RecoveryChange,
    RecoverRequest,
    RecoverApprove,
    SealerOn,
    SealerOff,
    Convict,
    Offer,
    Withdraw,
    Endorse,
    Accept,
    Deliver,
    Return,
    Approve,
    Reject,
    Cancel,
    Cosign,
    Dispute,
    Verdict,
    Correct,
    Confirm,
    Claim,
    Attest,
    Subscribe,
    Donate,
    Receipt,
    Cash,
    Report,
    UseVoucher,
    Transfer,
    Paid,
    Received,
)

KINDS: Final[Mapping[str, type[Body]]] = {body.KIND: body for body in _BODIES}

_DECODERS: Final[Mapping[str, Callable[[msgspec.Raw], Body]]] = {
    kind: msgspec.msgpack.Decoder(body).decode for kind, body in KINDS.items()
}
_NIL: Final = b"\xc0"


def body_of(entry: Entry) -> Body:
    """The body that the kind of an entry names.

    Raises EntryError: UNKNOWN_KIND, MALFORMED.
    """
    raw = entry.raw_body
    # The shortest way to nearly every body that was stored. A byte that may be nil needs a look at the map.
    if raw is not None and _NIL not in bytes(raw) and (decode := _DECODERS.get(entry.kind)) is not None:
        try:
            body = decode(raw)
        except msgspec.ValidationError:
            return read_body(entry.kind, entry.body)
        body.check()
        return body
    return read_body(entry.kind, entry.body)


def read_body(kind: str, fields: Mapping[str, Any]) -> Body:
    """Turn a decoded map into the body its kind names.

    Raises EntryError: UNKNOWN_KIND, MALFORMED.
    """
    cls = KINDS.get(kind)
    if cls is None:
        raise EntryError(Reason.UNKNOWN_KIND, kind)
    try:
        # Naming bytes as a native type switches off the reading of base64 text where bytes are due.
        body = msgspec.convert(fields, cls, strict=True, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise EntryError(Reason.MALFORMED, str(error)) from None
    if None in fields.values():
        raise EntryError(Reason.MALFORMED, "a field without a value is left out")
    body.check()
    return body
