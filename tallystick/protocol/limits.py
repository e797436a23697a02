"""Every maximum of the wire forms, each with its reason. Limits of the rules are in the charter, not here.

Source: docs/spec/encoding.md, docs/spec/entries.md
"""

from typing import Final

DEPTH_MAX: Final = 8
"""Containers inside one another. The deepest entry needs five; a bound keeps every reader's stack small."""
ARRAY_LENGTH_MAX: Final = 4096
MAP_LENGTH_MAX: Final = 256
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
"""What a signed 64-bit integer holds, so any language can read a ledger."""
VALUE_SIZE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A value whose reader names no tighter bound: as much as the headers of a block."""

HEADER_SIZE_BYTES_MAX: Final = 16 * 1024
HEADER_LARGE_SIZE_BYTES_MAX: Final = 64 * 1024
"""Only for kinds that carry a charter."""
ANNEX_SIZE_BYTES_MAX: Final = 64 * 1024
SALT_SIZE_BYTES: Final = 16
LINKS_MAX: Final = 16
TIME_MS_MAX: Final = 2**53 - 1
"""The year 287396: sums of times and durations stay far below INT_MAX, and every tool can hold it."""
