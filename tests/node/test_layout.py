"""The table of what lies where in the store."""

from __future__ import annotations

from tallystick.node import layout


def test_every_prefix_is_used_once() -> None:
    """Two nouns under one prefix would read each other's rows."""
    rows = [value for name, value in vars(layout).items() if name.isupper() and isinstance(value, bytes)]
    prefixes = [value for value in rows if len(value) == 1]
    assert len(prefixes) >= 15
    assert len(set(prefixes)) == len(prefixes)
    assert all(f"| `{value.decode()}` |" in (layout.__doc__ or "") for value in prefixes)
