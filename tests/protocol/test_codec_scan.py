"""The scanner for reasons: it stops at the first fault, and no input takes it far."""

from __future__ import annotations

import pytest

from tallystick.protocol.codec_scan import find_fault
from tallystick.protocol.errors import Reason


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        # Two faults: the one further to the left.
        (b"\x92\xc1\xca", (Reason.RESERVED_BYTE, 1)),
        (b"\x92\xcc\x00\xc1", (Reason.NOT_SHORTEST, 1)),
        (b"\x82\xa1b\xc1\xa1a\xc0", (Reason.RESERVED_BYTE, 3)),
        (b"\x82\xa1b\xc0\xa1a\xc1", (Reason.UNSORTED_KEYS, 4)),
        (b"\xcc\x00\xff", (Reason.NOT_SHORTEST, 0)),
        # A container that is too long is not counted through.
        (b"\xdd\xff\xff\xff\xff", (Reason.TOO_LONG, 0)),
        (b"\xdf\xff\xff\xff\xff", (Reason.TOO_LONG, 0)),
        # One that is both too long and too deep.
        (b"\x91" * 8 + b"\xdc\xff\xff", (Reason.TOO_LONG, 8)),
        (b"\xc0", (Reason.NOT_CANONICAL, None)),
    ],
)
def test_the_first_fault_is_found(data: bytes, fault: tuple[Reason, int | None]) -> None:
    """With the byte that begins it; nothing where there is none."""
    assert find_fault(data, 8, 4096, 256) == fault


def test_no_nesting_is_too_much_for_the_stack() -> None:
    """A megabyte of opening brackets ends at the ninth."""
    assert find_fault(b"\x91" * 1_000_000, 8, 4096, 256) == (Reason.TOO_DEEP, 8)
    assert find_fault(b"\x81\xa1a" * 300_000, 8, 4096, 256) == (Reason.TOO_DEEP, 24)
