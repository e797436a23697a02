"""What every entry kind has: a body schema, the entries it refers to, whom it needs, and its rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import msgspec

from tallystick.protocol.act import Act
from tallystick.protocol.errors import EntryError, Reason

if TYPE_CHECKING:
    from tallystick.protocol.entry import Entry

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
#: A moment in UTC milliseconds. 2^53 is the year 287396, and every tool can hold it.
Moment = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
#: Units of a step.
Units = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
#: An ISO 4217 code; only its shape is checked.
CurrencyCode = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}\Z")]
Code = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}\Z")]


class Proof(NamedTuple):
    """A signature inside a body;"""

    key: bytes
    message: bytes
    signature: bytes


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, gc=False):
    """A typed body. A field that may be absent has the default None and is left out when it is None.

    `apply` writes into `act.state` and may stop anywhere with EntryError: the caller takes back what it wrote.
    """

    KIND: ClassVar[str]
    #: Least standing of the author.
    STANDING: ClassVar[Literal["observer", "contributor", "partner"]] = "contributor"
    #: Whether a partner on probation counts as a contributor here.
    FULL: ClassVar[bool] = False
    SUSPENDED_MAY: ClassVar[bool] = True
    DEPARTED_MAY: ClassVar[bool] = False
    #: Whether it still works when the whole has been sold.
    AFTER_SALE: ClassVar[bool] = False
    #: Whether a device with the scope `work` may sign it.
    WORK_SCOPE: ClassVar[bool] = False

    #: Whether what has fallen due waits for it: it comes before everything that has happened since the block before.
    STANDS_STILL: ClassVar[bool] = False

    #: Whether entries of this kind introduce a device that the ledger does not know yet.
    INTRODUCES: ClassVar[bool] = False

    def introduces(self) -> bool:
        """Whether this one does."""
        return self.INTRODUCES

    def refs(self) -> tuple[bytes, ...]:
        """Entries that this body refers to; each must be `prev` or among `links`."""
        return ()

    def check(self) -> None:
        """What the schema cannot say but needs no state. Raises EntryError(MALFORMED)."""

    def enrols(self) -> tuple[bytes, ...]:
        """Public keys that this body brings in; each must lie in the prime-order group."""
        return ()

    def proofs(self, entry: Entry, find: Callable[[bytes], Entry | None]) -> tuple[Proof, ...]:
        """Signatures inside the body, checked once when the entry is received; `find` gives a parent entry.

        Raises EntryError(BAD_SIGNATURE) where there is nothing to check them against.
        """
        return ()

    def apply(self, act: Act) -> None:
        """The rule. Raises EntryError with the reason for which the entry is void."""
        raise EntryError(Reason.UNKNOWN_KIND, self.KIND)

    def to_map(self) -> dict[str, Any]:
        """The body as it is encoded."""
        return {name: value for name in sorted(self.__struct_fields__) if (value := getattr(self, name)) is not None}
