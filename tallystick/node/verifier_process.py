"""A process that judges signatures and does nothing else: questions come on stdin, answers leave on stdout.

    question   length (4 bytes, big-endian), then the MessagePack of [[key, message, signature], ...]
    answer     for each question 4 bytes of checksum, then a byte of 0 or 1 for each signature

The checksum is CRC-32 of the question's MessagePack and these bytes: whatever else comes out of a process, a word of a
library or half of another answer, is taken for no verdict.

It ends with its stdin, so it never outlives the node that started it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO, Final
from zlib import crc32

import msgspec

from tallystick.crypto.signatures import is_valid, self_test

#: What stands before the verdicts.
CHECKSUM_BYTES: Final = 4

_read = msgspec.msgpack.Decoder(list[tuple[bytes, bytes, bytes]]).decode
_write = msgspec.msgpack.Encoder().encode


def question(checks: Sequence[tuple[bytes, bytes, bytes]]) -> bytes:
    """The bytes that ask for verdicts on these."""
    data = _write(checks)
    return len(data).to_bytes(4, "big") + data


def answer_to(asked: bytes, verdicts: bytes) -> bytes:
    """The bytes that answer a question, as `question` gave it."""
    return crc32(verdicts, crc32(asked[4:])).to_bytes(CHECKSUM_BYTES, "big") + verdicts


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more questions."""
    while len(head := questions.read(4)) == 4:
        asked = questions.read(int.from_bytes(head, "big"))
        answers.write(answer_to(head + asked, bytes(is_valid(*check) for check in _read(asked))))
        answers.flush()


def main() -> None:
    # Ctrl+C is for the node, which ends this process when it is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        # The loop of the node goes first: all that is judged here has to go through it.
        os.nice(5)
    self_test()
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        # The node was killed, and nobody hears this answer, nor what Python would still write at its end.
        os._exit(0)


if __name__ == "__main__":
    main()
