"""Secret keys: a seed, its public key, and signing.

Signing goes through `cryptography` (OpenSSL), verifying through libsodium: each library checks the other's work.

Source: RFC 8032, section 5.1.5 and 5.1.6.
"""

from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_SIZE_BYTES: Final = 32


class SecretKey:
    """An Ed25519 key pair. Made from a seed that the caller drew; its text form never shows the seed."""

    __slots__ = ("_private", "_public", "_seed")

    def __init__(self, seed: bytes, public: bytes, private: "Ed25519PrivateKey") -> None:
        self._seed = seed
        self._public = public
        self._private = private

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key pair of a seed of 32 bytes. Any other length is a ValueError."""
        if len(seed) != SEED_SIZE_BYTES:
            raise ValueError("a seed has 32 bytes")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        seed = bytes(seed)
        private = Ed25519PrivateKey.from_private_bytes(seed)
        return cls(seed, private.public_key().public_bytes_raw(), private)

    @property
    def seed(self) -> bytes:
        """The secret itself, 32 bytes."""
        return self._seed

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Return the signature of a message, 64 bytes; the same one every time."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"<SecretKey of {self._public.hex()[:8]}>"

    def __reduce__(self) -> str:
        # A secret must not slip into a pickle, a copy or a message to another process.
        raise TypeError("a secret key cannot be pickled or copied")
