"""Where a newcomer may find a partner: what goes into a ticket.

Source: docs/spec/membership.md#ticket
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tallystick.node.ticket import ADDRESS_LENGTH_MAX, ADDRESSES_MAX

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore

#: Of the addresses of this node itself, where there are others to be named.
OWN_MAX: Final = 5


def ticket_addresses(core: NodeCore) -> tuple[str, ...]:
    """Addresses of this node, then one each of other members' nodes that this one has dialled, the latest first.

    Whoever of them hears of the invitation can let the newcomer in, while this computer sleeps.
    """
    rows = [(contact.at, peer, contact.address) for peer, contact in core.archive.contacts() if contact.address]
    rows.sort(key=lambda row: (-row[0], row[1]))
    others = [address for _, peer, address in rows if len(address) <= ADDRESS_LENGTH_MAX and core.is_member(peer)]
    own = [address for address in core.sync.addresses if len(address) <= ADDRESS_LENGTH_MAX]
    own = own[: max(OWN_MAX, ADDRESSES_MAX - len(others))]
    return tuple([*own, *others][:ADDRESSES_MAX])
