"""Evidence files between real nodes: who may have one gets it, others do not, and no name leads out of a folder."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallystick.node.blobs import FILE_BYTES_MAX
from tests.integration.computers import Computer, computers, gather, join, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PHOTO = bytes(range(256)) * 3000
"""Four parts of it travel."""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Computer]]:
    """Ana and Bo, who will have deals, and Cy, who has none of them."""
    with computers(tmp_path_factory.mktemp("market"), "Ana", "Bo", "Cy") as (ana, bo, cy):
        gather([ana, bo])
        join(cy, ana.write("invite")["ticket"])
        cy.start()
        until(lambda: ana.member("Cy"), "Ana hears of Cy")
        ana.write("admit", partner="Cy")
        until(lambda: cy.member("Cy").get("status") == "active", "Cy is in")
        yield [ana, bo, cy]


@pytest.fixture
def three(market: list[Computer]) -> list[Computer]:
    """The same, with their nodes on and connected."""
    for each in market:
        if each.process is None:
            each.start(*(part for other in market if other.addresses for part in ("--peer", other.addresses[0])))
    for each in market:
        until(lambda each=each: each.status()["peers"] == 2, f"{each.name} meets both")
    return market


def deal_of(seller: Computer, buyer: Computer) -> str:
    """A deal that both know."""
    offer = seller.write("offer", step="roast", units=2)["entry"]
    until(lambda: buyer.has(offer), "the offer arrives")
    deal: str = buyer.write("accept", offer=offer)["deal"]
    until(lambda: seller.has(deal), "the acceptance arrives")
    return deal


def file_of(each: Computer, data: bytes) -> Path:
    """Where a file lies in a home."""
    (ledger,) = each.home.ledgers()
    return each.home.ledger_path(ledger) / "evidence" / hashlib.sha256(data).hexdigest()


def test_who_has_to_judge_gets_the_file_and_others_do_not(three: list[Computer], tmp_path: Path) -> None:
    """The buyer fetches what the seller delivered, and writes it out; a third partner is refused, and has nothing."""
    ana, bo, cy = three
    photo, empty, film = tmp_path / "table.jpg", tmp_path / "empty.txt", tmp_path / "film.mp4"
    photo.write_bytes(PHOTO)
    empty.write_bytes(b"")
    with film.open("wb") as file:
        file.truncate(FILE_BYTES_MAX + 1)
    deal = deal_of(ana, bo)
    delivery = ana.done("deliver", deal[:8], "2", "--evidence", photo, "--evidence", empty, "--evidence", film)["entry"]
    photo.unlink()
    for each in (bo, cy):
        until(lambda each=each: each.has(delivery), "the delivery arrives")
    answer = bo.done("evidence", deal[:8], "--out", tmp_path / "out")
    assert [(row["here"], row["by_hand"], row["size"], row["error"]) for row in answer["files"]] == [
        (True, False, len(PHOTO), None),
        (True, False, 0, None),
        (False, True, FILE_BYTES_MAX + 1, None),
    ]
    written = Path(answer["files"][0]["written"])
    assert written.parent == tmp_path / "out" and written.read_bytes() == PHOTO
    assert written.name == f"table-{hashlib.sha256(PHOTO).hexdigest()[:8]}.jpg"
    refused = cy.tally("evidence", deal[:8])
    assert (refused.code, refused.error["code"], refused.out) == (1, "not-allowed", "")
    assert not file_of(cy, PHOTO).exists()
    # Whoever has it, and has to judge, can go on without the seller.
    ana.end(signal.SIGTERM)
    assert bo.done("evidence", deal[:8])["files"][0]["here"] is True


def test_what_the_seller_makes_public_everybody_may_have(three: list[Computer], tmp_path: Path) -> None:
    """Also of a partner who has it from the seller, when the seller is not there."""
    ana, bo, cy = three
    photo = tmp_path / "table.jpg"
    photo.write_bytes(PHOTO + b"public")
    deal = deal_of(ana, bo)
    delivery = ana.done("deliver", deal[:8], "2", "--evidence", photo, "--public")["entry"]
    for each in (bo, cy):
        until(lambda each=each: each.has(delivery), "the delivery arrives")
    assert bo.done("evidence", deal[:8])["files"][0]["public"] is True
    ana.end(signal.SIGKILL)
    assert cy.done("evidence", deal[:8])["files"][0]["here"] is True


def test_without_a_node_nothing_is_fetched(three: list[Computer], tmp_path: Path) -> None:
    """The list is shown, exit 5 says why a file is missing; a file that was handed over is taken in as it is."""
    ana, bo, _ = three
    photo = tmp_path / "table.jpg"
    data = PHOTO + b"without a node"
    photo.write_bytes(data)
    deal = deal_of(ana, bo)
    delivery = ana.done("deliver", deal[:8], "2", "--evidence", photo)["entry"]
    until(lambda: bo.has(delivery), "the delivery arrives")
    bo.end()
    said = bo.tally("evidence", deal[:8])
    assert (said.code, said.error["code"]) == (5, "no-node")
    assert [row["here"] for row in said.value["files"]] == [False]
    (tmp_path / "wrong.jpg").write_bytes(data[:-1])
    assert bo.tally("evidence", deal[:8], "--add", tmp_path / "wrong.jpg").code == 3
    assert bo.done("evidence", deal[:8], "--add", photo)["files"][0]["here"] is True
    # And nobody who has it is asked any more, though the copy on the disk is not believed when it is another one.
    here = file_of(bo, data)
    here.write_bytes(data[::-1])
    assert bo.tally("evidence", deal[:8]).code == 5
    bo.start("--peer", ana.addresses[0])
    assert bo.done("evidence", deal[:8])["files"][0]["here"] is True
    assert here.read_bytes() == data


def test_no_name_of_others_leads_anywhere(three: list[Computer], tmp_path: Path) -> None:
    """Names of evidence become plain names in the folder that was asked for, two of the same beside each other."""
    ana, bo, _ = three
    names = ["../../escape.txt", "/etc/passwd", "..", "a\\b\\con", ".hidden", "same.txt", "same.txt", "\u202egpj.exe"]
    files = []
    for number, name in enumerate(names):
        data = f"file {number}".encode()
        (tmp_path / str(number)).write_bytes(data)
        files.append({"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "name": name})
    deal = deal_of(ana, bo)
    delivery = ana.write("deliver", deal=deal, units=1, evidence=files)["entry"]
    ana.done(
        "evidence", deal[:8], *(part for number in range(len(names)) for part in ("--add", tmp_path / str(number)))
    )
    until(lambda: bo.has(delivery), "the delivery arrives")
    out = tmp_path / "deep" / "out"
    answer = bo.done("evidence", deal[:8], "--out", out)
    assert sorted(each["written"] for each in answer["files"]) == sorted(map(str, out.iterdir()))
    for number, row in enumerate(answer["files"]):
        assert Path(row["written"]).read_bytes() == f"file {number}".encode()
        assert Path(row["written"]).name.replace(".", "").replace("-", "").replace("_", "").isalnum()
    # Once more: what is there already stays, and nothing is doubled.
    assert bo.done("evidence", deal[:8], "--out", out)["files"][0]["written"].startswith(str(out))
