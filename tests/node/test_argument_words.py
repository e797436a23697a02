"""Arguments that cannot be: said in words, without the types and paths of a library."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick.node.errors import NodeError
from tallystick.node.read_args import LogArgs, SettlementArgs, ShowArgs, read_args
from tallystick.node.writes import InviteArgs, OfferArgs, SealerArgs
from tallystick.node.writes_base import read_args as read_write_args


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (SettlementArgs, {"at": 0}, "'at' must be a whole number of at least 1"),
        (SettlementArgs, {"percent": 101}, "'percent' must be a whole number of at most 100"),
        (LogArgs, {"limit": "x"}, "'limit' must be a whole number, not a text"),
        (ShowArgs, {"id": ""}, "'id' must not be empty"),
        (ShowArgs, {"id": "a" * 201}, "'id' must have at most 200 characters"),
        (ShowArgs, {}, "'id' is missing"),
        (ShowArgs, {"id": "ab", "more": 1}, "there is no argument 'more'"),
        (ShowArgs, {"id": ["ab"]}, "'id' must be a text, not a list"),
    ],
)
def test_read_says_what_is_wrong(kind: Any, given: dict[str, Any], said: str) -> None:
    """The argument by its name, and what it may be."""
    with pytest.raises(NodeError) as caught:
        read_args(kind, given)
    assert caught.value.message == said


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        (OfferArgs, {"step": "roast", "units": 99999999999}, "'units' must be a whole number of at most 1000000000"),
        (OfferArgs, {"open": "", "points": 5}, "'open' must not be empty"),
        (InviteArgs, {"as": "king"}, "'as' cannot be 'king'"),
        (SealerArgs, {"on": 1}, "'on' must be true or false, not a whole number"),
    ],
)
def test_write_says_what_is_wrong(kind: Any, given: dict[str, Any], said: str) -> None:
    """The same for what signs."""
    with pytest.raises(NodeError) as caught:
        read_write_args(kind, given)
    assert (caught.value.message, caught.value.exit_code) == (said, 2)
