"""How a newcomer comes in: the charter is fetched with the ticket, read, agreed to by a signed `join`, and handed in.

Nothing is written here before the person has agreed, and the join is handed in before it is final, so that an
invitation that nobody takes leaves no half ledger behind.

Source: docs/spec/membership.md#join
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.node import knock
from tallystick.node.errors import ExitCode, HomeError, HomeReason, NodeError
from tallystick.node.identity import read_identity, read_node_secret
from tallystick.node.status_words import AGAIN
from tallystick.node.transport import DialError, DialReason
from tallystick.protocol import codec
from tallystick.protocol.entry import Entry, encode_annex, make_entry
from tallystick.protocol.errors import EntryError
from tallystick.protocol.kinds.join import Join, grant_message
from tallystick.protocol.limits import SALT_SIZE_BYTES

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.home import Home
    from tallystick.node.ticket import Ticket
    from tallystick.protocol.charter import Charter

KNOCK_S: Final = 10.0
NEXT_S: Final = 1.0
"""So long after one address of a ticket the next one is tried too."""

_NOT_LET_IN: Final = (
    "only members are let in there: this computer may have been revoked, or not admitted yet; "
    "a partner, or another computer of yours, can tell"
)

Request = Callable[[bytes], Awaitable[bytes]]
"""Knock at the first address of the ticket that answers. Raises UnreachableError."""


class UnreachableError(NodeError):
    """No address of a ticket, or no known peer, answers."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(
            message,
            reason="no-peer",
            exit_code=ExitCode.OFFLINE,
            hint=hint or "a partner's node must be running and reachable: try again later, or from the same network",
        )


def not_met(address: str, error: DialError) -> UnreachableError:
    """What to say of an address that somebody named, and of whoever is there and does not let this computer in."""
    return UnreachableError(f"{address}: {error}", _NOT_LET_IN if error.reason is DialReason.NOT_ADMITTED else "")


def is_revoked(core: NodeCore) -> bool:
    """Whether this computer has been revoked, as far as it knows: then nobody comes back to it."""
    row = core.ledger.state.devices.get(core.device)
    return row is not None and row.status == "revoked"


def none_met(known: int, refusing: int) -> UnreachableError:
    """What to say where nobody of those that are known is met; so many are there and do not let this computer in."""
    if not known:
        return UnreachableError("no peer is known yet")
    if not refusing:
        return UnreachableError(f"none of {known} known peers answers")
    return UnreachableError(f"{refusing} of {known} known peers did not let this computer in", _NOT_LET_IN)


@dataclass(frozen=True, slots=True)
class Joining:
    """An invitation whose charter has come; `agree` signs."""

    home: Home
    ticket: Ticket
    charter: Charter

    def entry(self, key: SecretKey, now: int) -> Entry:
        """The signed join."""
        identity = read_identity(self.home)
        node = read_node_secret(self.home)
        ticket = self.ticket
        invite = SecretKey.from_seed(ticket.secret)
        payload = codec.encode([key.public, node.public, identity.recovery])
        grant = grant_message(
            ticket.ledger, ticket.invite, key.public, node.public, identity.recovery, self.charter.hash
        )
        body = Join(
            invite=ticket.invite,
            node_key=node.public,
            recovery=identity.recovery,
            charter=self.charter.hash,
            grant=invite.sign(grant),
            possession=node.sign(signed_bytes(SignType.POSSESSION, ticket.ledger, payload)),
        )
        return make_entry(
            key,
            ledger=ticket.ledger,
            seq=0,
            prev=None,
            links=(ticket.invite,),
            seal=None,
            time=now,
            kind=Join.KIND,
            body=body.to_map(),
            annex=encode_annex(secrets.token_bytes(SALT_SIZE_BYTES), {"name": identity.name}),
        )


def check_can_join(home: Home, ticket: Ticket, now: int) -> None:
    """Raises NodeError: already-here, ticket-expired; HomeError without keys."""
    read_identity(home)
    if ticket.ledger in home.ledgers():
        raise HomeError(
            f"this ledger is here already: {ticket.ledger.hex()[:8]}",
            reason=HomeReason.EXISTS,
            hint=f"`tally status` says how you stand in it; {AGAIN}",
        )
    if ticket.expires < now:
        raise NodeError(
            "this ticket has expired", reason="ticket-expired", exit_code=ExitCode.UNTRUSTED, hint="ask for a new one"
        )


async def read_terms(home: Home, ticket: Ticket, request: Request) -> Joining:
    """Show the invitation to a partner's node and get the charter. Raises UnreachableError, InvitationError."""
    node = read_node_secret(home)
    secret = SecretKey.from_seed(ticket.secret)
    charter = knock.read_charter_untrusted(
        await request(knock.ask_charter(secret, ticket.ledger, ticket.invite, node.public))
    )
    return Joining(home, ticket, charter)


async def agree(joining: Joining, key: SecretKey, request: Request, now: int) -> Entry:
    """Sign the join, hand it in, keep it. Raises UnreachableError, InvitationError, StoreError, HomeError."""
    from tallystick.node.archive import Archive
    from tallystick.node.archive_rows import JoinRow

    home, ticket = joining.home, joining.ticket
    entry = joining.entry(key, now)
    store = home.create_store(ticket.ledger, unfinished=True)
    try:
        # Durable before it leaves: a second join from the same chain would be a fork of our own making.
        archive = Archive(store)
        archive.begin(ticket.ledger, join=JoinRow(ticket.charter, ticket.anchor, list(ticket.addresses)))
        archive.keep((entry,), sync=True)
    finally:
        store.close()
    home.finish_store(ticket.ledger)
    try:
        knock.read_joined_untrusted(await request(knock.ask_join(entry)))
    except UnreachableError:
        # The other side may have it: the answer can be lost. It is kept, and handed over at the next meeting.
        raise
    except NodeError:
        home.drop_ledger(ticket.ledger)
        raise
    return entry


@asynccontextmanager
async def knocking(home: Home, addresses: Sequence[str]) -> AsyncIterator[Request]:
    """Short connections to whoever answers first at these addresses, for `read_terms` and `agree`."""
    from tallystick.node.racing import Way, first_of
    from tallystick.node.transport_libp2p import Libp2pTransport

    transport = Libp2pTransport(home.read_node_key(), listen=("/ip4/127.0.0.1/tcp/0",))

    async def request(data: bytes) -> bytes:
        said: list[tuple[str, DialError]] = []

        def way(address: str) -> Way[bytes]:
            async def knock_there() -> bytes | None:
                try:
                    return await transport.request(address, data, KNOCK_S)
                except DialError as error:
                    said.append((address, error))
                    return None

            return knock_there

        answer = await first_of([way(address) for address in addresses], NEXT_S, lambda _error: None)
        if answer is not None:
            return answer
        if any(error.reason is DialReason.NOT_ADMITTED for _, error in said):
            # Somebody is there and says nothing: so the invitation is not known, or not valid any more. One partner's
            # node may not have heard of it yet, but then nobody's has who could be reached.
            raise knock.InvitationError(
                "the invitation is not accepted: it was used, taken back, or has expired",
                hint="ask for a new one",
            )
        words = [f"{address.partition('/p2p/')[0]}: {error.reason.value}" for address, error in said]
        what = "; ".join(words) if words else "the ticket names no address"
        raise UnreachableError(
            f"no node of a partner answers ({what})",
            "it must be running and reachable, and may have another address now: try again later, or with a new ticket",
        )

    async with transport.running():
        yield request


@contextmanager
def unpacking(home: Home, ticket: Ticket, source: Mapping[str, Any], now: int) -> Iterator[Unpacked]:
    """Read a full bundle instead of asking a node; `source` is what `bundle in` takes.

    The store is made, and goes again unless `Unpacked.agree` was called. Raises BundleError, HomeError, StoreError.
    """
    from tallystick.node.archive import Archive
    from tallystick.node.archive_rows import JoinRow
    from tallystick.node.bundle import BundleError, ledger_of, read_bundle
    from tallystick.node.bundle_file import open_bundle, two_core_judge
    from tallystick.node.local import LocalLedger

    with open_bundle(source) as file:
        if ledger_of(file) != ticket.ledger:
            raise BundleError(
                "the bundle is of another ledger than the ticket",
                reason="bundle-foreign",
                exit_code=ExitCode.UNTRUSTED,
            )
    store = home.create_store(ticket.ledger, unfinished=True)
    unpacked = None
    try:
        archive = Archive(store)
        archive.begin(ticket.ledger, join=JoinRow(ticket.charter, ticket.anchor, list(ticket.addresses)))
        core = LocalLedger(home, ticket.ledger, archive, now).core()
        with open_bundle(source) as file, two_core_judge() as judge:
            taken = read_bundle(core, file, now=now, judge=judge)
        if not core.ledger.head.height or core.archive.block_id(ticket.anchor[0]) != ticket.anchor[1]:
            raise BundleError(
                "the bundle does not hold the whole ledger up to the invitation"
                + (f": {taken.damage}" if taken.damage else ""),
                reason="bundle-incomplete",
                exit_code=ExitCode.UNTRUSTED,
                hint="ask for one made with `tally bundle out FILE --full` after the invitation",
            )
        unpacked = Unpacked(core, Joining(home, ticket, core.ledger.charter))
        yield unpacked
    finally:
        store.close()
        if unpacked is None or not unpacked.agreed:
            home.drop_ledger(ticket.ledger)
        else:
            home.finish_store(ticket.ledger)


@dataclass(slots=True)
class Unpacked:
    """A ledger that came in a file, before its newcomer has agreed."""

    core: NodeCore
    joining: Joining
    agreed: bool = False

    def agree(self, key: SecretKey, now: int) -> Entry:
        """Sign the join and keep it; it has to be carried to a partner. Raises InvitationError, StoreError."""
        entry = self.joining.entry(key, now)
        try:
            body = self.core.intake.judge(entry)
            result = self.core.ledger.try_out(entry, body, now)
        except EntryError as error:
            raise knock.InvitationError(f"the invitation cannot be used: {error}", reason=str(error.reason)) from error
        if result.reason is not None:
            raise knock.InvitationError(
                f"the invitation cannot be used: {result.reason}", reason=str(result.reason), hint="ask for a new one"
            )
        self.core.submit(entry, now)
        self.agreed = True
        return entry
