"""A charter with a step for every rule of deals, and a world of four partners who trade by it."""

from __future__ import annotations

import copy
from typing import Any

from tests.support.builders import World

#: `ana` founds it and holds every role; everybody begins with 100 points.
MARKET: dict[str, Any] = {
    "charter": 1,
    "name": "Market",
    "points": {"pool": 100_000, "start": 100},
    "membership": {"sponsors": 1, "probation": "0s"},
    "dispute": {"window": "5d", "panel": 1},
    "role": [{"id": "roaster"}, {"id": "taster"}],
    "step": [
        {"id": "roast", "price": 12, "budget": 600},
        {"id": "bake", "price": 10, "payer": "buyer"},
        {"id": "carve", "price": 10, "budget": 5_000, "cosign-above": 100, "review": "3d"},
        {"id": "print", "price": 10, "budget": 5_000, "late-per-day": 10, "late-max": 50},
        {"id": "sing", "price": 10, "budget": 150, "max-grade": 150},
        {"id": "tune", "price": 10, "payer": "buyer", "max-grade": 200},
        {"id": "copy", "price": 10, "budget": 5_000, "on-silence": "lapse"},
        {"id": "guild", "price": 10, "budget": 5_000, "sellers": ["roaster"], "buyers": ["taster", "treasurer"]},
        {"id": "swap", "price": 10, "budget": 5_000, "pair-cap": 50, "period": "10d"},
        {"id": "rare", "price": 10, "budget": 5_000, "max-open": 2},
        {"id": "vast", "price": 1_000_000_000_000, "budget": 5_000},
        {"id": "gift", "price": 0, "budget": 0},
    ],
}


def market(*others: str, **tables: Any) -> World:
    """A world of this charter, with some of its top-level keys replaced; the partners are ana, bo, cy and di."""
    return World.found(copy.deepcopy(MARKET) | tables, *(others or ("bo", "cy", "di")))
