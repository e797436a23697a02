"""Signatures judged beside the loop: by whom does not matter, neither for the verdicts nor for their order."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Callable

import pytest
import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node.core import Event
from tallystick.node.effects import Check, Verified, Verify
from tallystick.node.verifier import HELPED_CHECKS_MIN, Verifier, verdicts_of
from tallystick.node.verifier_process import question, serve

KEY = SecretKey.from_seed(bytes(32))
BATCH = 40
BATCHES = 2 * HELPED_CHECKS_MIN // BATCH

pytestmark = pytest.mark.timeout(60)


def checks(number: int) -> list[Check]:
    """A batch in which the signature with this number is not one."""
    out = []
    for each in range(BATCH):
        message = b"%d/%d" % (number, each)
        signature = KEY.sign(message)
        out.append(Check(KEY.public, message, bytes(64) if each == number % BATCH else signature))
    return out


def judged(meanwhile: Callable[[Verifier], None] | None = None) -> list[Verified]:
    """What comes of many batches; `meanwhile` happens when the helpers run and have work."""
    batches = [checks(number) for number in range(BATCHES)]
    answers: list[Verified] = []

    async def work() -> None:
        done = trio.Event()

        def answer(event: Event) -> None:
            assert isinstance(event, Verified)
            answers.append(event)
            if len(answers) == len(batches):
                done.set()

        verifier = Verifier(answer)
        async with trio.open_nursery() as nursery:
            verifier.start(nursery)
            for number, batch in enumerate(batches):
                verifier.judge(Verify(number, batch))
            assert len(verifier.helpers) == 2
            if meanwhile is not None:
                await verifier.helpers[0].started.wait()
                meanwhile(verifier)
            await done.wait()
            nursery.cancel_scope.cancel()

    trio.run(work)
    assert [each.job for each in answers] == list(range(BATCHES))
    assert [list(each.verdicts) for each in answers] == [verdicts_of(batch) for batch in batches]
    return answers


def _children() -> list[int]:
    """Processes of ours that judge signatures."""
    told = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return [int(pid) for pid, ppid, args in rows if int(ppid) == os.getpid() and "verifier_process" in args]


def test_helpers_give_the_verdicts_in_the_order_of_the_questions() -> None:
    """The one that does not hold in each batch is found, and the helpers are gone afterwards."""
    answers = judged()
    assert [list(each.verdicts).index(False) for each in answers] == [number % BATCH for number in range(BATCHES)]
    assert _children() == []


def test_helpers_that_are_killed_leave_nothing_undone() -> None:
    """Threads judge what they had, and all that comes then."""

    def kill(verifier: Verifier) -> None:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)

    judged(kill)
    assert _children() == []


def test_helpers_that_are_sent_away_answer_what_they_were_asked() -> None:
    """As when a node has fetched all and the last questions are still open."""
    judged(lambda verifier: verifier._send_away())


def test_a_process_answers_until_its_questions_end() -> None:
    """Also none at all, and one that is cut off in the middle of its length."""
    answers = io.BytesIO()
    serve(io.BytesIO(question(checks(3)) + question(checks(5)) + b"\0\0"), answers)
    assert list(answers.getvalue()) == [*verdicts_of(checks(3)), *verdicts_of(checks(5))]
