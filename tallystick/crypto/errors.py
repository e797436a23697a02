"""What can go wrong with keys and signatures.

`TallystickError` is the base of every error this package raises on purpose; it lives here because `crypto` is the
lowest layer. `reason` is a short word or phrase that logs, tests and the command line share; the words for people are
made from it in the command line.
"""


class TallystickError(Exception):
    """Base of every error that Tallystick raises on purpose."""


class SignatureError(TallystickError):
    """A signature does not verify, or a public key may not be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeystoreError(TallystickError):
    """A key file, recovery words or a passphrase cannot be used."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
