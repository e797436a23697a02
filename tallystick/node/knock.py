"""What a stranger with an invitation may ask: the charter, and to hand in a `join`. Everything else is silence.

    ["invitation", ledger, invite id, proof]   proof: by the invitation's secret, over the knocker's node key
      -> ["charter", charter bytes, height, block id]
    ["join", header, signature, annex or nil]
      -> ["joined"] | ["refused", reason, detail]

A machine that is to become a device of a member knocks too: see `enrolment` and `recovering`; so does one that this
node has not heard of yet: see `introducing`.

A stranger who cannot prove an invitation gets no answer, and so learns neither the ledger nor its members.

Source: docs/spec/sync.md#knocking
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.crypto.errors import TallystickError
from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, is_valid, signed_bytes
from tallystick.node import enrolment, introducing, recovering
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.shelf import is_whole
from tallystick.node.transport import KNOCK_REQUEST_BYTES_MAX, KNOCK_RESPONSE_BYTES_MAX, PeerKey
from tallystick.protocol import codec
from tallystick.protocol.charter import Charter, CharterError, from_bytes
from tallystick.protocol.entry import Entry, read_entry_untrusted, signed_message
from tallystick.protocol.errors import DecodeError, EntryError, Reason
from tallystick.protocol.kinds.join import Join

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore

_INVITATION: Final = "invitation"
_JOIN: Final = "join"


class InvitationError(NodeError):
    """The other node does not take this invitation."""

    def __init__(self, message: str, *, reason: str = "invitation-refused", hint: str = "") -> None:
        super().__init__(message, reason=reason, exit_code=ExitCode.REFUSED, hint=hint)


def _proof_message(ledger: bytes, invite: bytes, node_key: bytes) -> bytes:
    # The text keeps it apart from the grant inside a `join`, which the same secret signs.
    return signed_bytes(SignType.INVITE, ledger, codec.encode(["knock", invite, node_key]))


def ask_charter(secret: SecretKey, ledger: bytes, invite: bytes, node_key: bytes) -> bytes:
    """The request that shows an invitation."""
    return codec.encode([_INVITATION, ledger, invite, secret.sign(_proof_message(ledger, invite, node_key))])


def ask_join(entry: Entry) -> bytes:
    """The request that hands in a join."""
    return codec.encode([_JOIN, entry.header, entry.signature, entry.annex])


def read_charter_untrusted(response: bytes) -> Charter:
    """The charter in force, out of the answer to `ask_charter`. Raises InvitationError."""
    match _decode(response, KNOCK_RESPONSE_BYTES_MAX):
        case ["charter", bytes(data), int(), bytes()]:
            try:
                return from_bytes(data)
            except CharterError as error:
                raise InvitationError(f"the other node sent no valid charter: {error}", reason="peer") from None
    raise InvitationError("the other node's answer cannot be read", reason="peer")


def read_joined_untrusted(response: bytes) -> None:
    """Nothing, where the answer to `ask_join` says yes. Raises InvitationError with its reason."""
    match _decode(response, KNOCK_RESPONSE_BYTES_MAX):
        case ["joined"]:
            return
        case ["refused", str(reason), str(detail)]:
            raise InvitationError(
                f"the other node refused the join: {reason[:64]}{f' ({detail[:200]})' if detail else ''}",
                reason=reason if reason in set(Reason) else "invitation-refused",
                hint="ask for a new invitation",
            )
    raise InvitationError("the other node's answer cannot be read", reason="peer")


def answer(core: NodeCore, peer: PeerKey, request: bytes, now: int) -> bytes | None:
    """Answer a knock; None closes the stream without a word. Raises StoreError only."""
    decoded = _decode(request, KNOCK_REQUEST_BYTES_MAX)
    match decoded:
        case [enrolment.KNOCK, *_]:
            return enrolment.take(core, peer, decoded, now)
        case [introducing.KNOCK, *_]:
            return introducing.take(core, peer, decoded, now)
        case [recovering.KNOCK_WORDS, *_]:
            return recovering.let_in(core, peer, decoded, now)
        case [recovering.KNOCK_REQUEST, *_]:
            return recovering.take_request(core, peer, decoded, now)
        case ["invitation", bytes(ledger), bytes(invite), bytes(proof)] if ledger == core.ledger.id:
            return _show_charter(core, peer, invite, proof, now)
        case ["join", bytes(header), bytes(signature), annex] if annex is None or isinstance(annex, bytes):
            return _take_join(core, peer, header, signature, annex, now)
    return None


def _decode(data: bytes, size_max: int) -> list[Any]:
    try:
        value = codec.decode(data, size_max=size_max)
    except DecodeError:
        return []
    return value if isinstance(value, list) else []


def _show_charter(core: NodeCore, peer: PeerKey, invite: bytes, proof: bytes, now: int) -> bytes | None:
    if not core.ledger.head.height:
        return None
    row = core.ledger.view(now).invites.get(invite)
    if row is None or row.expires < now or not is_valid(row.key, _proof_message(core.ledger.id, invite, peer), proof):
        return None
    head = core.ledger.head
    return codec.encode(["charter", core.ledger.charter.bytes, head.height, head.block_id])


def _take_join(
    core: NodeCore, peer: PeerKey, header: bytes, signature: bytes, annex: bytes | None, now: int
) -> bytes | None:
    try:
        entry = read_entry_untrusted(header, signature, annex)
    except (DecodeError, EntryError):
        return None
    if entry.ledger != core.ledger.id or entry.kind != Join.KIND or not core.ledger.head.height:
        return None
    if core.ledger.knows(entry.id):
        return codec.encode(["joined"])
    # Nobody else would take it without its words, and so nothing that seals it would be whole anywhere else.
    if not is_whole(entry):
        return None
    # Whoever knows no invitation of ours is not told why.
    if core.ledger.view(now).invites.get(entry.body.get("invite", b"")) is None:
        return None
    if entry.body.get("node_key") != peer:
        return None
    if not is_valid(entry.device, signed_message(entry.id, entry.ledger), entry.signature):
        return None
    try:
        body = core.intake.judge(entry)
        result = core.ledger.try_out(entry, body, now)
        if result.reason is not None:
            return codec.encode(["refused", str(result.reason), result.detail])
        core.take_foreign(entry, body, now)
    except EntryError as error:
        return codec.encode(["refused", str(error.reason), error.detail])
    except TallystickError as error:
        if isinstance(error, NodeError):
            raise
        return None
    return codec.encode(["joined"])
