"""How the sealers of one height come to one block, on demand, though they are often away: `Height`, a pure machine.

What happens comes in, each time with the moment in UTC milliseconds; what is to be done comes out as a list of effects,
to be carried out in their order. `wake` says when `tick` has something to do; nothing here waits.

    event                   what comes of it
    start                   once, first: says again what was signed before a restart, and asks for what is missing
    wish                    a READY is signed: the policy fired, another one's READY came, or the frontier has grown
    receive                 a message whose signatures hold is kept, and the rules run
    judged, built, supply   the answers to the effects Judge, Build and NeedBody, at any later time
    certificate             decides at once, or when the block has been judged
    tick                    STATUS, timers, a READY that had to wait
    unmute                  the person has settled that this is the only copy of the node

A vote leaves in three effects that must not change places: `Persist` (record, guard and bytes, durable), then `Send`;
between a restart and the record there is nothing that anybody else could know and this node does not. The messages of
others are only kept (`Keep`); after a restart they are handed in again through `receive(..., fresh=False)`.

The rules are in `rounds`.

Source: docs/spec/finality.md#machine
"""

from __future__ import annotations

from tallystick.protocol.ballot import STEP_PRECOMMIT, STEP_PREVOTE, STEP_PROPOSE, Precommit
from tallystick.protocol.block import Certificate
from tallystick.protocol.errors import BlockError, BlockReason
from tallystick.protocol.proposal import Proposal, ProposalBody
from tallystick.protocol.ready import Ready
from tallystick.protocol.rounds import Rounds, step_of
from tallystick.protocol.sealing import Sealing, Status
from tallystick.protocol.sealing_effects import Effect, Facts, Keep, Mute, SealerFact, Send, Slot, Times, Verdict
from tallystick.protocol.setting import Setting
from tallystick.protocol.signed import Signer


class Height(Rounds):
    """One height as one node sees it. Made when the block before is sealed, dropped when this one is.

    A node that does not seal, or must not for now, has no `own` and follows all the same.
    """

    def __init__(
        self,
        *,
        ledger: bytes,
        height: int,
        prev_id: bytes,
        prev_time: int,
        sealers: tuple[bytes, ...],
        own: Signer | None,
        times: Times,
        record: bytes | None,
        guard: Slot,
        now: int,
    ) -> None:
        """`record` is the last one persisted, `guard` the last slot that the guard knows; it may know more.

        Raises DecodeError, BlockError for a record that is damaged or of another branch. One of another height is
        left aside.
        """
        setting = Setting(ledger=ledger, height=height, prev_id=prev_id, prev_time=prev_time, sealers=sealers)
        Rounds.__init__(self, setting, own, times, record, guard, now)

    # -- events --------------------------------------------------------------------------------------------------------

    def start(self, now: int) -> list[Effect]:
        """Begin, or go on after a restart. Call it once, before anything else; stored messages come after it."""
        self._advance(now)
        if self._me in self._docket.readys and not self.muted:
            self._out.append(Send(self._docket.readys[self._me].wire()))
        for step in (STEP_PROPOSE, STEP_PREVOTE, STEP_PRECOMMIT):
            self._say_again((self.setting.height, self.round, step))
        if self.round >= 0:
            if self.step == STEP_PROPOSE:
                self._arm("propose", self._times.propose(self.round))
            self._propose()
        return self._finish()

    def wish(self, frontier: bytes, count: int, now: int) -> list[Effect]:
        """Report what is here: the policy fired, or somebody else's READY was seen, or the frontier has grown.

        May be called at any time. What comes too early after the last READY, or while the clock is far off, is signed
        later.
        """
        self._advance(now)
        self._wish = (frontier, count)
        self._sign_ready()
        return self._finish()

    def receive(self, message: Sealing, now: int, *, fresh: bool = True) -> list[Effect]:
        """Take a message whose signatures hold. `fresh` is False for what was stored: a bundle, a catch-up, a restart.

        Raises BlockError for a message that does not belong here; see `Setting.check`. What is known already, or more
        than is kept, does nothing.
        """
        index = self.setting.check(message)
        self._advance(now)
        known = len(self._out)
        if self._docket.take(index, message, self._out):
            if fresh and index != self._me:
                self._presence.heard(index)
                if isinstance(message, Status):
                    self._offsets[index] = message.now - now
            if index != self._me and not isinstance(message, Status) and self.decided is None:
                self._out.append(Keep(message.wire()))
            if isinstance(message, Ready | Proposal) and self._may_propose():
                # What was to be built may be larger now, or possible at last.
                self._ask_for_block()
        if not self.muted and any(isinstance(effect, Mute) for effect in self._out[known:]):
            self.muted = True
            self._persist(None)
        return self._finish()

    def judged(self, block_id: bytes, verdict: Verdict, now: int) -> list[Effect]:
        """The answer to `Judge`."""
        self._advance(now)
        self._judging.discard(block_id)
        if block_id in self._docket.proposals.bodies:
            self._docket.proposals.verdicts.setdefault(block_id, verdict)
        return self._finish()

    def built(self, round_: int, body: ProposalBody | None, now: int) -> list[Effect]:
        """The answer to `Build`, at once or later; None where nothing can be made of these READYs.

        Raises BlockError for a body that nobody would take; see `Setting.check_body`.
        """
        self._advance(now)
        if body is not None and round_ == self.round and self._may_propose():
            self.setting.check_body(body)
            if body.header.round_created != round_:
                raise BlockError(BlockReason.BAD_BODY, "made for another round")
            block_id = body.block_id()
            self._docket.proposals.add_body(block_id, body)
            self._docket.proposals.verdicts[block_id] = Verdict.VALID
            self._sign_proposal(block_id, -1)
        return self._finish()

    def supply(self, body: ProposalBody, now: int) -> list[Effect]:
        """The answer to `NeedBody`; its signatures hold. One that was not asked for does nothing.

        Raises BlockError for a body that does not belong here; see `Setting.check_body`.
        """
        self.setting.check_body(body)
        self._advance(now)
        if body.block_id() in self._docket.wanted_ids():
            self._docket.proposals.add_body(body.block_id(), body)
        return self._finish()

    def certificate(self, certificate: Certificate, now: int) -> list[Effect]:
        """Take a certificate whose signatures hold. It decides, in whatever round and step.

        Raises BlockError: OTHER_HEIGHT, NOT_A_SEALER, TOO_FEW.
        """
        if certificate.height != self.setting.height:
            raise BlockError(BlockReason.OTHER_HEIGHT, str(certificate.height))
        certificate.checks(self.setting.ledger, self.setting.sealers)
        self._advance(now)
        if self.decided is None:
            self._certificate = self._certificate or certificate
        else:
            self._check_fork(certificate)
        return self._finish()

    def tick(self, now: int) -> list[Effect]:
        """Let time act. Call it at `wake`, and whenever it is handy; messages that are here come first."""
        self._advance(now)
        if self.decided is None:
            if self._is_active() and not 0 < self._status_at - now <= self._times.status_ms:
                self._status_at = now + self._times.status_ms
                self._docket.asked.clear()
                self._sign_status()
            self._sign_ready()
            self._expire()
        return self._finish()

    def unmute(self, now: int) -> list[Effect]:
        """Seal again after `Mute`, or with a guard that knows more than the record: no other copy of this node runs.

        Goes to a round above everything that this key is known to have signed, and keeps the lock that its own
        precommits tell of.
        """
        self._advance(now)
        self.muted = False
        for vote in self._docket.own_votes():
            self.guard = max(self.guard, (self.setting.height, vote.round, step_of(vote)))
            if isinstance(vote, Precommit) and vote.block_id is not None and vote.round > self._docket.locked[0]:
                self._docket.locked = (vote.round, vote.block_id)
        if self.decided is None and self._me is not None:
            signed = self.guard[1] if self.guard[0] == self.setting.height else -1
            self._start_round(max(self.round, signed) + 1)
        return self._finish()

    # -- questions -----------------------------------------------------------------------------------------------------

    @property
    def wake(self) -> int | None:
        """When `tick` has something to do next; None for never."""
        if self.decided is not None:
            return None
        moments = [self._presence.wake_of(timer) for timer in self._timers.values()]
        if self._is_active():
            moments.append(self._status_at)
        if self._may_report() and self._ready_at is not None and self._is_clock_right():
            moments.append(self._ready_at + self._times.status_ms)
        return min(moments, default=None)

    @property
    def readys(self) -> dict[int, Ready]:
        """The newest READY of each sealer, by index."""
        return self._docket.readys

    @property
    def wants_ready(self) -> bool:
        """Whether somebody has begun and our own READY is missing: call `wish`."""
        return self._me is not None and not self.muted and self._is_active() and self._me not in self._docket.readys

    def wants(self, message: Sealing) -> bool:
        """Whether a message would be kept: to be asked before its signatures are judged. False where it cannot be."""
        return self._docket.wants(message)

    def messages(self) -> list[bytes]:
        """Everything of this height that a partner may lack: a bundle with this can carry it on.

        READYs first, then proposals whose bodies are here, then votes by round. No STATUS: on a stick it would lie.
        """
        return self._docket.messages()

    def answer(self, status: Status) -> list[bytes]:
        """What the sender of a STATUS seems to lack; to be sent to it alone, after the STATUS was received.

        Raises BlockError for a STATUS that does not belong here.
        """
        return self._docket.answer(status)

    @property
    def waits_for_content(self) -> bool:
        """Whether a quorum has decided this height, and what its block holds is not here."""
        is_certain = self._certificate is not None or bool(self._docket.votes.committed)
        return self.decided is None and is_certain

    def pol(self, round_: int, block_id: bytes) -> list[bytes]:
        """The prevotes that show a quorum for a block in a round: the answer to another one's `NeedPol`."""
        votes = self._docket.votes
        return [vote.wire() for vote in votes.proof(round_, block_id)] if votes.has_polka(round_, block_id) else []

    def body(self, block_id: bytes) -> ProposalBody | None:
        """The body of a proposed block, if it is here: the answer to another one's `NeedBody`."""
        return self._docket.proposals.bodies.get(block_id)

    def facts(self) -> Facts:
        """Where this height stands."""
        docket = self._docket
        here = self._presence.here()
        prevoters, precommitters = docket.votes.prevoters(self.round), docket.votes.precommitters(self.round)
        proposals = docket.proposals.of(self.round)
        return Facts(
            height=self.setting.height,
            round=self.round,
            step=self.step,
            sealers=tuple(
                SealerFact(
                    key=key,
                    ready=docket.readys[index].time if index in docket.readys else None,
                    present=index in here or index == self._me,
                    prevoted=index in prevoters,
                    precommitted=index in precommitters,
                    accused=index in docket.accused,
                )
                for index, key in enumerate(self.setting.sealers)
            ),
            proposed=proposals[0].block_id if proposals else None,
            locked=docket.locked[1],
            skew_ms=self._skew(),
            muted=self.muted,
            decided=self.decided,
        )
