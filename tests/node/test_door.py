"""The door on loopback TCP: a key is sealed for one request, an answer is proved, and the file is its owner's alone."""

from __future__ import annotations

import json
from pathlib import Path
from socket import socketpair

import pytest
import trio

from tallystick.node import api
from tallystick.node.door import API_FILE, Door, is_nonce, read_door
from tallystick.node.errors import ApiError, HomeError
from tallystick.node.home import Home

DOOR = Door(token="t" * 43, seal=bytes(range(32)), port=4711)
SEED = b"s" * 32


def _posted(body: bytes) -> bytes:
    """A request of the local interface."""
    head = (
        f"POST /v1/offer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


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


@pytest.mark.parametrize(
    ("request_", "code", "said"),
    [
        (b"\x16\x03\x01 rubbish\r\n\r\n", "bad-request", "this is no HTTP request"),
        (b"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000, "bad-request", "the request is too long"),
        (_posted(b"[" * 100_000), "bad-json", "too many brackets in each other"),
        (_posted(b'{"n":' + b"1" * 5000 + b"}"), "bad-json", "a number is too long"),
        (_posted(b'{"n":'), "bad-json", "it breaks off, or goes wrong, at line 1, column 6"),
        (_posted(b'{"n":"\xff"}'), "bad-json", "it is not UTF-8"),
        (_posted(b'{"n":1,"n":2}'), "bad-json", "a name stands twice"),
        (_posted(b"[]"), "bad-json", "not an object"),
        (
            b"GET /v1/explain?id=Ana HTTP/1.1\r\nHost: x\r\n\r\n",
            "bad-argument",
            "the arguments are one JSON object: ?args={...}",
        ),
    ],
)
def test_rubbish_is_refused_in_our_own_words(request_: bytes, code: str, said: str) -> None:
    """Short, without what was sent, and without words of the language in which the node is written."""

    async def do(*_: object) -> object:
        raise AssertionError("nothing of this is an operation")

    async def ask() -> bytes:
        ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socketpair())
        answer = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(api._serve_one, ours, do, trio.CapacityLimiter(1), api.Waiting(), None)
            nursery.start_soon(theirs.send_all, request_)
            async for part in theirs:
                answer += part
        return answer

    error = json.loads(trio.run(ask).partition(b"\r\n\r\n")[2])["error"]
    assert error["code"] == code
    assert error["message"].removeprefix("the arguments are no JSON object: ") == said
