"""What two cores can verify at most, with libsodium alone: the yardstick of whatever checks signatures."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from nacl._sodium import ffi, lib

from tallystick.protocol.entry import Entry, signed_message

THREADS = 2


def alone_per_s(entries: Sequence[Entry]) -> float:
    """Signatures per second: two threads, and in each nothing but the calls of the library, one after the other."""
    rows = [(entry.signature + signed_message(entry.id, entry.ledger), entry.device) for entry in entries]
    begun = time.perf_counter()
    threads = [threading.Thread(target=_judge, args=(rows[number::THREADS],)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(rows) / (time.perf_counter() - begun)


def _judge(rows: Sequence[tuple[bytes, bytes]]) -> None:
    check, nothing = lib.crypto_sign_open, ffi.NULL
    for signed, key in rows:
        if check(nothing, nothing, signed, len(signed), key):
            raise ValueError("a signature of the benchmark itself does not hold")
