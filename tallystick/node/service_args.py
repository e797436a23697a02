"""Arguments of what only a running node does: sealing, meeting others, bundles, evidence files, the lock.

Source: docs/spec/api.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from tallystick.node.read_args import ReadArgs, Ref

FilePath = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Passphrase = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class SealArgs(ReadArgs, frozen=True, kw_only=True):
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    """How long the answer may wait for the block."""

    unmute: bool = False
    """No other copy of this node runs: let it sign again, after it has met all who can be reached."""
    accept_loss: bool = False
    """With `unmute`: also where nobody can be reached, if this device seals alone."""


class RefoundArgs(ReadArgs, frozen=True, kw_only=True):
    document: Annotated[str, msgspec.Meta(max_length=512 * 1024)] | None = None
    """What partners pass around to found this ledger anew; absent: propose it."""
    bundle: FilePath | None = None
    """Look at the ledger of this bundle and not at the one here: for whoever has another branch."""
    passphrase: Passphrase | None = None
    dry_run: bool = False


class DeviceTicketArgs(ReadArgs, frozen=True, kw_only=True):
    scope: Literal["all", "work"] = "all"
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None


class MemberTicketArgs(ReadArgs, frozen=True, kw_only=True):
    partner: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class SyncArgs(ReadArgs, frozen=True, kw_only=True):
    address: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None
    """Meet this node; absent: everybody who is known."""


class UnlockArgs(ReadArgs, frozen=True, kw_only=True):
    idle_ms: Annotated[int, msgspec.Meta(ge=1000, le=86_400_000)] | None = None
    """Until the key has not been used for so long."""


class BundleOutArgs(ReadArgs, frozen=True, kw_only=True):
    path: FilePath
    full: bool = False
    since: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    passphrase: Passphrase | None = None


class BundleInArgs(ReadArgs, frozen=True, kw_only=True):
    path: FilePath
    passphrase: Passphrase | None = None


class EvidenceAddArgs(ReadArgs, frozen=True, kw_only=True):
    deal: Ref
    path: FilePath
    """A file on this computer that a delivery of the deal names by its hash."""


class EvidenceGetArgs(ReadArgs, frozen=True, kw_only=True):
    deal: Ref
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30.0
    """How long the answer waits without a byte coming."""


class VerifyArgs(ReadArgs, frozen=True, kw_only=True):
    full: bool = False
    """Nothing is left out in any case; programs may say so."""


OWN_ARGS: Final[Mapping[str, type[ReadArgs]]] = {
    "bundle_in": BundleInArgs,
    "bundle_out": BundleOutArgs,
    "device_ticket": DeviceTicketArgs,
    "doctor": ReadArgs,
    "evidence_add": EvidenceAddArgs,
    "evidence_get": EvidenceGetArgs,
    "lock": ReadArgs,
    "member_ticket": MemberTicketArgs,
    "refound": RefoundArgs,
    "seal": SealArgs,
    "stop": ReadArgs,
    "sync": SyncArgs,
    "unlock": UnlockArgs,
    "verify": VerifyArgs,
}
