"""Bundles of a running node: written beside the loop, taken in between other things.

Source: docs/spec/bundles.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio

from tallystick.node.bundle import Contents, Taken, taking
from tallystick.node.bundle_file import open_bundle, write_bundle_file
from tallystick.node.carrying import next_words
from tallystick.node.clock import now_ms
from tallystick.node.desk import Desk
from tallystick.node.effects import Wake
from tallystick.node.errors import StoreError
from tallystick.node.verifier import verdicts_of

if TYPE_CHECKING:
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.archive import Archive
    from tallystick.node.service import Node
    from tallystick.node.service_args import BundleInArgs, BundleOutArgs
    from tallystick.protocol.entry import Entry
    from tallystick.protocol.ledger import Ledger


async def write(node: Node, args: BundleOutArgs, key: SecretKey | None) -> Any:
    """`bundle out`: a thread writes the ledger of this moment. Raises what `write_bundle_file` raises."""
    sealing, asked, now = node.core.sealer.messages(), msgspec.structs.asdict(args), now_ms()

    def work(archive: Archive, ledger: Ledger, loose: list[Entry]) -> dict[str, Any]:
        return write_bundle_file(Contents(ledger, archive, loose, node.device, sealing), asked, now, key)

    return await node.aside.run(work)


async def take(node: Node, args: BundleInArgs, key: SecretKey | None) -> Any:
    """`bundle in`: frame by frame, and peers are served meanwhile. Raises BundleError, StoreError."""
    if node.read_only is not None:
        raise node.read_only
    taken, before = Taken(), node.core.ledger.head.height
    try:
        with open_bundle(msgspec.structs.asdict(args)) as file:
            for _ in taking(node.core, file, taken, now=now_ms(), judge=verdicts_of):
                node.perform(node.core.effects())
                await trio.lowlevel.checkpoint()
    except StoreError as error:
        node.disk_failed(error)
        raise
    node.feed(Wake())
    height = node.core.ledger.head.height
    said = next_words(node.core, Desk(node.core).view(now_ms()), height - before - taken.blocks)
    return taken.to_json() | {"height": height, "next": said}
