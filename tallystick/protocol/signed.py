"""The envelope of everything that a node key signs while a block is made.

    wire = [type, payload, signer key, signature, attachment or nil]

The payload is a canonical array and is what is signed, with its type and the ledger before it; the attachment is not
signed, the payload names it by its hash. The messages themselves are in `ready`, `ballot`, `proposal` and `sealing`.
Signatures are not checked here: every message offers `checks()`, and whoever received it judges them in batches.

Source: docs/spec/finality.md#messages
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import PUBLIC_SIZE_BYTES, SIGNATURE_SIZE_BYTES, SignType, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.limits import TIME_MS_MAX

if TYPE_CHECKING:
    from tallystick.protocol.ready import Ready

VERSION: Final = 1
HEIGHT_MAX: Final = TIME_MS_MAX
ROUND_MAX: Final = 2**31 - 1
"""At the fastest that timers allow, ten thousand years."""
PAYLOAD_SIZE_BYTES_MAX: Final = 512
"""The longest payload, a READY, needs 150."""


class Check(NamedTuple):
    """One signature to be judged by the strict rule."""

    key: bytes
    message: bytes
    signature: bytes


class Signer(Protocol):
    """A node key that signs for one ledger."""

    @property
    def public(self) -> bytes:
        """The public key."""

    def sign(self, sign_type: SignType, payload: bytes) -> bytes:
        """The signature of a payload; the same one every time."""


class KeySigner:
    """The signer of a secret key and a ledger."""

    __slots__ = ("_ledger", "_secret")

    def __init__(self, secret: SecretKey, ledger: bytes) -> None:
        self._secret = secret
        self._ledger = ledger

    @property
    def public(self) -> bytes:
        return self._secret.public

    def sign(self, sign_type: SignType, payload: bytes) -> bytes:
        return self._secret.sign(signed_bytes(sign_type, self._ledger, payload))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What all sealing messages have. A subclass adds the fields of its payload."""

    TYPE: ClassVar[SignType]

    ledger: bytes
    height: int
    signer: bytes
    signature: bytes
    payload: bytes
    """The signed bytes, as received."""

    def check(self) -> Check:
        """The signature of this message alone."""
        return Check(self.signer, signed_bytes(self.TYPE, self.ledger, self.payload), self.signature)

    def checks(self) -> list[Check]:
        """Every signature that has to hold before the message may be used, those inside it too."""
        return [self.check()]

    def readys(self) -> tuple[Ready, ...]:
        """The READYs in it, whose frontiers have to be readable: see `check_frontiers`."""
        return ()

    def attachment(self) -> bytes | None:
        """What travels with the message without being signed."""
        return None

    def wire(self) -> bytes:
        """The message as it is sent and stored."""
        return codec.encode([self.TYPE.value, self.payload, self.signer, self.signature, self.attachment()])


class Envelope(NamedTuple):
    """A decoded wire form whose payload is still to be read."""

    type: str
    payload: bytes
    signer: bytes
    signature: bytes
    attachment: bytes | None


def read_envelope_untrusted(data: bytes, *, size_max: int) -> Envelope:
    """Read the outer array. Raises DecodeError; BlockError: MALFORMED."""
    fields = Fields(codec.decode(data, size_max=size_max), 5)
    return Envelope(
        fields.text(),
        fields.blob(PAYLOAD_SIZE_BYTES_MAX),
        fields.fixed(PUBLIC_SIZE_BYTES),
        fields.fixed(SIGNATURE_SIZE_BYTES),
        fields.blob_or_nil(size_max),
    )


class Fields:
    """The items of a decoded array, taken one after the other; each is asked for by what it must be.

    Every method raises BlockError: MALFORMED, with the place of the item.
    """

    __slots__ = ("_at", "_items")

    def __init__(self, value: object, count: int) -> None:
        if type(value) is not list or len(value) != count:
            raise BlockError(BlockReason.MALFORMED, f"an array of {count} items is due")
        self._items: list[Any] = value
        self._at = -1

    def _next(self) -> Any:
        self._at += 1
        return self._items[self._at]

    def _refuse(self) -> BlockError:
        return BlockError(BlockReason.MALFORMED, f"item {self._at}")

    def number(self, low: int, high: int) -> int:
        """An integer within these bounds, both included."""
        value = self._next()
        if type(value) is not int or not low <= value <= high:
            raise self._refuse()
        return value

    def version(self) -> None:
        """The version of the format."""
        self.number(VERSION, VERSION)

    def flag(self) -> bool:
        value = self._next()
        if type(value) is not bool:
            raise self._refuse()
        return value

    def text(self) -> str:
        value = self._next()
        if type(value) is not str:
            raise self._refuse()
        return value

    def fixed(self, size: int = 32) -> bytes:
        """So many bytes."""
        value = self._next()
        if type(value) is not bytes or len(value) != size:
            raise self._refuse()
        return value

    def fixed_or_nil(self, size: int = 32) -> bytes | None:
        return self.fixed(size) if self._items[self._at + 1] is not None else self._next()

    def blob(self, size_max: int) -> bytes:
        """At most so many bytes."""
        value = self._next()
        if type(value) is not bytes or len(value) > size_max:
            raise self._refuse()
        return value

    def blob_or_nil(self, size_max: int) -> bytes | None:
        return self.blob(size_max) if self._items[self._at + 1] is not None else self._next()

    def array(self, count_max: int) -> list[Any]:
        """An array of at most so many items."""
        value = self._next()
        if type(value) is not list or len(value) > count_max:
            raise self._refuse()
        return value
