"""Three partners whose computers have no network: they found, join, trade and seal with files that are carried."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tallystick.cli.client import Client
from tallystick.cli.options import Options
from tallystick.node import messages as m
from tallystick.node.bundle import MAGIC
from tallystick.node.net_framing import FrameReader, encode_frame
from tallystick.protocol import codec
from tests.integration.computers import Computer, charter, computers, establish

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
#: No address at all: whatever happens here, happens without a network.
ALONE = """\
listen = []
mdns = false
"""
ROUNDS_MAX = 8


def carry(giver: Computer, taker: Computer, stick: Path) -> dict[str, Any]:
    """One writes a bundle, the other takes it in, as the commands do, without their processes; what that brought."""
    Client(giver.home, Options()).with_key("bundle_out", {"path": str(stick)}, giver.key)
    taken: dict[str, Any] = Client(taker.home, Options()).unsigned("bundle_in", {"path": str(stick)})
    return taken


def come_in(newcomer: Computer, host: Computer, folder: Path) -> None:
    """Join by a ticket and a sealed bundle, and be let in by files that go to and fro."""
    words, sealed, stick = folder / "words", folder / "sealed", folder / "stick"
    words.write_text("gone fishing\n", encoding="utf-8")
    ticket = host.write("invite")["ticket"]
    host.done("bundle", "out", sealed, "--full", "--passphrase-file", words)
    wrong = newcomer.tally("join", ticket, "--bundle", sealed, "--passphrase-file", newcomer.passphrase, "--yes")
    assert wrong.error["code"] == "wrong-passphrase"
    assert newcomer.home.ledgers() == ()
    newcomer.done("join", ticket, "--bundle", sealed, "--passphrase-file", words, "--yes")
    carry(newcomer, host, stick)
    host.write("admit", partner=newcomer.name, sealer=True)
    carry(host, newcomer, stick)
    newcomer.write("sealer", on=True)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[list[Computer]]:
    """Ana has founded and let Bo in, both seal; Cy is new. Nobody has a network, and nobody a node."""
    with computers(tmp_path, "Ana", "Bo", "Cy", config=ALONE) as everybody:
        ana, bo, _ = everybody
        establish(ana, charter("0s"))
        come_in(bo, ana, tmp_path)
        carry(bo, ana, tmp_path / "stick")
        carry(ana, bo, tmp_path / "stick")
        assert len(bo.status()["sealers"]) == 2
        yield everybody


def go_round(everybody: list[Computer], stick: Path) -> int:
    """The stick goes from one to the next until all that waits is sealed everywhere; the height then."""
    for _ in range(ROUNDS_MAX):
        for giver, taker in zip(everybody, [*everybody[1:], everybody[0]], strict=True):
            carry(giver, taker, stick)
        rows = [each.status() for each in everybody]
        if len({row["height"] for row in rows}) == 1 and not any(row["pending"] for row in rows):
            assert len({row["state_root"] for row in rows}) == 1
            height: int = rows[0]["height"]
            return height
    raise AssertionError([(row["height"], row["pending"]) for row in rows])


def test_three_who_never_meet_join_trade_and_seal(two: list[Computer], tmp_path: Path) -> None:
    """A ticket and a bundle bring a newcomer in; a stick that goes round carries a deal and the votes that seal it."""
    ana, bo, cy = two
    stick = tmp_path / "stick"
    come_in(cy, ana, tmp_path)
    carry(cy, ana, stick)
    carry(ana, bo, stick)
    # More than half of two is both.
    bo.write("admit", partner="Cy", sealer=True)
    height = go_round([bo, ana, cy], stick)
    assert len(cy.status()["sealers"]) == 3
    offer = ana.write("offer", step="roast", units=2, to="Cy")["entry"]
    carry(ana, cy, stick)
    deal = cy.write("accept", offer=offer)["deal"]
    carry(cy, ana, stick)
    ana.write("deliver", deal=deal, units=2)
    carry(ana, cy, stick)
    cy.write("approve", deal=deal)
    assert go_round([cy, bo, ana], stick) > height
    assert {each.read("show", id=deal)["deal"]["status"] for each in two} == {"approved"}
    # The last way is typed: what the commands do is the same.
    offer = bo.done("offer", "roast", "3")["entry"]
    bo.done("seal")
    for giver, taker in ((bo, ana), (ana, cy), (cy, bo), (bo, ana), (ana, bo)):
        giver.done("bundle", "out", stick)
        taker.done("bundle", "in", stick)
    assert bo.done("show", offer)["status"] == "sealed"
    assert bo.done("verify")["ok"] is True


def test_whoever_carries_the_stick_is_told_where_to(two: list[Computer], tmp_path: Path) -> None:
    """Between two who seal it goes to and fro until there is a block, and each way ends with who is needed next."""
    ana, bo, cy = two
    stick = tmp_path / "stick"
    offer = ana.write("offer", step="roast", units=2)["entry"]
    height = ana.status()["height"]
    ana.done("seal")
    giver, taker, ways = ana, bo, 0
    while (said := carry(giver, taker, stick)["next"]) is not None:
        ways += 1
        if taker.status()["height"] > height:
            assert said == f"block {height + 1} is complete here: `tally bundle out FILE` carries it to the others"
        else:
            assert said == f"block {height + 1} needs {giver.name}: `tally bundle out FILE`, and carry it there"
        assert ways <= 4
        giver, taker = taker, giver
    assert {each.status()["height"] for each in (ana, bo)} == {height + 1}
    assert ana.done("show", offer)["status"] == bo.done("show", offer)["status"] == "sealed"
    # What is known everywhere leads nowhere.
    assert carry(ana, bo, stick)["next"] is None
    # Cy has asked to come in, and seals nothing: only others can ask for the block.
    come_in(cy, ana, tmp_path)
    assert cy.done("seal")["seals"] is False
    # A stick with what waits leads to those who seal, also where nobody has asked for a block.
    with computers(tmp_path, "Dora", "Eva", config=ALONE) as (dora, eva):
        establish(dora, charter("1h"))
        come_in(eva, dora, tmp_path)
        said = "what waits is sealed by Dora: `tally bundle out FILE`, and carry it there"
        assert carry(eva, eva, stick)["next"] == said


def test_what_is_wrong_with_a_file_is_said_and_changes_nothing(two: list[Computer], tmp_path: Path) -> None:
    """Cut, changed, foreign, or no bundle at all: each has its word and its code; what was sound has been taken."""
    ana, bo, cy = two
    offer = ana.write("offer", step="roast", units=2)["entry"]
    good = tmp_path / "good"
    ana.done("bundle", "out", good, "--full")
    data = good.read_bytes()
    middle = len(data) // 2
    establish(cy)
    cy.done("bundle", "out", tmp_path / "foreign", "--full")
    files = {
        "cut": data[:-40],
        "changed": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "foreign": (tmp_path / "foreign").read_bytes(),
        "none": b"once upon a time",
        "empty": b"",
    }
    codes, height = {}, bo.status()["height"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        said = bo.tally("bundle", "in", tmp_path / name)
        assert "Traceback" not in said.err
        codes[name] = (said.code, said.error["code"])
        assert bo.status()["height"] == height
    assert codes == {
        "cut": (6, "bundle-damaged"),
        "changed": (6, "bundle-damaged"),
        "foreign": (7, "bundle-foreign"),
        "none": (7, "not-a-bundle"),
        "empty": (7, "not-a-bundle"),
    }
    assert bo.done("bundle", "in", good)["damage"] is None
    assert bo.has(offer)
    again = bo.done("bundle", "in", good)
    assert (again["blocks"], again["entries"]) == (0, 0)


# -- in another order --------------------------------------------------------------------------------------------------

Frames = list[bytes]


def frames_in(path: Path) -> Frames:
    """A bundle taken apart: its header, its messages, its trailer."""
    data = path.read_bytes()
    assert data.startswith(MAGIC)
    return [item for item in FrameReader().feed(data[len(MAGIC) :]) if isinstance(item, bytes)]


def bundle_of(frames: Frames) -> bytes:
    """A bundle of a header and messages, with the right hash at its end and no signature: anybody can write one."""
    data = MAGIC + b"".join(map(encode_frame, frames))
    return data + encode_frame(codec.encode(["end", sha256(data).digest(), None]))


def is_block(frame: bytes) -> bool:
    return isinstance(m.Reader().read(frame), m.Block)


def is_sealing(frame: bytes) -> bool:
    return isinstance(m.Reader().read(frame), m.Sealing)


def children_first(frame: bytes) -> bytes:
    """The entries of a frame, the last one first."""
    message = m.Reader().read(frame)
    if not isinstance(message, m.Entries):
        return frame
    return m.encode_message(m.Entries(message.entries[::-1]))


def shuffled(head: bytes, body: Frames) -> bytes:
    body = list(body)
    Random(7).shuffle(body)
    return bundle_of([head, *body])


#: What is made of a bundle; whether it is taken in, and how many of its three blocks come of it then.
ORDERS: dict[str, tuple[Callable[[bytes, Frames], bytes], bool, int]] = {
    "every frame twice": (lambda head, body: bundle_of([head, *chain(*zip(body, body, strict=True))]), True, 3),
    "all of it twice": (lambda head, body: bundle_of([head, *body, *body]), True, 3),
    "children first": (lambda head, body: bundle_of([head, *map(children_first, body)]), True, 3),
    "votes first": (lambda head, body: bundle_of([head, *sorted(body, key=is_sealing, reverse=True)]), True, 3),
    "blocks last": (lambda head, body: bundle_of([head, *sorted(body, key=is_block)]), True, 3),
    "blocks before their entries": (
        lambda head, body: bundle_of([head, *sorted(body, key=is_block, reverse=True)]),
        False,
        0,
    ),
    "the last block first": (
        lambda head, body: bundle_of(
            [head, *[each for each in body if not is_block(each)], *[each for each in body if is_block(each)][::-1]]
        ),
        False,
        0,
    ),
    "one block left out": (
        lambda head, body: bundle_of([head, *[each for each in body if each != [*filter(is_block, body)][1]]]),
        False,
        1,
    ),
    "shuffled": (shuffled, False, 0),
    "two in a row": (lambda head, body: bundle_of([head, *body]) + bundle_of([head, *body]), False, 3),
    "its header twice": (lambda head, body: bundle_of([head, head, *body]), False, 0),
}


def test_what_comes_in_another_order_is_taken_in_or_named(two: list[Computer], tmp_path: Path) -> None:
    """Frames that are swapped, doubled or put together: all that is sound is taken in, or it is said what is wrong.

    Nothing false is believed either way, and the bundle as it was brings the rest.
    """
    ana, bo, cy = two
    stick = tmp_path / "stick"
    come_in(cy, ana, tmp_path)
    go_round([ana, bo, cy], stick)
    base = cy.status()["height"]
    for units in (1, 2, 3):
        ana.write("offer", step="roast", units=units)
        bo.write("offer", step="roast", units=units)
        go_round([ana, bo], stick)
    waiting = ana.write("offer", step="roast", units=9)["entry"]
    good = tmp_path / "good"
    ana.done("bundle", "out", good, "--since", str(base))
    blocks = {row["height"]: row["block"] for row in ana.read("blocks", limit=100)}
    assert max(blocks) == base + 3
    head, *body, _ = frames_in(good)
    for number, (name, (reorder, is_taken, count)) in enumerate(ORDERS.items()):
        (tmp_path / str(number)).mkdir()
        reader = Computer(tmp_path / str(number), "Cy")
        shutil.copytree(cy.path, reader.path, symlinks=True)
        file = tmp_path / str(number) / "file.tally"
        file.write_bytes(reorder(head, body))
        said = reader.tally("bundle", "in", file)
        assert "Traceback" not in said.err
        if is_taken:
            assert (said.code, said.value["damage"], said.value["blocks"]) == (0, None, count), name
        else:
            assert (said.code, said.error["code"]) == (6, "bundle-damaged"), name
        row = reader.status()
        assert (row["height"], row["block"]) == (base + count, blocks[base + count]), name
        Client(reader.home, Options()).unsigned("bundle_in", {"path": str(good)})
        row = reader.status()
        assert (row["height"], row["block"]) == (base + 3, blocks[base + 3]), name
        assert reader.has(waiting), name
    assert reader.done("verify")["ok"] is True
