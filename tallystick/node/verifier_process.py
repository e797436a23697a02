"""A process that judges signatures and does nothing else: questions come on stdin, answers leave on stdout.

    question   length (4 bytes, big-endian), then the MessagePack of [[key, message, signature], ...]
    answer     for each question a byte of 0 or 1 for each signature

It ends with its stdin, so it never outlives the node that started it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from tallystick.crypto.signatures import is_valid, self_test

_read = msgspec.msgpack.Decoder(list[tuple[bytes, bytes, bytes]]).decode
_write = msgspec.msgpack.Encoder().encode


def question(checks: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """The bytes that ask for verdicts on these."""
    data = _write(checks)
    return len(data).to_bytes(4, "big") + data


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more questions."""
    while len(head := questions.read(4)) == 4:
        checks = _read(questions.read(int.from_bytes(head, "big")))
        answers.write(bytes(is_valid(*check) for check in checks))
        answers.flush()


def main() -> None:
    # Ctrl+C is for the node, which ends this process when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        # The loop of the node goes first: all that is judged here has to go through it.
        os.nice(5)
    self_test()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
