"""Doctor: all is well on a good home, and each thing that can be wrong is found, with what mends it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tallystick.node.archive import Archive
from tallystick.node.doctor import CLOCK_MS_MAX, doctor
from tallystick.node.errors import HomeError
from tallystick.node.home import Home
from tallystick.node.identity import confirm_words, create_identity, read_identity
from tallystick.node.reads import READS
from tests.support.builders import DAY_MS, key
from tests.support.faults import flip_bit, one_file
from tests.support.kept import Kept, kept_market

PASSPHRASE = "a passphrase for tests"


@pytest.fixture(scope="module")
def sealed_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an identity. Sealing a key takes a second, so it is done once."""
    home = Home.create(tmp_path_factory.mktemp("identity") / "home")
    create_identity(home, name="Ana", passphrase=PASSPHRASE)
    return {name: home.read_file(name) for name in ("device.key", "node.key", "identity.json")}


@pytest.fixture
def ana(tmp_path: Path, sealed_keys: dict[str, bytes]) -> Home:
    """A home with keys whose words are confirmed, and no ledger."""
    home = Home.create(tmp_path / "ana")
    for name, data in sealed_keys.items():
        home.write_file(name, data)
    confirm_words(home)
    return home


def with_ledger(home: Home) -> Kept:
    """A ledger in this home."""
    made = kept_market("bo")
    store = home.create_store(made.ledger.id)
    kept = kept_market("bo", store=store)
    store.close()
    return kept


def report(home: Home, kept: Kept | None = None, **more: Any) -> dict[str, dict[str, Any]]:
    """The findings by name."""
    now = more.pop("now", (kept or kept_market("bo")).now)
    rows = doctor(home, now=now, **more)
    assert json.loads(json.dumps(rows)) == rows
    assert all(row.keys() == {"name", "ok", "what", "fix"} and row["what"] for row in rows)
    assert len({row["name"] for row in rows}) == len(rows)
    return {row["name"]: row for row in rows}


def wrong(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Names of what is not well; each of them says what to do."""
    for row in rows.values():
        assert row["ok"] or row["fix"], row
    return [name for name, row in rows.items() if not row["ok"]]


def test_a_good_home_is_well(ana: Home) -> None:
    """With a ledger and without a node."""
    kept = with_ledger(ana)
    rows = report(ana, kept)
    short = kept.ledger.id.hex()[:8]
    assert wrong(rows) == []
    assert rows[f"store {short}"]["what"] == "opens: block 2, 0 pending"
    assert rows[f"device {short}"]["what"] == "the sealed ledger does not know this device yet"
    assert rows["node"]["what"].startswith("no node runs")


def test_a_home_that_is_not_there(tmp_path: Path) -> None:
    """What says something of the program still answers; that there is no home is said once."""
    rows = {row["name"]: row for row in doctor(Home(tmp_path / "nowhere"), now=0)}
    assert not rows["home"]["ok"]
    assert "tally init" in rows["home"]["fix"]
    assert not rows["clock"]["ok"]
    assert rows.keys() == {"python", "libraries", "signatures", "clock", "home"}
    assert rows["python"]["ok"] and rows["libraries"]["ok"] and rows["signatures"]["ok"]


def test_a_home_that_others_can_read(ana: Home) -> None:
    """With the command that mends it."""
    ana.path.chmod(0o755)
    rows = report(ana)
    assert wrong(rows) == ["home"]
    assert rows["home"]["fix"].startswith("chmod 700")


def test_a_key_that_others_can_read(ana: Home) -> None:
    """The sealed key as well as the node key."""
    (ana.path / "node.key").chmod(0o644)
    assert wrong(report(ana)) == ["keys"]


def test_words_that_nobody_has_confirmed(ana: Home, sealed_keys: dict[str, bytes]) -> None:
    """Until it is done it is said."""
    ana.write_file("identity.json", sealed_keys["identity.json"])
    assert wrong(report(ana)) == ["words"]


def test_settings_that_cannot_be_understood(ana: Home) -> None:
    """Also the checks that need the settings say so."""
    ana.config_path.write_text("lisen = []\n")
    rows = report(ana)
    assert wrong(rows) == ["settings", "listen", "addresses"]
    assert "lisen" in rows["settings"]["what"]


@pytest.mark.parametrize("now", [0, 1_000_000_000_000, CLOCK_MS_MAX, 2**62])
def test_a_clock_that_cannot_be_right(ana: Home, now: int) -> None:
    """Before this program was written, or in another century."""
    assert "clock" in wrong(report(ana, now=now))


def test_a_clock_behind_the_newest_block(ana: Home) -> None:
    """Others have sealed what this clock says is in the future."""
    kept = with_ledger(ana)
    name = f"newest block {kept.ledger.id.hex()[:8]}"
    rows = report(ana, now=kept.ledger.head.time - DAY_MS)
    assert wrong(rows) == [name]
    assert "1 day ahead" in rows[name]["what"]
    rows = report(ana, now=kept.ledger.head.time + 40 * DAY_MS)
    assert wrong(rows) == []
    assert "40 days ago" in rows[name]["what"]


def test_a_port_that_another_program_has(ana: Home) -> None:
    """Unless it is our own node that has it."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ana.config_path.write_text(f'listen = ["/ip4/127.0.0.1/tcp/{port}"]\n')
        rows = report(ana)
        assert wrong(rows) == ["listen"]
        assert str(port) in rows["listen"]["what"]
        running = {"peers": 1, "addresses": [f"/ip4/127.0.0.1/tcp/{port}/p2p/x"]}
        rows = report(ana, status=running)
        assert wrong(rows) == []
        assert "only programs on this computer" in rows["listen"]["what"]
    assert wrong(report(ana)) == []


def test_a_restored_store_is_mute_and_says_what_to_do(ana: Home) -> None:
    """The one thing here that can cost somebody their device."""
    kept = with_ledger(ana)
    store = ana.open_store(kept.ledger.id)
    store.guard.distrust()
    store.close()
    rows = report(ana, kept)
    name = f"guard {kept.ledger.id.hex()[:8]}"
    assert wrong(rows) == [name]
    assert "tally seal --unmute" in rows[name]["fix"]


def test_a_damaged_store_is_named(ana: Home) -> None:
    """Whether it fails to open, or what is in it has not the root that its newest block names."""
    kept = with_ledger(ana)
    short = kept.ledger.id.hex()[:8]
    store = ana.open_store(kept.ledger.id)
    store.write([(b"Sacct/POINT/pool", b"\x91\x01")], sync=True)
    store.close()
    rows = report(ana, kept)
    assert wrong(rows) == [f"store {short}"]
    assert "tally verify" in rows[f"store {short}"]["what"] + rows[f"store {short}"]["fix"]
    flip_bit(one_file(ana.ledger_path(kept.ledger.id) / "db", "MANIFEST-*"), 5)
    assert wrong(report(ana, kept)) == [f"store {short}"]


def test_a_frozen_device_is_told(ana: Home) -> None:
    """Its owner must learn why nothing that it signs counts."""
    kept = with_ledger(ana)
    device = read_identity(ana).device
    state = kept.ledger.state
    row = state.devices[key("bo").public]
    frozen = type(row)(row.member, row.node_key, row.scope, "frozen", row.head_seq, row.head, row.since)
    store = ana.open_store(kept.ledger.id)
    store.write([(b"Sdevice/" + device.hex().encode(), state.devices.encode(frozen))], sync=True)
    archive = Archive(store)
    ledger, _ = archive.load(kept.ledger.id, check_root=False)
    root = _root_of(ledger)
    head = archive.head()
    assert head is not None
    store.write([(b"Ghead", _head_with(store.get(b"Ghead") or b"", root))], sync=True)
    store.close()
    name = f"device {kept.ledger.id.hex()[:8]}"
    rows = report(ana, kept)
    assert wrong(rows) == [name]
    assert "frozen" in rows[name]["what"]


def _root_of(ledger: Any) -> bytes:
    root: bytes = ledger._tree_now().root()
    return root


def _head_with(head: bytes, root: bytes) -> bytes:
    row = msgspec.msgpack.decode(head)
    row[3] = root
    return msgspec.msgpack.encode(row)


def test_with_the_node_running_its_status_is_asked(ana: Home) -> None:
    """It has the store to itself, so what it says is reported."""
    kept = with_ledger(ana)
    store = ana.open_store(kept.ledger.id)
    try:
        status = READS["status"](kept_market("bo").look(), {}) | {"addresses": ["/ip4/192.168.1.2/tcp/4001/p2p/x"]}
        rows = report(ana, kept, status=status)
        short = kept.ledger.id.hex()[:8]
        assert wrong(rows) == []
        assert rows[f"store {short}"]["what"] == "held by the running node"
        assert f"guard {short}" in rows and f"newest block {short}" in rows
        assert "only in this network" in rows["addresses"]["what"]
        ill = status | {"mute": True, "mute_reason": "a copy runs", "read_only": True, "read_only_reason": "full"}
        assert wrong(report(ana, kept, status=ill)) == [f"writing {short}", f"guard {short}"]
    finally:
        store.close()


def test_a_store_that_somebody_else_holds(ana: Home) -> None:
    """Without a node that answers, the process is named."""
    kept = with_ledger(ana)
    store = ana.open_store(kept.ledger.id)
    lock = ana.lock_run()
    try:
        rows = report(ana, kept)
        assert wrong(rows) == ["node", f"store {kept.ledger.id.hex()[:8]}"]
        with pytest.raises(HomeError):
            ana.open_store(kept.ledger.id)
    finally:
        store.close()
        lock.release()
