"""How a ledger begins: the founding entry, its store, and block 1.

Source: docs/spec/membership.md#found
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from tallystick.crypto.keys import SecretKey
from tallystick.crypto.signatures import SignType, signed_bytes
from tallystick.node.errors import ExitCode, NodeError
from tallystick.node.identity import Identity, read_identity, read_node_secret
from tallystick.protocol import codec
from tallystick.protocol.charter import Charter, CharterError, read_charter, read_toml
from tallystick.protocol.entry import NO_LEDGER, Entry, encode_annex, make_entry
from tallystick.protocol.kinds.found import Found
from tallystick.protocol.limits import SALT_SIZE_BYTES

if TYPE_CHECKING:
    from tallystick.node.home import Home


class CharterInvalidError(NodeError):
    """A charter that cannot be used, with everything that is wrong with it."""

    def __init__(self, name: str, error: CharterError) -> None:
        lines = "".join(f"\n  {problem}" for problem in error.problems)
        count = len(error.problems)
        super().__init__(
            f"{name}: {count} {'error' if count == 1 else 'errors'}{lines}",
            reason="charter-invalid",
            exit_code=ExitCode.USAGE,
            hint="`tally charter check` shows the same; `tally charter template` shows a charter that works",
        )
        self.problems = error.problems


def read_charter_text(text: str, name: str) -> Charter:
    """A charter as TOML. Raises CharterInvalidError with all problems; `name` is what the message calls the file."""
    try:
        return read_charter(read_toml(text))
    except CharterError as error:
        raise CharterInvalidError(name, error) from error


def founding_entry(charter: Charter, identity: Identity, key: SecretKey, node: SecretKey, now: int) -> Entry:
    """The first entry of a ledger; its id is the ledger id."""
    payload = codec.encode([key.public, node.public, identity.recovery])
    body = Found(
        charter=charter.bytes,
        node_key=node.public,
        recovery=identity.recovery,
        possession=node.sign(signed_bytes(SignType.POSSESSION, NO_LEDGER, payload)),
    )
    return make_entry(
        key,
        ledger=NO_LEDGER,
        seq=0,
        prev=None,
        links=(),
        seal=None,
        time=now,
        kind=Found.KIND,
        body=body.to_map(),
        annex=encode_annex(secrets.token_bytes(SALT_SIZE_BYTES), {"name": identity.name}),
    )


def found(home: Home, charter: Charter, key: SecretKey, now: int) -> bytes:
    """Start a ledger and seal its founding; return its id. Raises HomeError, StoreError; then there is no ledger."""
    from tallystick.node.archive import Archive
    from tallystick.node.local import LocalLedger

    identity = read_identity(home)
    entry = founding_entry(charter, identity, key, read_node_secret(home), now)
    store = home.create_store(entry.id, unfinished=True)
    is_founded = False
    try:
        archive = Archive(store)
        archive.begin(entry.id)
        archive.keep((entry,), sync=True)
        LocalLedger(home, entry.id, archive, now).settle(now)
        is_founded = True
    finally:
        store.close()
        if not is_founded:
            # Nobody has heard of it: what the disk did not take whole is better not there at all.
            home.drop_ledger(entry.id)
    home.finish_store(entry.id)
    return entry.id
