"""Long questions beside the loop: the same answers, from one moment, while the ledger goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from benchmarks.ledgers import Writer, sealed
from tallystick.node.aside import _ROWS, LONG, Aside
from tallystick.node.core import NodeCore
from tallystick.node.desk import Desk
from tallystick.node.errors import NodeError, StoreError
from tallystick.node.reads import READS
from tallystick.node.store_leveldb import LevelStore
from tallystick.node.view import NodeFacts
from tallystick.protocol.kinds.offer import Offer

DEALS = 2 * _ROWS // 4 + 30


class Place:
    """A ledger with more entries than an answer writes out at once, and one that waits."""

    def __init__(self, folder: Path) -> None:
        self.writer = Writer(3)
        self.store = LevelStore.create(folder)
        self.core: NodeCore = sealed(self.writer, self.store, DEALS)
        self.author = self.writer.authors[0]
        self.core.submit(self.offer(), self.writer.now)
        self.core.effects()
        self.aside = Aside(self.store, self.writer.ledger_id, self.core.device)

    def offer(self) -> Any:
        return self.writer.sign(self.author, Offer(side="sell", step="work", units=1, terms=self.writer.terms()))

    async def ask(self, op: str, args: dict[str, Any]) -> Any:
        answer = await self.aside.answer(op, args, NodeFacts(), lambda: self.writer.now)
        assert answer.size_bytes == sum(len(part) for part in answer.parts)
        return json.loads(b"".join(answer.parts))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.store.close()


CHARTER = 'charter = 1\nname = "x"\n[points]\npool = 9\n[[step]]\nid = "work"\nprice = 8\nbudget = 9\n'


def test_answers_are_those_of_the_loop(place: Place) -> None:
    """Every long question has the answer that the node's own core gives, with what is pending."""
    partner = place.writer.ledger_id.hex()
    asked: dict[str, dict[str, Any]] = {
        "explain": {"id": partner},
        "statement": {"partner": partner},
        "prove_points": {"partner": partner},
        "charter_simulate": {"charter": CHARTER},
    }
    desk = Desk(place.core)
    for op in sorted(LONG - {"settlement"}):
        args = asked.get(op, {})
        there = desk.do(op, args, None, place.writer.now, NodeFacts())
        assert trio.run(place.ask, op, args) == json.loads(json.dumps(there)), op
    assert len(trio.run(place.ask, "log", {})) > 2 * _ROWS


def test_refusals_come_through(place: Place) -> None:
    """What the read refuses is refused, in its own words."""
    with pytest.raises(NodeError) as caught:
        trio.run(place.ask, "settlement", {})
    assert "sale.currency" in caught.value.message
    with pytest.raises(NodeError):
        trio.run(place.ask, "explain", {"id": "ffffffff"})


def test_ledger_goes_on_meanwhile(place: Place) -> None:
    """A block that is sealed while a question is answered changes nothing in its answer, and does not wait."""

    async def main() -> None:
        answers: list[Any] = []
        begun = trio.Event()
        frozen = place.store.freeze

        def freeze() -> Any:
            begun.set()
            return frozen()

        async def ask() -> None:
            answers.append(await place.ask("log", {}))

        patch.setattr(place.store, "freeze", freeze)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await begun.wait()
            height = place.core.ledger.head.height
            place.core.submit(place.offer(), place.writer.now)
            place.core.sealer.alone(place.writer.now, at_once=True)
            place.core.effects()
            assert place.core.ledger.head.height == height + 1
            assert not answers
        answers.append(await place.ask("log", {}))
        assert len(answers[1]) == len(answers[0]) + 1
        assert answers[0] == answers[1][:-1]

    with pytest.MonkeyPatch.context() as patch:
        trio.run(main)


def test_question_is_begun_anew_when_words_are_erased(place: Place) -> None:
    """What is scrubbed from the disk is not held for whoever reads."""

    async def main() -> None:
        frozen = place.store.freeze
        closed: list[bool] = []

        def freeze() -> Any:
            made = frozen()
            if not closed:
                place.store.scrub([b"Anobody"])
                closed.append(not made.is_open)
            return made

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(place.store, "freeze", freeze)
            assert await place.ask("deals", {})
        assert closed == [True]

    trio.run(main)


def test_whoever_goes_is_not_answered(place: Place) -> None:
    """The thread ends, and the store can be closed at once; a later question is refused."""

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await place.ask("audit", {})
        assert scope.cancelled_caught
        place.store.close()
        with pytest.raises(StoreError):
            await place.ask("audit", {})

    trio.run(main)


def test_every_long_question_is_a_read() -> None:
    """A word that nobody asks would be served by nobody."""
    assert READS.keys() > LONG
