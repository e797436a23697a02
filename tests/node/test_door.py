"""The door on loopback TCP: a key is sealed for one request, an answer is proved, and the file is its owner's alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tallystick.node.door import API_FILE, Door, is_nonce, read_door
from tallystick.node.errors import ApiError, HomeError
from tallystick.node.home import Home

DOOR = Door(token="t" * 43, seal=bytes(range(32)), port=4711)
SEED = b"s" * 32


def test_a_sealed_key_opens_for_its_request_only() -> None:
    """Whoever sees it pass can neither read it nor have anything else signed with it."""
    sealed = DOOR.seal_key(SEED, bytes(12), "POST", "/v1/offer", b"{}").encode()
    assert SEED.hex().encode() not in sealed
    assert DOOR.open_key(sealed, "POST", "/v1/offer", b"{}") == SEED
    other = Door(token=DOOR.token, seal=bytes(32), port=DOOR.port)
    for door, method, target, body in (
        (DOOR, "GET", "/v1/offer", b"{}"),
        (DOOR, "POST", "/v1/leave", b"{}"),
        (DOOR, "POST", "/v1/offer", b'{"units":2}'),
        (other, "POST", "/v1/offer", b"{}"),
    ):
        with pytest.raises(ApiError) as caught:
            door.open_key(sealed, method, target, body)
        assert (caught.value.reason, caught.value.status) == ("bad-key", 400)
    for bad in (b"", b"xx", sealed[:-2], sealed + b"00", SEED.hex().encode(), b"\xff" * 120):
        with pytest.raises(ApiError):
            DOOR.open_key(bad, "POST", "/v1/offer", b"{}")


def test_a_proof_is_of_one_answer_to_one_question() -> None:
    """Another nonce, status or body, or another node, and it is another proof; in how many parts does not matter."""
    proof = DOOR.proof(b"n" * 32, 200, [b"[1,", b"2]"])
    assert proof == DOOR.proof(b"n" * 32, 200, [b"[1,2]"])
    others = {
        DOOR.proof(b"m" * 32, 200, [b"[1,2]"]),
        DOOR.proof(b"n" * 32, 409, [b"[1,2]"]),
        DOOR.proof(b"n" * 32, 200, [b"[1,3]"]),
        Door(token=DOOR.token, seal=bytes(32), port=4711).proof(b"n" * 32, 200, [b"[1,2]"]),
    }
    assert len(others) == 4 and proof not in others
    assert is_nonce(b"0" * 16) and not is_nonce(b"0" * 15) and not is_nonce(b"0" * 129) and not is_nonce(b" " * 20)


def test_the_home_says_where_the_door_is(tmp_path: Path) -> None:
    """What cannot be understood is no door; a file that others may read is an error with the command that mends it."""
    home = Home.create(tmp_path / "home")
    assert read_door(home) is None
    home.write_file(API_FILE, DOOR.to_file())
    assert read_door(home) == DOOR
    row = json.loads(DOOR.to_file())
    for broken in (b"", b"[]", b"{", json.dumps({**row, "port": 0}), json.dumps({**row, "seal": "00"})):
        home.write_file(API_FILE, broken if isinstance(broken, bytes) else broken.encode())
        assert read_door(home) is None
    home.write_file(API_FILE, DOOR.to_file())
    home.api_path().chmod(0o644)
    with pytest.raises(HomeError) as caught:
        read_door(home)
    assert caught.value.reason == "home-unsafe" and "chmod" in caught.value.hint
