"""The rules by which the sealers of one height come to one block: Tendermint, with the changes of the specification.

The rules have their names from there: R1 to R8 for what has been heard, T1 to T3 for timers. They run after every event
until none has anything to do; `RULES` is their order. What goes in and out, and when, is in `consensus`; which messages
there are in `docket`, how votes are counted in `votes`, what time means in `presence`.

Source: docs/spec/finality.md#rules; Tendermint: arXiv 1807.04938
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final

from tallystick.protocol.ballot import (
    STEP_PRECOMMIT,
    STEP_PREVOTE,
    STEP_PROPOSE,
    Precommit,
    Prevote,
    make_precommit,
    make_prevote,
)
from tallystick.protocol.block import Certificate
from tallystick.protocol.docket import Docket
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.evidence import Vote
from tallystick.protocol.presence import Presence, Timer, middle_offset
from tallystick.protocol.proposal import Proposal, make_proposal
from tallystick.protocol.ready import Ready, frontier_hash, make_ready
from tallystick.protocol.sealing import Status, make_status
from tallystick.protocol.sealing_effects import (
    Build,
    Decide,
    Disagree,
    Effect,
    Forked,
    Judge,
    NeedBody,
    NeedPol,
    Persist,
    Send,
    Slot,
    Times,
    Verdict,
)
from tallystick.protocol.sealing_record import SealingRecord, read_record
from tallystick.protocol.setting import Setting
from tallystick.protocol.signed import Signer

AHEAD_MS_MAX: Final = 600_000
"""A block dated further ahead than this is not timely, and a clock further off signs no READY."""


class Rounds:
    """The state of one height and its rules. `Height` in `consensus` is what a node uses."""

    RULES: ClassVar[tuple[Callable[[Rounds], bool], ...]]

    def __init__(
        self, setting: Setting, own: Signer | None, times: Times, record: bytes | None, guard: Slot, now: int
    ) -> None:
        self.setting = setting
        self._times = times
        self._own = own if own is not None and own.public in setting.sealers else None
        self._me = None if self._own is None else setting.sealers.index(self._own.public)
        self._now = now
        self._out: list[Effect] = []
        self._docket = Docket(setting, self._me)

        self.step = STEP_PROPOSE
        self.guard: Slot = (0, 0, 0)
        self.muted = False
        self.decided: bytes | None = None
        self._certificate: Certificate | None = None
        self._alarmed = False
        self._judging: set[bytes] = set()
        self._building: Build | None = None

        self._wish: tuple[bytes, int] | None = None
        self._ready_at: int | None = None
        """When we signed our last READY; None if that was before a restart."""
        self._offsets: dict[int, int] = {}
        """How far the clock of each sealer was ahead of ours."""
        others = setting.quorum - (0 if self._me is None else 1)
        self._presence = Presence(others_needed=others, present_ms=times.present_ms, now=now)
        self._timers: dict[str, Timer] = {}
        self._armed: set[str] = set()
        self._polka_done = False
        self._status_at = now

        if record is not None:
            self._restore(read_record(record))
        # Whoever signed more than is remembered here may be locked without knowing it.
        self.muted = self.muted or guard > max(self.guard, (setting.height, -1, STEP_PROPOSE))
        self.guard = max(self.guard, guard)

    @property
    def round(self) -> int:
        """-1 while READYs are waited for."""
        return self._docket.round

    # -- rules ---------------------------------------------------------------------------------------------------------

    def _finish(self) -> list[Effect]:
        """Run the rules until none has anything to do, and hand out the effects."""
        while self.decided is None and any(rule(self) for rule in self.RULES):
            continue
        if self.decided is None:
            self._ask()
        elif len(self._docket.votes.committed) > 1:
            self._check_fork(self._certify(next(each for each in self._docket.votes.committed if each != self.decided)))
        out, self._out = self._out, []
        return out

    def _decide(self) -> bool:
        """R1: a quorum of precommits for a block of any round, or a certificate; the block known and valid."""
        certificates = [] if self._certificate is None else [self._certificate]
        certificates += [self._certify(block_id) for block_id in self._docket.votes.committed]
        for certificate in certificates:
            block_id = certificate.block_id
            if self._docket.proposals.is_valid(block_id):
                self.decided = block_id
                self._timers.clear()
                self._out.append(Decide(block_id, certificate, self._docket.proposals.bodies[block_id]))
                return True
            if self._docket.proposals.verdicts.get(block_id) is Verdict.INVALID and not self._alarmed:
                self._alarmed = self.muted = True
                self._out.append(Disagree(block_id, certificate))
        return False

    def _certify(self, block_id: bytes) -> Certificate:
        round_ = self._docket.votes.committed[block_id]
        votes = tuple(self._docket.votes.precommits_for(round_, block_id))
        return Certificate(height=self.setting.height, round=round_, block_id=block_id, votes=votes)

    def _check_fork(self, certificate: Certificate) -> None:
        if certificate.block_id != self.decided and not self._alarmed:
            self._alarmed = True
            self._out.append(Forked(certificate))

    def _skip(self) -> bool:
        """R2: messages of a later round from so many that one honest sealer is among them."""
        rounds = {
            each for each in self._docket.votes.rounds() | self._docket.proposals.by_round.keys() if each > self.round
        }
        for round_ in sorted(rounds, reverse=True):
            senders = self._docket.votes.prevoters(round_) | self._docket.votes.precommitters(round_)
            if self._docket.proposals.of(round_):
                senders.add(self.setting.proposer(round_))
            if len(senders) >= self.setting.blocking:
                self._start_round(round_)
                return True
        return False

    def _open(self) -> bool:
        """Round 0 begins with the READYs of a quorum; a proposal brings those it is made of."""
        if self.round >= 0 or len(self._docket.readys) < self.setting.quorum:
            return False
        self._start_round(0)
        return True

    def _start_round(self, round_: int) -> None:
        self._docket.round = round_
        self.step = STEP_PROPOSE
        self._timers.clear()
        self._armed.clear()
        self._polka_done = False
        self._docket.prune()
        self._persist(None)
        self._arm("propose", self._times.propose(round_))
        self._propose()

    def _fresh(self) -> bool:
        """R3: a new block, and its validity is known."""
        if self.step != STEP_PROPOSE:
            return False
        for proposal in self._docket.proposals.of(self.round):
            block_id = proposal.block_id
            if proposal.vr >= 0 or block_id not in self._docket.proposals.verdicts:
                continue
            timely = self._docket.proposals.bodies[block_id].header.time <= self._now + AHEAD_MS_MAX
            free = self._docket.locked[0] == -1 or self._docket.locked[1] == block_id
            self._prevote(
                block_id if self._docket.proposals.is_valid(block_id) and timely and free else None, proposal.vr
            )
            return True
        return False

    def _repropose(self) -> bool:
        """R4: a block proposed again, with the quorum of prevotes that is the reason."""
        if self.step != STEP_PROPOSE:
            return False
        for proposal in self._docket.proposals.of(self.round):
            block_id = proposal.block_id
            if proposal.vr < 0 or block_id not in self._docket.proposals.verdicts:
                continue
            if self._docket.votes.has_polka(proposal.vr, block_id):
                free = self._docket.locked[0] <= proposal.vr or self._docket.locked[1] == block_id
                self._prevote(block_id if self._docket.proposals.is_valid(block_id) and free else None, proposal.vr)
                return True
        return False

    def _polka(self) -> bool:
        """R5: a quorum prevoted for a valid block in this round, for the first time."""
        if self.step < STEP_PREVOTE or self._polka_done:
            return False
        for block_id in self._docket.votes.polkas(self.round):
            if self._docket.proposals.is_valid(block_id):
                self._polka_done = True
                self._docket.valid = (self.round, block_id)
                if self.step == STEP_PREVOTE:
                    # In one batch with the vote: a lock that outlives its reasons could never be given up.
                    self._docket.locked = (self.round, block_id)
                    self._precommit(block_id)
                else:
                    self._persist(None)
                return True
        return False

    def _polka_nil(self) -> bool:
        """R6: a quorum prevoted for no block."""
        if self.step != STEP_PREVOTE or not self._docket.votes.has_polka(self.round, None):
            return False
        self._precommit(None)
        return True

    def _wait(self) -> bool:
        """R7 and R8: a quorum has voted, if not alike; the rest of the votes may take some time."""
        before = len(self._armed)
        if self.step == STEP_PREVOTE and len(self._docket.votes.prevoters(self.round)) >= self.setting.quorum:
            self._arm("prevote", self._times.vote(self.round))
        if self.round >= 0 and len(self._docket.votes.precommitters(self.round)) >= self.setting.quorum:
            self._arm("precommit", self._times.vote(self.round))
        return len(self._armed) > before

    def _arm(self, name: str, live_ms: int) -> None:
        if name not in self._armed:
            self._armed.add(name)
            self._timers[name] = self._presence.timer(live_ms, self._times.patience(self.round))

    def _expire(self) -> None:
        """T1 to T3. At most one round ends at a time."""
        over = [name for name, timer in self._timers.items() if self._presence.is_over(timer)]
        for name in over:
            self._timers.pop(name, None)
        if "precommit" in over:
            self._start_round(self.round + 1)
        elif "propose" in over and self.step == STEP_PROPOSE:
            self._prevote(None, -1)
        elif "prevote" in over and self.step == STEP_PREVOTE:
            self._precommit(None)

    # -- signing -------------------------------------------------------------------------------------------------------

    def _prevote(self, block_id: bytes | None, vr: int) -> None:
        self.step = STEP_PREVOTE
        self._timers.pop("propose", None)
        jr = -1 if block_id is None else self._justification(block_id, vr)
        self._sign(
            lambda own: make_prevote(
                own,
                ledger=self.setting.ledger,
                height=self.setting.height,
                round_=self.round,
                block_id=block_id,
                jr=jr,
            )
        )

    def _justification(self, block_id: bytes, vr: int) -> int:
        """jr: the round of the newest quorum for this block that the vote relies on.

        Not `vr` alone: who is locked on the block since a later round votes for that reason. With the older one its
        vote would look as if it had forgotten a lock on another block from between, which is evidence E3.
        """
        return max(vr, self._docket.locked[0] if self._docket.locked[1] == block_id else -1)

    def _precommit(self, block_id: bytes | None) -> None:
        self.step = STEP_PRECOMMIT
        self._timers.pop("prevote", None)
        self._sign(
            lambda own: make_precommit(
                own, ledger=self.setting.ledger, height=self.setting.height, round_=self.round, block_id=block_id
            )
        )

    def _sign(self, make: Callable[[Signer], Prevote | Precommit]) -> None:
        """Sign in the slot of this round and step, or say again what was signed there; in every case persist."""
        slot = (self.setting.height, self.round, self.step)
        if self._own is None or self._me is None or self.muted or slot <= self.guard:
            self._persist(None)
            self._say_again(slot)
            return
        vote = make(self._own)
        self.guard = slot
        self._docket.votes.add(self._me, vote)
        self._persist(vote.wire())
        self._out.append(Send(vote.wire()))

    def _say_again(self, slot: Slot) -> None:
        """Send the very bytes that were signed in a slot, if there are any."""
        if not self.muted:
            for vote in self._docket.own_votes():
                if (self.setting.height, vote.round, step_of(vote)) == slot:
                    self._out.append(Send(self._docket.full(vote).wire()))

    def _may_propose(self) -> bool:
        """Whether it is our turn and nothing was signed in this round yet."""
        return (
            self._own is not None
            and self.round >= 0
            and self.step == STEP_PROPOSE
            and self._me == self.setting.proposer(self.round)
            and not self.muted
            and self.decided is None
            and (self.setting.height, self.round, STEP_PROPOSE) > self.guard
        )

    def _propose(self) -> None:
        if self._may_propose():
            round_, block_id = self._docket.valid
            if block_id is not None:
                self._sign_proposal(block_id, round_)
            else:
                self._ask_for_block()

    def _ask_for_block(self) -> None:
        if self._docket.valid[1] is None and len(self._docket.readys) >= self.setting.quorum:
            # Every READY that is here: nobody who has reported is left out.
            build = Build(self.round, tuple(self._docket.readys[index] for index in sorted(self._docket.readys)))
            if build != self._building:
                self._building = build
                self._out.append(build)

    def _sign_proposal(self, block_id: bytes, vr: int) -> None:
        if self._own is None:
            return
        prevotes = tuple(self._docket.votes.proof(vr, block_id)) if vr >= 0 else ()
        proposal = make_proposal(
            self._own,
            ledger=self.setting.ledger,
            height=self.setting.height,
            round_=self.round,
            vr=vr,
            body=replace(self._docket.proposals.bodies[block_id], prevotes=prevotes),
        )
        self.guard = (self.setting.height, self.round, STEP_PROPOSE)
        self._docket.proposals.add(proposal)
        self._persist(proposal.wire())
        self._out.append(Send(proposal.wire()))

    def _may_report(self) -> bool:
        return self._wish is not None and self._own is not None and not self.muted and self.decided is None

    def _sign_ready(self) -> None:
        """Rule 1: report what is here, but what was reported already, and not too soon after the last time."""
        if not self._may_report() or self._wish is None or self._own is None or self._me is None:
            return
        frontier, count = self._wish
        last = self._docket.readys.get(self._me)
        if last is not None and last.frontier_hash == frontier_hash(frontier):
            self._wish = None
            return
        signed = self._ready_at
        if (signed is not None and 0 <= self._now - signed < self._times.status_ms) or not self._is_clock_right():
            return
        self._wish = None
        self._ready_at = self._now
        ready = make_ready(
            self._own,
            ledger=self.setting.ledger,
            height=self.setting.height,
            prev_id=self.setting.prev_id,
            time=self._now if last is None else max(self._now, last.time + 1),
            frontier=frontier,
            count=count,
        )
        self._docket.readys[self._me] = ready
        self._persist(ready.wire())
        self._out.append(Send(ready.wire()))
        if self._may_propose():
            self._ask_for_block()

    def _sign_status(self) -> None:
        if self._own is None or self.muted:
            return
        status = make_status(
            self._own,
            ledger=self.setting.ledger,
            height=self.setting.height,
            round_=self.round,
            step=self.step,
            prevotes=_bitmap(self._docket.votes.prevoters(self.round) if self.round >= 0 else set(self._docket.readys)),
            precommits=_bitmap(self._docket.votes.precommitters(self.round)),
            now=self._now,
        )
        self._out.append(Send(status.wire()))

    # -- remembering ---------------------------------------------------------------------------------------------------

    def _persist(self, message: bytes | None) -> None:
        if self._own is None or self._me is None:
            return
        docket = self._docket
        ids = docket.proposals.ids((self.round,)) | {docket.locked[1], docket.valid[1]}
        ready = docket.readys.get(self._me)
        record = SealingRecord(
            ledger=self.setting.ledger,
            height=self.setting.height,
            prev_id=self.setting.prev_id,
            round=self.round,
            step=self.step,
            locked_round=docket.locked[0],
            locked_id=docket.locked[1],
            valid_round=docket.valid[0],
            valid_id=docket.valid[1],
            guard=self.guard,
            muted=self.muted,
            messages=(*docket.own_votes(), *(() if ready is None else (ready,))),
            bodies=tuple(
                body
                for block_id, body in sorted(docket.proposals.bodies.items())
                if block_id in ids and docket.proposals.is_valid(block_id)
            ),
            prevotes=tuple(docket.reasons()),
        )
        self._out.append(Persist(record.encode(), self.guard, message))

    def _restore(self, record: SealingRecord) -> None:
        if record.height != self.setting.height:
            return
        if (record.ledger, record.prev_id) != (self.setting.ledger, self.setting.prev_id):
            raise BlockError(BlockReason.OTHER_BRANCH, "the record of another branch")
        self._docket.round, self.step = record.round, record.step
        self._docket.locked = (record.locked_round, record.locked_id)
        self._docket.valid = (record.valid_round, record.valid_id)
        self.guard, self.muted = record.guard, record.muted
        for body in record.bodies:
            self._docket.proposals.add_body(body.block_id(), body)
            self._docket.proposals.verdicts[body.block_id()] = Verdict.VALID
        for message in (*record.messages, *record.prevotes):
            index = self.setting.check(message)
            match message:
                case Ready():
                    self._docket.readys[index] = message
                case Proposal():
                    self._docket.proposals.add(message)
                case Prevote() | Precommit():
                    self._docket.votes.add(index, message)
                case Status():
                    raise BlockError(BlockReason.UNKNOWN_TYPE, "a status is not remembered")

    # -- asking --------------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Have judged what a rule waits for, and ask for what is missing."""
        ids = {proposal.block_id: None for proposal in self._docket.proposals.of(self.round)}
        if self.round >= 0:
            ids |= dict.fromkeys(self._docket.votes.polkas(self.round))
        ids |= dict.fromkeys(self._docket.votes.committed)
        if self._certificate is not None:
            ids[self._certificate.block_id] = None
        for block_id in ids:
            if block_id in self._docket.proposals.verdicts or block_id in self._judging:
                continue
            body = self._docket.proposals.bodies.get(block_id)
            if body is None:
                self._need(NeedBody(block_id))
            else:
                self._judging.add(block_id)
                self._out.append(Judge(block_id, body))
        self._ask_for_reasons()

    def _ask_for_reasons(self) -> None:
        """Ask for the quorums that a proposal or a vote of this round rests on. Those of a liar do not exist."""
        votes = self._docket.votes
        if self.step == STEP_PROPOSE:
            for proposal in self._docket.proposals.of(self.round):
                if proposal.vr >= 0 and not votes.has_polka(proposal.vr, proposal.block_id):
                    self._need(NeedPol(proposal.vr, proposal.block_id))
        for rows in votes.prevotes.get(self.round, {}).values():
            for vote in rows:
                if vote.block_id is not None and not votes.is_justified(vote):
                    self._need(NeedPol(vote.jr, vote.block_id))

    def _need(self, need: NeedBody | NeedPol) -> None:
        if need not in self._docket.asked:
            self._docket.asked.add(need)
            self._out.append(need)

    # -- time ----------------------------------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        self._now = now
        self._presence.advance(now)

    def _is_active(self) -> bool:
        """Whether anything of this height is under way: before that nobody hears of us."""
        return bool(
            self.round >= 0 or self._docket.readys or self._docket.votes.rounds() or self._docket.proposals.by_round
        )

    def _skew(self) -> int | None:
        """How far ahead of ours the middle of the sealers' clocks is; None where nobody has said.

        Who has not been heard counts as if it agreed with us: a single one that lies, and is heard before all others,
        would otherwise keep everybody from beginning, so that those others were never heard.
        """
        heard = [offset for index, offset in self._offsets.items() if index != self._me]
        return middle_offset([*heard, *[0] * (len(self.setting.sealers) - len(heard))]) if heard else None

    def _is_clock_right(self) -> bool:
        skew = self._skew()
        return skew is None or -AHEAD_MS_MAX <= skew <= AHEAD_MS_MAX


Rounds.RULES = (
    Rounds._decide,
    Rounds._skip,
    Rounds._open,
    Rounds._fresh,
    Rounds._repropose,
    Rounds._polka,
    Rounds._polka_nil,
    Rounds._wait,
)


def step_of(vote: Vote) -> int:
    """The step of the slot that a vote was signed in."""
    match vote:
        case Proposal():
            return STEP_PROPOSE
        case Prevote():
            return STEP_PREVOTE
        case Precommit():
            return STEP_PRECOMMIT


def _bitmap(indices: set[int]) -> int:
    return sum(1 << index for index in indices)
