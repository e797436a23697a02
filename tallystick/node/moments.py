"""Dates and durations as people type them, turned into milliseconds of UTC.

    3d, 12h, 90m           from now on
    2026-12-24             the end of that day, in this computer's time zone
    2026-12-24T18:00       that minute, in this computer's time zone; with a Z in UTC

Source: docs/spec/cli.md
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from tallystick.node.errors import ExitCode, NodeError
from tallystick.protocol.charter_fields import Duration, Refused

_DATE: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?(Z?))?", re.ASCII)
_DAY: Final = timedelta(days=1)


class MomentError(NodeError):
    """A text that is neither a duration nor a date."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(
            f"{name}: {text[:40]!r} is no date",
            reason="bad-time",
            exit_code=ExitCode.USAGE,
            hint="write a duration such as 3d or 12h, or a date such as 2026-12-24 or 2026-12-24T18:00",
        )


def read_moment(text: str, now: int, name: str = "time") -> int:
    """The moment a person means, in ms. Raises MomentError; `name` is what the message calls the option."""
    try:
        return now + Duration().read(text.strip())
    except Refused:
        pass
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise MomentError(text, name)
    year, month, day, hour, minute, second = (int(part) if part else 0 for part in match.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        if not match[7]:
            # A time on a wall clock here: the same figures, in the zone of this computer on that day.
            moment = moment.replace(tzinfo=None).astimezone()
        if match[4] is None:
            moment += _DAY - timedelta(milliseconds=1)
        stamp = moment.timestamp()
    except (ValueError, OverflowError, OSError):
        raise MomentError(text, name) from None
    if stamp < 0:
        raise MomentError(text, name)
    return round(stamp * 1000)


def read_duration(text: str, name: str = "duration") -> int:
    """A length of time in ms. Raises MomentError."""
    try:
        return Duration().read(text.strip())
    except Refused:
        raise MomentError(text, name) from None
