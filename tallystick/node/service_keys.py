"""What a running node does with keys: it lets go of them in time, puts evidence on the ledger, waits for new devices.

Source: docs/spec/membership.md#keys, docs/spec/finality.md#guard
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tallystick.node import enrolment, recovering
from tallystick.node.clock import now_ms
from tallystick.node.desk import Desk
from tallystick.node.effects import Wake
from tallystick.node.errors import StoreError
from tallystick.node.identity import KeyLockedError
from tallystick.node.joining import UnreachableError
from tallystick.node.muting import check_can_lose, check_can_unmute, check_is_whole

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.read_args import ReadArgs
    from tallystick.node.service import Node
    from tallystick.node.service_args import DeviceTicketArgs, MemberTicketArgs, UnlockArgs

log = logging.getLogger("tallystick.node")


def drop_idle(node: Node, now: int) -> None:
    """Let go of a key that nobody has used for too long, or that a ticket has held for its time."""
    if node.held is not None and now > node.held_until:
        log.info("the signing key is locked again: nobody has used it")
        node.held = None
    enrolment.drop_expired(node.core, now)


def convict(node: Node, now: int) -> None:
    """Put evidence on the ledger as soon as there is some and the key is at hand. That is no use of the key."""
    if node.held is None or node.read_only is not None or not node.core.has_evidence:
        return
    try:
        Desk(node.core).convict(node.held, now)
        node.perform(node.core.effects())
    except StoreError as error:
        node.disk_failed(error)


async def unmute(node: Node, *, accept_loss: bool) -> None:
    """Meet all who can be reached, then sign again. Raises NodeError: not-mute, no-peer; StoreError."""
    check_can_unmute(node.core)
    try:
        await node.sync()
    except UnreachableError as error:
        check_can_lose(node.core, error, accept_loss=accept_loss)
    check_is_whole(node.core, accept_loss=accept_loss)
    try:
        # Meeting the others may have settled it.
        if node.core.sealer.muted:
            node.core.sealer.unmute(now_ms())
        node.perform(node.core.effects())
    except StoreError as error:
        node.disk_failed(error)
        raise
    node.feed(Wake())


async def unlock(node: Node, args: UnlockArgs, key: SecretKey | None) -> Any:
    """Hold the key until it has not been used for a while. Raises KeyLockedError."""
    if key is None or key.public != node.device:
        raise KeyLockedError("the key of this device is needed", reason="wrong-key")
    node.held_idle_ms = args.idle_ms or node.config.unlock_ms
    node.held = key
    node.held_until = now_ms() + node.held_idle_ms
    # What sealers were found to have signed may wait for it.
    node.feed(Wake())
    return {"unlocked": True, "until": node.held_until}


async def lock(node: Node, args: ReadArgs, key: SecretKey | None) -> Any:
    """Let go of the key, in tickets too."""
    node.held = None
    node.core.tickets.clear()
    return {"unlocked": False}


async def device_ticket(node: Node, args: DeviceTicketArgs, key: SecretKey | None) -> Any:
    """Wait for a new machine of this member, for ten minutes. Raises NodeError: key-locked, wrong-key, limit."""
    now = now_ms()
    if node.read_only is not None:
        raise node.read_only
    key = key or node.key_at_hand(now)
    if key is None:
        raise KeyLockedError("the signing key is locked", reason="key-locked", hint="`tally unlock`")
    if key.public != node.device:
        raise KeyLockedError("this is not the key of this device", reason="wrong-key")
    return enrolment.text_of(enrolment.issue(node.core, key, scope=args.scope, label=args.label, now=now))


async def member_ticket(node: Node, args: MemberTicketArgs, key: SecretKey | None) -> Any:
    """Where somebody who has lost a device finds this ledger. Raises NodeError."""
    return recovering.member_ticket_json(node.core, Desk(node.core).view(now_ms()), args.partner)
