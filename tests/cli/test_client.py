"""Where an operation goes: to the node that listens, or into the store; and what is said when neither answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.crypto.keys import SecretKey
from tallystick.node.errors import HomeError, HomeReason, NodeError
from tallystick.node.home import Home

KEY = SecretKey.from_seed(bytes(range(32)))


class FakeNode:
    """Answers each connection to the home's socket with the next of the given bytes, and keeps what was asked."""

    def __init__(self, path: Path) -> None:
        self.asked: list[bytes] = []
        self.answers: list[bytes] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            with stream:
                self.asked.append(_request(stream))
                if self.asked[-1]:
                    stream.sendall(self.answers.pop(0) if self.answers else b"")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def _request(stream: socket.socket) -> bytes:
    """A whole request; empty where somebody only looked whether anybody is here."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += stream.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: int, value: Any) -> bytes:
    """An HTTP answer as the node gives it."""
    data = json.dumps(value).encode()
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data


def refusal(status: int, code: str, exit_code: int) -> bytes:
    return answer(status, {"error": {"code": code, "message": "no", "hint": "h", "exit_code": exit_code}})


@pytest.fixture
def place(tmp_path: Path) -> Home:
    """A home without keys; nothing here opens its store."""
    return Home.create(tmp_path / "t")


@pytest.fixture
def node(place: Home) -> Iterator[FakeNode]:
    """Something that listens where a node would."""
    fake = FakeNode(place.socket_path())
    yield fake
    fake.close()


@pytest.fixture
def client(place: Home) -> Client:
    return Client(place, Options(), busy_s=0.0)


def never() -> SecretKey:
    raise AssertionError("nobody should have been asked for the key")


def test_question_goes_to_the_node_that_listens(node: FakeNode, client: Client) -> None:
    """A read is a GET with its arguments as JSON, on a connection of its own."""
    node.answers = [answer(200, {"rows": []})]
    assert client.read("points", {"partner": "Zoë & co"}) == {"rows": []}
    (asked,) = node.asked
    assert asked.startswith(b"GET /v1/points?args=%7B%22partner%22%3A%20%22Zo%5Cu00eb%20%26%20co%22%7D HTTP/1.1\r\n")
    assert b"Connection: close" in asked
    assert b"Tally-Key" not in asked


def test_wrong_settings_are_told_before_anybody_is_asked(node: FakeNode, client: Client, place: Home) -> None:
    """Whether a node runs or not: what the settings say of the ledger may be what is wrong."""
    place.config_path.write_text("mdns = 3\n")
    for ask in (
        lambda: client.read("points", {}),
        lambda: client.write("accept", {"offer": "ab"}, never),
        lambda: client.ask_node("sync", {}),
        client.has_node,
    ):
        with pytest.raises(NodeError) as caught:
            ask()
        assert (caught.value.reason, caught.value.exit_code) == ("config-invalid", 2)
    assert node.asked == []


def test_node_that_holds_the_key_needs_none(node: FakeNode, client: Client) -> None:
    """A write goes without a key first; nobody is asked for a passphrase if the node has it."""
    node.answers = [answer(200, {"status": "pending"})]
    assert client.write("accept", {"offer": "ab"}, never) == {"status": "pending"}
    (asked,) = node.asked
    assert asked.startswith(b"POST /v1/accept HTTP/1.1\r\n")
    assert asked.endswith(b'\r\n\r\n{"offer": "ab"}')


def test_locked_node_is_given_the_key_for_one_request(node: FakeNode, client: Client) -> None:
    """After `key-locked` the key is fetched and sent along, once."""
    node.answers = [refusal(423, "key-locked", 4), answer(200, {"status": "pending"})]
    assert client.write("accept", {"offer": "ab"}, lambda: KEY) == {"status": "pending"}
    assert b"Tally-Key" not in node.asked[0]
    assert f"Tally-Key: {KEY.seed.hex()}".encode() in node.asked[1]


def test_key_at_hand_goes_with_the_first_request(node: FakeNode, client: Client) -> None:
    """An unlocked session needs one request; a refusal of the key is not tried again."""
    node.answers = [refusal(423, "key-locked", 4)]
    with pytest.raises(NodeError) as caught:
        client.write("accept", {"offer": "ab"}, never, KEY)
    assert caught.value.reason == "key-locked"
    assert len(node.asked) == 1


def test_refusal_of_the_node_keeps_its_words_and_exit_code(node: FakeNode, client: Client) -> None:
    """What the node says is what the person hears."""
    node.answers = [refusal(409, "offer-taken", 1)]
    with pytest.raises(NodeError) as caught:
        client.read("offers", {})
    error = caught.value
    assert (error.reason, error.message, error.hint, error.exit_code) == ("offer-taken", "no", "h", 1)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\nnot json",
        b"SSH-2.0-x\r\n\r\n{}",
        b"HTTP/1.1 abc\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_answer_that_breaks_off_is_no_answer(broken: bytes, node: FakeNode, client: Client) -> None:
    """A node that is stopped in the middle leaves the question open, and that is said."""
    node.answers = [broken]
    with pytest.raises(NodeError) as caught:
        client.read("points", {})
    assert (caught.value.reason, caught.value.exit_code) == ("node-gone", 5)


def test_chunked_answer_is_put_together(node: FakeNode, client: Client) -> None:
    """HTTP allows a server to send in parts."""
    node.answers = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3;x=y\r\n,2]\r\n0\r\n\r\n"]
    assert client.read("log", {}) == [1, 2]


def test_error_that_is_none_is_called_so(node: FakeNode, client: Client) -> None:
    """Something else than a node of ours may listen there."""
    node.answers = [answer(500, ["what"])]
    with pytest.raises(NodeError) as caught:
        client.read("points", {})
    assert caught.value.reason == "node-silent"


def test_socket_without_a_node_is_passed_over(place: Home, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that was killed leaves its socket behind; the store is free, so it is opened here."""
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(place.socket_path()))
    left.close()
    monkeypatch.setattr(client, "_here", lambda op, args, key: (op, args, key))
    assert client.read("log", {}) == ("log", {}, None)


def test_home_that_stays_in_use_is_an_error(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has the store, and nobody answers: exit 6, with the process."""
    monkeypatch.setattr(client, "_here", _busy(99))
    with pytest.raises(HomeError) as caught:
        client.read("log", {})
    assert caught.value.reason == HomeReason.IN_USE
    assert caught.value.exit_code == 6
    assert "process 4711" in caught.value.message


def test_home_that_is_free_a_moment_later_is_waited_for(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another command, or a node that just stops, is done in a moment."""
    client = Client(place, Options(), busy_s=30.0)
    monkeypatch.setattr(client, "_here", _busy(2))
    assert client.read("log", {}) == "done"


def test_node_that_just_starts_is_asked(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the store already and listens a moment later."""
    client = Client(place, Options(), busy_s=30.0)
    started: list[FakeNode] = []

    def in_use(op: str, args: Any, key: Any) -> Any:
        if not started:
            started.append(FakeNode(place.socket_path()))
            started[0].answers = [answer(200, "from the node")]
        raise HomeError("in use", reason=HomeReason.IN_USE)

    monkeypatch.setattr(client, "_here", in_use)
    try:
        assert client.read("log", {}) == "from the node"
    finally:
        started[0].close()


def _busy(times: int) -> Callable[..., Any]:
    left = [times]

    def here(op: str, args: Any, key: Any) -> Any:
        if not left[0]:
            return "done"
        left[0] -= 1
        raise HomeError("in use", reason=HomeReason.IN_USE, pid=4711)

    return here


def test_store_is_not_opened_while_somebody_is_asked(place: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a node the key is fetched before the store is opened: a person may take long."""
    client = Client(place, Options())
    steps: list[str] = []

    class Local:
        def do(self, op: str, args: dict[str, Any], key: SecretKey | None, now: int) -> Any:
            steps.append(f"did {op}")
            return key

    class Opened:
        def __enter__(self) -> Local:
            steps.append("opened")
            return Local()

        def __exit__(self, *error: object) -> None:
            steps.append("closed")

    def fetch() -> SecretKey:
        steps.append("asked")
        return KEY

    monkeypatch.setattr("tallystick.node.local.open_local", lambda home, prefix, *, now: Opened())
    assert client.write("accept", {}, fetch) is KEY
    assert steps == ["asked", "opened", "did accept", "closed"]
    assert client.write("accept", {"dry_run": True}, never) is None


def test_node_of_another_ledger_is_not_asked(place: Home, node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node serves one ledger; a question about another one of this home goes into its store."""
    for name in ("aa" * 32, "bb" * 32):
        (place.path / "ledgers" / name).mkdir()
    options = Options()
    options.ledger = "bb"
    client = Client(place, options)
    monkeypatch.setattr(client, "_here", lambda op, args, key: "from the store")
    node.answers = [answer(200, {"ledger": "aa" * 32})]
    assert client.read("log", {}) == "from the store"
    node.answers = [answer(200, {"ledger": "bb" * 32}), answer(200, "from the node")]
    assert client.read("log", {}) == "from the node"


@pytest.mark.parametrize("ask", ["read", "unsigned", "ask_node"])
def test_mistyped_ledger_does_not_end_in_the_one_that_is_there(place: Home, node: FakeNode, ask: str) -> None:
    """Exit 3 and the ledgers that are here, although a node runs; it is not even asked."""
    (place.path / "ledgers" / ("aa" * 32)).mkdir()
    options = Options()
    options.ledger = "bb"
    with pytest.raises(HomeError) as caught:
        getattr(Client(place, options), ask)("seal", {})
    assert (caught.value.reason, caught.value.exit_code) == ("not-found", 3)
    assert caught.value.message == "no ledger here begins with 'bb'"
    assert caught.value.hint == "here: aaaaaaaa"
    assert not any(node.asked)


def test_ledger_of_the_environment_is_looked_for_too(
    place: Home, node: FakeNode, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TALLY_LEDGER is as good as the option; what is about this computer needs no ledger."""
    (place.path / "ledgers" / ("aa" * 32)).mkdir()
    monkeypatch.setenv("TALLY_LEDGER", "bb")
    with pytest.raises(HomeError):
        client.has_node()
    assert client.has_node(any_ledger=True)
    monkeypatch.setenv("TALLY_LEDGER", "aa")
    assert client.has_node()
