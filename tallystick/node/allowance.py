"""How many messages of one sender are taken within ten minutes.

A limit for a whole height would silence those who wait longest: a height may last for days, and a sealer that is there
says so every ten seconds.
"""

from __future__ import annotations

from typing import Final

WINDOW_MS: Final = 600_000
MESSAGES_MAX: Final = 1024


class Allowance:
    """Counts by sender, and begins anew for each when its ten minutes are over."""

    def __init__(self, most: int = MESSAGES_MAX) -> None:
        self._most = most
        self._taken: dict[bytes, tuple[int, int]] = {}
        """Sender -> when its ten minutes began, and its messages since."""

    def take(self, sender: bytes, now: int) -> bool:
        """Whether one more is taken now."""
        since, count = self._taken.get(sender, (now, 0))
        if not 0 <= now - since < WINDOW_MS:
            # Also where the clock was set back.
            since, count = now, 0
        if count >= self._most:
            return False
        self._taken[sender] = (since, count + 1)
        return True

    def clear(self) -> None:
        """Forget all."""
        self._taken.clear()
