"""How a machine of a member arrives over the network: as a second device, with words, by request.

What is asked of others, and what they answer, is in `enrolment` and `recovering`; here is the way from a text that the
person holds to a ledger in this home.

Source: docs/spec/membership.md#devices
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from tallystick.node import enrolment, knock, recovering
from tallystick.node.archive import Archive
from tallystick.node.arriving import begin, claim_here, has_anchor, own_request
from tallystick.node.clock import now_ms
from tallystick.node.desk import Desk
from tallystick.node.enrolment import EnrolmentError
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.identity import read_identity, read_node_secret
from tallystick.node.joining import Request, UnreachableError, knocking
from tallystick.node.running import open_node

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.core import NodeCore
    from tallystick.node.device_ticket import DeviceTicket, MemberTicket, Place
    from tallystick.node.home import Home
    from tallystick.protocol.entry import Entry

LOOPBACK: Final = ("/ip4/127.0.0.1/tcp/0",)
#: How long somebody is waited for who takes what was written here.
HANDED_S: Final = 10.0
#: How long the machine that adds another waits for it to fetch the ledger.
FETCHED_S: Final = 120.0
#: How long it is then waited for to leave.
LEAVES_S: Final = 5.0


@asynccontextmanager
async def _knocking(home: Home, addresses: Sequence[str], silence: str, hint: str = "") -> AsyncIterator[Request]:
    """As `knocking`; `silence` says what it means that somebody is there and does not answer."""
    try:
        async with knocking(home, addresses) as request:
            yield request
    except knock.InvitationError as error:
        raise EnrolmentError(silence, hint=hint) from error


# -- a second device ---------------------------------------------------------------------------------------------------


async def wait_for_device(
    home: Home,
    prefix: str | None,
    key: SecretKey,
    *,
    scope: str,
    label: str | None,
    ready: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Without a running node: be one until the new machine has come and has the ledger. `ready` is given the ticket.

    Returns the answer to the write. Raises NodeError: ticket-expired where nobody comes.
    """
    async with open_node(home, prefix) as node:
        now = max(now_ms(), node.core.now)
        ticket = enrolment.issue(node.core, key, scope=scope, label=label, now=now)
        row = next(reversed(node.core.tickets.values()))
        ready(enrolment.text_of(ticket))
        with trio.move_on_after(enrolment.TICKET_MS / 1000):
            await node.until(lambda: row.entry is not None)
        if row.entry is None:
            raise NodeError(
                "nobody has used the ticket", reason="ticket-expired", exit_code=ExitCode.OFFLINE, hint="make a new one"
            )
        peer, entry_id = row.entry.body["node_key"], row.entry.id
        with trio.move_on_after(FETCHED_S):
            await node.until(lambda: _has_all(node.core, peer, entry_id))
            # What was sent may still be on its way; it hangs up when it has everything.
            with trio.move_on_after(LEAVES_S):
                await node.until(lambda: peer not in node.core.sync.sessions)
        return Desk(node.core).status_of(row.entry)


def _has_all(core: NodeCore, peer: bytes, entry_id: bytes) -> bool:
    session = core.sync.sessions.get(peer)
    if session is None or session.height < core.ledger.head.height:
        return False
    return entry_id in session.known or core.archive.sealed_row(entry_id) is not None


async def enrol(home: Home, ticket: DeviceTicket, key: SecretKey) -> tuple[Entry, bool]:
    """On the new machine: have it added, fetch the ledger. Returns the `device.add`, and whether the ledger is here.

    Raises EnrolmentError, UnreachableError, HomeError, StoreError.
    """
    silence = "the ticket is not accepted: it was used, has expired, or the other machine was locked or stopped"
    async with _knocking(home, ticket.place.addresses, silence) as request:
        response = await request(enrolment.ask_to_add(ticket, key, read_node_secret(home)))
    entry = enrolment.read_added_untrusted(response, ticket, key.public)
    begin(home, ticket.place)
    try:
        async with open_node(home, ticket.place.ledger.hex(), listen=LOOPBACK) as node:
            await node.sync()
            return entry, node.core.ledger.knows(entry.id)
    except UnreachableError:
        return entry, False


# -- with the words --------------------------------------------------------------------------------------------------


async def come_back(
    home: Home, place: Place, recovery: SecretKey, key: SecretKey, revoke: Sequence[str] | None
) -> dict[str, Any]:
    """Fetch the ledger as whoever has the words, claim the membership, hand the claim to others.

    `revoke` names devices; None stands for all others. Raises NodeError.
    """
    silence = "nobody there knows these words in this ledger: they were changed, or belong to another ledger"
    hint = "compare with your paper; without words that work, ask the partners: `tally recover request TICKET`"
    node_key = read_node_secret(home)
    async with _knocking(home, place.addresses, silence, hint) as request:
        recovering.read_guest_untrusted(await request(recovering.ask_in(place.ledger, recovery, node_key.public)))
    begin(home, place)
    is_claimed = False
    try:
        async with open_node(home, place.ledger.hex(), listen=LOOPBACK) as node:
            await node.sync()
            if not has_anchor(node.core, place):
                raise UnreachableError("the ledger did not come whole")
            entry = claim_here(node.core, recovery, key, node_key, revoke, max(now_ms(), node.core.now))
            is_claimed = True
            node.perform(node.core.effects())
            with trio.move_on_after(HANDED_S):
                await node.until(lambda: _is_out(node.core, entry.id))
            return Desk(node.core).status_of(entry) | {"handed_over": _is_out(node.core, entry.id)}
    finally:
        if not is_claimed:
            home.drop_ledger(place.ledger)


def _is_out(core: NodeCore, entry_id: bytes) -> bool:
    return entry_id in core.sync.seen_by() or core.archive.sealed_row(entry_id) is not None


# -- without anything --------------------------------------------------------------------------------------------------


async def ask_for_keys(home: Home, ticket: MemberTicket, key: SecretKey, now: int) -> tuple[Entry, dict[str, Any]]:
    """Sign a request for new keys, keep it, hand it in. Raises EnrolmentError, UnreachableError, HomeError."""
    place = ticket.place
    entry = recovering.request_entry(ticket, read_identity(home), key, read_node_secret(home), now)
    # Durable before it leaves: a second one from the same keys would be a fork of our own making.
    begin(home, place, (entry,))
    is_kept = False
    try:
        async with _knocking(home, place.addresses, "the other node does not take the request") as request:
            answer = recovering.read_request_untrusted(await request(recovering.ask_recovery(entry)))
        is_kept = True
    except UnreachableError:
        # The other side may have it: the answer can be lost. It is kept, and asked about again.
        is_kept = True
        raise
    finally:
        if not is_kept:
            home.drop_ledger(place.ledger)
    return entry, answer


async def ask_again(home: Home, ledger: bytes) -> dict[str, Any] | None:
    """How the request of this home stands; None where there is none. Raises EnrolmentError, UnreachableError."""
    store = home.open_store(ledger)
    try:
        archive = Archive(store)
        entry, join = own_request(archive), archive.join_row()
    finally:
        store.close()
    if entry is None or join is None:
        return None
    async with _knocking(home, join.addresses, "the other node does not know the request") as request:
        answer = recovering.read_request_untrusted(await request(recovering.ask_recovery(entry)))
    return {"request": entry.id.hex(), "ledger": ledger.hex(), **answer}
