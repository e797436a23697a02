"""The local interface on loopback TCP: what both ends know from the home, and how they prove it to each other.

`run/api.json` (0600) has the port and two secrets of the node that runs. Whoever can read it may ask:

* the *token* goes with every request;
* the *seal* never travels: with it the node proves that an answer is its own, since the port of a node that was killed
  may be anybody's by now, and with it a signing key is sealed for the one request that it signs.

A page in a browser of this computer can knock at the port too, so names of hosts and origins are looked at.

Source: docs/spec/api.md#on-tcp; RFC 8439
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from hmac import new as hmac
from typing import TYPE_CHECKING, Final

from tallystick.node.errors import ApiError, HomeError, HomeReason

if TYPE_CHECKING:
    from tallystick.node.home import Home

HOST: Final = "127.0.0.1"
API_FILE: Final = "run/api.json"
NONCE_HEADER: Final = "Tally-Nonce"
PROOF_HEADER: Final = "Tally-Proof"
SEALED_HEADER: Final = "Tally-Sealed-Key"
_NONCE_BYTES: Final = 12
_SECRET_BYTES: Final = 32
_NONCE_DIGITS: Final = (16, 128)
_CODE_BYTES: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One node's door on TCP."""

    token: str
    seal: bytes
    port: int

    @property
    def host(self) -> str:
        return f"{HOST}:{self.port}"

    def refusal(self, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """(status, why), or None where a request may come in."""
        hosts = {f"{name}:{self.port}" for name in (HOST, "localhost", "[::1]")}
        if headers.get(b"host", b"").decode("ascii", "replace") not in hosts:
            # A page of another site that had its name point here.
            return 421, "this is not the host that was asked for"
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("ascii", "replace") not in {f"http://{host}" for host in hosts}:
            return 403, "requests from other pages are not answered"
        if headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            return 403, "requests from other pages are not answered"
        shown = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if not compare_digest(shown, self.token.encode("ascii")):
            return 401, "the token is missing or wrong: it stands in run/api.json of the home"
        return None

    def proof(self, nonce: bytes, status: int, body: Iterable[bytes]) -> str:
        """What only the node of this home can say of an answer, in parts, to whoever sent this nonce."""
        digest = sha256()
        for part in body:
            digest.update(part)
        said = b"tally-proof\0" + nonce + b"\0%d\0" % status + digest.digest()
        return hmac(self.seal, said, sha256).hexdigest()

    def seal_key(self, seed: bytes, nonce: bytes, method: str, target: str, body: bytes) -> str:
        """A signing key for one request and no other. `nonce` is 12 bytes that were never used before."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        box = ChaCha20Poly1305(self.seal).encrypt(nonce, seed, _about(method, target, body))
        return (nonce + box).hex()

    def open_key(self, text: bytes, method: str, target: str, body: bytes) -> bytes:
        """The seed that was sealed for this request. Raises ApiError: bad-key."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        try:
            data = bytes.fromhex(text.decode("ascii"))
            if len(data) != _NONCE_BYTES + _SECRET_BYTES + _CODE_BYTES:
                raise ValueError
            box = ChaCha20Poly1305(self.seal)
            return box.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _about(method, target, body))
        except (ValueError, InvalidTag):
            raise ApiError(f"{SEALED_HEADER} is not sealed for this request", reason="bad-key") from None

    def to_file(self) -> bytes:
        row = {"port": self.port, "token": self.token, "seal": self.seal.hex()}
        return json.dumps(row).encode("ascii")


def is_nonce(text: bytes) -> bool:
    """Whether a client's nonce is one that is answered."""
    return _NONCE_DIGITS[0] <= len(text) <= _NONCE_DIGITS[1] and text.isalnum()


def read_door(home: Home) -> Door | None:
    """The door that the home speaks of; None where there is none. Raises HomeError for a file that others may read."""
    try:
        data = home.read_file(API_FILE)
    except HomeError as error:
        if error.reason == HomeReason.NOT_FOUND:
            return None
        raise
    try:
        row = json.loads(data)
        door = Door(token=str(row["token"]), seal=bytes.fromhex(row["seal"]), port=int(row["port"]))
    except (ValueError, KeyError, TypeError):
        return None
    return door if len(door.seal) == _SECRET_BYTES and 0 < door.port < 65536 and door.token.isascii() else None


def _about(method: str, target: str, body: bytes) -> bytes:
    return f"tally-key\0{method} {target}\0".encode() + sha256(body).digest()
