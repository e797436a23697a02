"""Signatures judged beside the loop: by whom does not matter, neither for the verdicts nor for their order."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio

from tallystick.crypto.keys import SecretKey
from tallystick.node import verifier_helper
from tallystick.node.core import Event
from tallystick.node.effects import Check, Verified, Verify
from tallystick.node.verifier import ASKED_CHECKS, HELPED_CHECKS_MIN, Verifier, can_help, verdicts_of
from tallystick.node.verifier_helper import Helper
from tallystick.node.verifier_process import answer_to, question, serve

KEY = SecretKey.from_seed(bytes(32))
BATCH = 40
#: More than both helpers are asked about at once, so that some have to wait until one has less to do.
BATCHES = 8 * HELPED_CHECKS_MIN // BATCH

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
    told = subprocess.run(["ps", "-wweo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in told.splitlines()]
    return [int(pid) for pid, ppid, args in rows if int(ppid) == os.getpid() and "verifier_process" in args]


def test_helpers_give_the_verdicts_in_the_order_of_the_questions() -> None:
    """The one that does not hold in each batch is found, and the helpers are gone afterwards."""
    answers = judged()
    assert [list(each.verdicts).index(False) for each in answers] == [number % BATCH for number in range(BATCHES)]
    assert _children() == []


def test_a_helper_with_enough_to_do_is_asked_about_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question costs its way, however small; none waits while a helper has little to do."""
    asked: list[tuple[int, int]] = []
    true_ask = Helper.ask

    def ask(helper: Helper, each: Sequence[Check], answer: verifier_helper.Answer) -> None:
        asked.append((helper.load, len(each)))
        true_ask(helper, each, answer)

    monkeypatch.setattr(Helper, "ask", ask)
    judged()
    assert all(count >= ASKED_CHECKS for load, count in asked if load >= ASKED_CHECKS)
    assert any(count >= ASKED_CHECKS for _, count in asked)
    assert len(asked) < BATCHES // 2


def test_a_question_is_on_its_way_before_the_loop_goes_on() -> None:
    """The helper works while the loop has its hands full; what the pipe does not take follows."""
    small, large = [checks(number) for number in (1, 2)], [checks(number) * 300 for number in (3, 4)]
    answers: list[list[bool] | None] = []

    async def work() -> None:
        helper = Helper()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(helper.run)
            first = trio.Event()

            def answer(verdicts: list[bool] | None) -> None:
                answers.append(verdicts)
                first.set()

            helper.ask(small[0], answer)
            await first.wait()
            helper.ask(small[1], answers.append)
            assert not helper._outbox
            for each in large:
                helper.ask(each, answers.append)
            assert helper._outbox
            helper.end()

    trio.run(work)
    assert answers == [verdicts_of(each) for each in (*small, *large)]


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


def test_a_helper_that_is_stopped_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by its questions, nor by those behind them, nor by the end of the node."""
    monkeypatch.setattr(verifier_helper, "PATIENCE_S", 0.5)

    def stop(verifier: Verifier) -> None:
        for pid in _children():
            os.kill(pid, signal.SIGSTOP)

    judged(stop)
    assert _children() == []


def test_a_helper_that_is_stopped_when_it_has_nothing_to_do_goes_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent away like the others, and is no process any more."""
    monkeypatch.setattr(verifier_helper, "PATIENCE_S", 0.1)

    async def work() -> None:
        helper = Helper()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(helper.run)
            await helper.started.wait()
            for pid in _children():
                os.kill(pid, signal.SIGSTOP)
            helper.end()

    trio.run(work)
    assert _children() == []


@pytest.mark.parametrize("said", ["\\000", "\\001", "\\001\\001\\001\\001\\001", "hello"])
def test_what_is_no_answer_is_no_verdict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str) -> None:
    """Whatever comes out of such a process instead: threads find the verdicts then."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nwhile printf '{said}'; do :; done 2>/dev/null\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    judged()


def test_a_verdict_is_told_from_one_that_was_changed_on_the_way() -> None:
    """An answer is to one question, with these verdicts."""
    asked, verdicts = question(checks(3)), bytes(verdicts_of(checks(3)))
    assert answer_to(asked, verdicts) != answer_to(question(checks(4)), verdicts)
    assert answer_to(asked, verdicts)[:4] != answer_to(asked, bytes(40))[:4]


@pytest.mark.parametrize("program", ["", "/nowhere/python"])
def test_where_no_process_can_be_started_nobody_is_left_waiting(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """What a helper was asked that never came to life is handed back."""
    monkeypatch.setattr(sys, "executable", program)
    answers: list[list[bool] | None] = []

    async def work() -> None:
        helper = Helper()
        helper.ask(checks(1), answers.append)
        await helper.run()

    trio.run(work)
    assert answers == [None]
    assert not (can_help() and not program)


def test_a_program_that_is_packed_up_whole_starts_no_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands for the interpreter there is the program itself. One with one core starts none either."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3}, raising=False)
    assert can_help()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert not can_help()
    monkeypatch.undo()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert not can_help()


def test_helpers_end_with_a_node_that_is_killed() -> None:
    """Nothing tells them but the end of their questions."""
    program = """
import os, signal, trio
from tests.node import test_verifier

def kill(verifier):
    print(*test_verifier._children(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

test_verifier.judged(kill)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, cwd=root, check=False
    )
    assert done.returncode == -signal.SIGKILL
    # What it says on stderr has come to its end, and they had that open too: all of them are gone.
    assert done.stdout.split()
    assert "Traceback" not in done.stderr


def test_a_process_answers_until_its_questions_end() -> None:
    """Also none at all, and one that is cut off in the middle of its length."""
    answers = io.BytesIO()
    serve(io.BytesIO(question(checks(3)) + question(checks(5)) + b"\0\0"), answers)
    told = [(question(checks(number)), bytes(verdicts_of(checks(number)))) for number in (3, 5)]
    assert answers.getvalue() == b"".join(answer_to(asked, verdicts) for asked, verdicts in told)
