"""Sealing, from one node's side: when to ask for a block, how to make and judge one, what is written down first.

The vote itself is the pure machine of `protocol/consensus`, one for each height. Here its effects are carried out: what
it signs is on disk, and in the guard beside it, before anybody hears of it.

Source: docs/spec/finality.md
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, assert_never

from tallystick.crypto.hashing import tagged_hash
from tallystick.node.alarms import disagree
from tallystick.node.allowance import Allowance
from tallystick.node.clock_words import ALONE_MS_MAX, doubt_words
from tallystick.node.early import Early
from tallystick.node.heard import Seen, check_heard, read_heard_untrusted
from tallystick.node.intake import BlameError
from tallystick.node.kept_messages import KeptMessages
from tallystick.node.view import SealingFact
from tallystick.protocol import codec
from tallystick.protocol.assembly import Assembled, EmptyBlockError, Missing, assemble, judge, node_keys
from tallystick.protocol.ballot import STEP_PRECOMMIT
from tallystick.protocol.block import Block
from tallystick.protocol.consensus import Height
from tallystick.protocol.errors import BlockError
from tallystick.protocol.proposal import ProposalBody
from tallystick.protocol.quorum import quorum
from tallystick.protocol.ready import Ready
from tallystick.protocol.sealing import Status, read_sealing_untrusted
from tallystick.protocol.sealing_effects import (
    Accuse,
    Build,
    Decide,
    Disagree,
    Effect,
    Facts,
    Forked,
    Judge,
    Keep,
    Mute,
    NeedBody,
    NeedPol,
    Persist,
    Send,
    Times,
    Verdict,
)
from tallystick.protocol.signed import KeySigner

if TYPE_CHECKING:
    from tallystick.node.config import SealingTimes
    from tallystick.node.core import NodeCore
    from tallystick.node.transport import PeerKey

log = logging.getLogger("tallystick.sealing")

#: So many pending entries are sealed whatever the interval says.
PENDING_MAX: Final = 256
#: How long after a start somebody is waited for who might know of votes that this database does not.
MEET_MS: Final = 10_000
RESTORED: Final = "the database is older than what this node has signed: a backup was put back"
_RECORD: Final = b"record"
_STEPS_ALONE_MAX: Final = 1000


class Sealer:
    """The sealing of one node's ledger."""

    def __init__(self, core: NodeCore, times: SealingTimes, now: int) -> None:
        self._core = core
        self._times = Times(**{name: getattr(times, name) for name in Times.__dataclass_fields__})
        self._started = now
        self._met = False
        self.muted = ""
        """Why this node signs nothing, in words; empty when it does."""
        self.clock_warning = ""
        self._height: Height | None = None
        self._sealers: tuple[bytes, ...] = ()
        self._assembled: dict[bytes, Assembled] = {}
        self._refused: dict[bytes, BlockError] = {}
        self._to_build: tuple[int, tuple[Ready, ...]] | None = None
        self._to_judge: dict[bytes, ProposalBody] = {}
        self._to_decide: Decide | None = None
        self._seen = Seen()
        self._allowance = Allowance()
        self._early = Early()
        self._kept = KeptMessages(core.archive, core.node_key.public)
        self._source: PeerKey | None = None
        """Whose messages are being looked at: they need not go back."""
        self._waiting_since: int | None = None
        self._hurry = False
        self._dirty = True
        self._wished = False
        """The machine of this height knows that a block is wanted here."""
        self._date_confirmed = False
        self._settling = False
        """The person has just said that no copy of this node runs: its votes from before are no news."""
        if core.archive.store.is_restored:
            self.muted = core.archive.mute_reason() or RESTORED

    # -- one height after another --------------------------------------------------------------------------------------

    def begin(self, now: int) -> None:
        """Start with the height that comes next."""
        ledger = self._core.ledger
        self._sealers = node_keys(ledger.sealers())
        self._assembled.clear()
        self._refused.clear()
        self._to_build, self._to_decide = None, None
        self._to_judge.clear()
        self._seen.clear()
        self._allowance.clear()
        self._waiting_since = None
        self._hurry = False
        self._dirty = True
        self._wished = False
        self._height = None
        if not self._sealers:
            return
        height = ledger.head.height + 1
        archive = self._core.archive
        self._settle_restored()
        key = self._core.node_key
        signs = key.public in self._sealers and not self.muted and not self._core.silent
        own = KeySigner(key, ledger.id) if signs else None
        machine = Height(
            ledger=ledger.id,
            height=height,
            prev_id=ledger.head.block_id,
            prev_time=ledger.head.time,
            sealers=self._sealers,
            own=own,
            times=self._times,
            record=archive.sealing(_RECORD),
            guard=archive.store.guard.state.vote,
            now=now,
        )
        self._height = machine
        self._perform(machine.start(now), now)
        for data in self._kept.begin(height):
            if self._height is machine:
                self._take(data, machine, now, fresh=False)
        if self._height is machine and own is not None and machine.muted:
            if self._settling:
                self._perform(machine.unmute(now), now)
            else:
                self.mute("this node has signed a vote that its database does not know")

    def block_came(self, now: int) -> None:
        """A block is sealed: what came early for the next height is looked at now."""
        self._core.intake.need_nothing()
        self.begin(now)
        for data, peer in self._early.taken():
            try:
                self.receive([data], peer, now)
            except BlameError as error:
                # Whoever sent it then, and not whose block or vote has just come.
                self._core.sync.hang_up(peer, str(error), blame=True)

    def mute(self, why: str) -> None:
        """Sign nothing any more, until the person has settled it."""
        if not self.muted or self.muted == RESTORED:
            log.error("mute: %s", why)
            # The guard is distrusted first: if the disk fails in between, a restart is mute all the same.
            self._core.archive.store.guard.distrust()
            self._core.archive.keep_mute_reason(why)
            self.muted = why
            self.begin(self._core.now)

    @property
    def lost_height(self) -> int:
        """The last block that this node has helped to seal, where it is not here; of the next it is sure if alone."""
        voted, _, step = self._core.archive.store.guard.state.vote
        is_sure = step == STEP_PRECOMMIT and self._sealers == (self._core.node_key.public,)
        return voted if voted > self._core.ledger.head.height + (0 if is_sure else 1) else 0

    @property
    def waits_for_content(self) -> bool:
        """Whether the next block is sealed, and nobody who was met has what it holds."""
        return self._height is not None and (self._height.waits_for_content or self._to_decide is not None)

    def unmute(self, now: int) -> None:
        """The person has settled that this is the only copy of the node: sign again, above all that it has signed.

        Blocks that this node has sealed alone and that are not here are given up: see `muting` for when that may be.
        """
        store = self._core.archive.store
        self._core.archive.keep_mute_reason(None)
        vote = None
        if self.lost_height and self._sealers == (self._core.node_key.public,):
            # A round above any that was signed in the height which now comes again.
            vote = (self._core.ledger.head.height + 1, max(0, store.guard.state.vote[1]), STEP_PRECOMMIT)
        store.guard.trust(batch=store.batch, vote=vote)
        self.muted = ""
        self._settling = True
        try:
            self.begin(now)
        finally:
            self._settling = False

    def _settle_restored(self) -> bool:
        """Trust a database that was put back again, once it has everything that was lost."""
        if self.muted != RESTORED or not self._has_caught_up():
            return False
        log.info("the database knows by now all that this node has signed")
        store = self._core.archive.store
        store.guard.trust(batch=store.batch)
        self.muted = ""
        return True

    def _has_caught_up(self) -> bool:
        """Whether a database that was put back has had back from others all that the guard remembers.

        A guard that is new remembers nothing, and so can say nothing.
        """
        ledger, guard = self._core.ledger, self._core.archive.store.guard.state
        knows = guard.vote != (0, 0, 0) or guard.seq > 0
        return knows and ledger.head.height >= guard.vote[0] and ledger.head_of(self._core.device)[0] >= guard.seq

    def greeted(self, now: int) -> None:
        """Somebody who may know more than this database has said hello."""
        self._met = True

    # -- when ----------------------------------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        """Whether a block is being made."""
        return self._height is not None and bool(self._height.readys)

    @property
    def wake(self) -> int | None:
        """When `poke` has something to do."""
        soonest = None if self._height is None else self._height.wake
        times = [] if soonest is None else [soonest]
        if self._seals() and not self.is_active and not self._wished:
            fires = self._fires_at()
            if fires is not None:
                # A clock that is off, or an old date, is settled by a message or a person, not by waiting.
                meets = self._started if self._met or len(self._sealers) == 1 else self._started + MEET_MS
                times += [max(fires, meets)] if not self.clock_warning else []
        return min(times, default=None)

    def _seals(self) -> bool:
        """Whether this node has a vote in this height, and may use it."""
        return not self.muted and not self._core.silent and self._core.node_key.public in self._sealers

    def hurry(self, now: int) -> None:
        """Do not wait for the interval: `tally seal`. It also confirms the date, for whoever seals alone."""
        self._hurry = True
        self._date_confirmed = True
        self._dirty = True

    def entries_came(self, now: int) -> None:
        """There are new pending entries: what waited for them goes on."""
        if self._settle_restored():
            self.begin(now)
        self._dirty = True
        self._go_on(now)

    def poke(self, now: int) -> None:
        """Time has passed, or something has changed."""
        height = self._height
        if height is None:
            if self._core.ledger.sealers():
                self.begin(now)
            return
        if (soonest := height.wake) is not None and soonest <= now:
            self._perform(height.tick(now), now)
            height = self._height
        if height is not None and height is self._height and self._may_wish(now):
            self._wish(height, now)

    def _may_wish(self, now: int) -> bool:
        if not self._seals():
            return False
        others = self._height is not None and bool(self._height.readys)
        fires = self._fires_at()
        if not others and (fires is None or fires > now):
            return False
        if not self._met and len(self._sealers) > 1 and now < self._started + MEET_MS:
            return False
        self.clock_warning = self._clock_words(now)
        return not self.clock_warning

    def _clock_words(self, now: int) -> str:
        """Why nothing is sealed by this clock, in words; empty where it can be right."""
        return doubt_words(self._core, self._sealers, now, is_confirmed=self._date_confirmed)

    def warning(self, now: int) -> str:
        """Why this node seals nothing though something waits, but that it is mute; empty where nothing is in the way.

        Looked at anew: by a clock that is late nothing is due, and so nobody has asked.
        """
        ledger = self._core.ledger
        if self._core.alarm or not self._seals() or not (len(ledger.pool) or ledger.due_by(now)):
            return self._core.alarm
        return self._clock_words(now)

    def _fires_at(self) -> int | None:
        """When the policy asks for a block: what waits is old enough, or much, or somebody is in a hurry."""
        ledger = self._core.ledger
        since = self._waiting_since
        if self._dirty and since is None and len(ledger.pool):
            since = self._waiting_since = self._core.now
        if ledger.head.height == 0:
            return 0 if len(ledger.pool) else None
        order = ledger.state.due.order if not self.is_active else ()
        due = order[0][0] if order else None
        if since is None and due is None:
            return None
        if self._hurry or len(ledger.pool) >= PENDING_MAX:
            return min(each for each in (since, due) if each is not None)
        interval = ledger.charter.finality.interval
        oldest = min(each for each in (since, due) if each is not None)
        return max(oldest, ledger.head.time) + interval

    def _wish(self, height: Height, now: int) -> None:
        if not self._dirty and self._wished:
            return
        ledger = self._core.ledger
        frontier = ledger.frontier(now)
        if not height.readys:
            # Nobody has asked yet: do not be the first for nothing, such as entries of a device that is frozen.
            heads = [bytes(end[1]) for _, ends in frontier for end in ends]  # type: ignore[attr-defined]
            if not ledger.has_work(heads) and not ledger.due_by(now):
                self._waiting_since = None
                self._dirty = False
                return
        self._dirty = False
        self._wished = True
        self._perform(height.wish(codec.encode(frontier), len(ledger.pool), now), now)  # type: ignore[arg-type]

    # -- messages ------------------------------------------------------------------------------------------------------

    def receive(self, messages: Sequence[bytes], peer: PeerKey, now: int, *, fresh: bool = True) -> None:
        """Sealing messages from a peer; not `fresh` ones come from a file and prove nobody's presence.

        Raises BlameError for what no honest peer hands on.
        """
        self._source = peer
        try:
            for data in messages:
                self._receive(data, peer, now, fresh=fresh)
        finally:
            self._source = None

    def _receive(self, data: bytes, peer: PeerKey, now: int, *, fresh: bool) -> None:
        digest = tagged_hash("seen", data)
        if digest in self._seen:
            return
        message = read_heard_untrusted(data, self._sealers if self._core.watch.fork is None else None)
        if message is None:
            return
        ledger = self._core.ledger
        if message.ledger != ledger.id:
            raise BlameError("a sealing message of another ledger")
        if message.height <= ledger.head.height:
            self._core.watch.heard(message)
            return
        if message.height == ledger.head.height + 2 and message.signer in self._sealers:
            self._early.take(message, data, peer, len(self._sealers), self._allowance, now)
        height = self._height
        if height is None or message.height != ledger.head.height + 1 or message.signer not in self._sealers:
            return
        # What is known or more than is kept costs nothing: its signatures are not even looked at.
        if not height.wants(message) or not self._allowance.take(message.signer, now):
            return
        check_heard(message)
        if not isinstance(message, Status):
            # There are very many of those, and one that is not newer than the last is not wanted again.
            self._seen.add(digest)
        self._take(data, height, now, fresh=fresh)

    def _take(self, data: bytes, height: Height, now: int, *, fresh: bool) -> None:
        message = read_sealing_untrusted(data, deep=False)
        if isinstance(message, Ready):
            # Somebody asks for a block: say what is here, too.
            self._dirty = self._dirty or not height.readys
        try:
            effects = height.receive(message, now, fresh=fresh)
        except BlockError as error:
            log.info("sealing message of %s left aside: %s", message.signer.hex()[:8], error)
            return
        self._perform(effects, now)

    def messages(self) -> list[bytes]:
        """Everything of this height, for a peer or a bundle."""
        return [] if self._height is None else self._height.messages()

    # -- what the machine wants ----------------------------------------------------------------------------------------

    def _perform(self, effects: Sequence[Effect], now: int) -> None:
        height = self._height
        for effect in effects:
            if self._height is not height:
                # A block was decided: what is left belongs to the height before.
                return
            match effect:
                case Persist():
                    self._persist(effect)
                case Keep(message=message):
                    self._kept.keep(self._core.ledger.head.height + 1, message, self.messages)
                    self._core.sync.broadcast([message], but=self._source)
                case Send(message=message):
                    self._seen.add(tagged_hash("seen", message))
                    self._core.sync.broadcast([message])
                case Build(round=round_, readys=readys):
                    self._to_build = (round_, tuple(readys))
                    self._go_on(now)
                case Judge(block_id=block_id, body=body):
                    self._to_judge[block_id] = body
                    self._go_on(now)
                case NeedBody() | NeedPol():
                    # It may have been here and been dropped since: then it is no news, and yet wanted.
                    self._seen.clear()
                    self._ask(now)
                case Decide():
                    self._to_decide = effect
                    self._go_on(now)
                case Accuse(evidence=evidence):
                    log.error("a sealer has signed a contradiction")
                    self._core.accused(evidence)
                case Mute() if self._settling:
                    continue
                case Mute():
                    self.mute(
                        "a vote of this node came from elsewhere: a copy of it runs, or its data are an old backup"
                    )
                case Disagree(certificate=certificate):
                    disagree(self._core, certificate.height, self._refused.get(certificate.block_id))
                case Forked(certificate=certificate):
                    self._core.alarm = f"the ledger has forked: there is another block {certificate.height}"
                    log.critical("%s", self._core.alarm)
                case _:
                    assert_never(effect)

    def _persist(self, effect: Persist) -> None:
        # One synced batch; it also makes durable everything that was written before it, such as a block's entries.
        self._core.archive.keep_sealing([(_RECORD, effect.record)])
        self._core.archive.store.guard.raise_to(vote=effect.guard)

    def _go_on(self, now: int) -> None:
        """Build, judge and decide what can be built, judged and decided with what is here."""
        height = self._height
        if height is None:
            return
        if self._to_build is not None:
            self._build(height, now)
        for block_id, body in list(self._to_judge.items()):
            if self._height is height and block_id in self._to_judge:
                self._judge(height, block_id, body, now)
        if self._height is height and self._to_decide is not None:
            self._decide(self._to_decide, now)

    def _build(self, height: Height, now: int) -> None:
        assert self._to_build is not None
        round_, readys = self._to_build
        # A newer READY of the same sealer says more than the one we were asked about.
        newest = {ready.signer: ready for ready in (*readys, *height.readys.values())}
        ready_list = [newest[key] for key in self._sealers if key in newest]
        ledger = self._core.ledger
        # What lies below a known entry is known.
        known = [row for row in ready_list if not ledger.pool.missing(row.heads())]
        if len(known) < len(ready_list):
            self._want([head for row in ready_list for head in row.heads()], ready_list, now)
            if len(known) < quorum(len(self._sealers)):
                return
        self._to_build = None
        try:
            made = assemble(
                ledger, known, proposer=self._sealers.index(self._core.node_key.public), round_created=round_
            )
        except EmptyBlockError:
            made = None
        if made is None or isinstance(made, Missing):
            self._perform(height.built(round_, None, now), now)
            return
        self._keep(made)
        self._perform(height.built(round_, ProposalBody(header=made.header, readys=tuple(known)), now), now)

    def _judge(self, height: Height, block_id: bytes, body: ProposalBody, now: int) -> None:
        made = self._assembled.get(block_id)
        if made is None:
            try:
                fresh = judge(self._core.ledger, body)
            except BlockError as error:
                log.warning("block %s refused: %s", block_id.hex()[:8], error)
                self._refused[block_id] = error
                del self._to_judge[block_id]
                self._perform(height.judged(block_id, Verdict.INVALID, now), now)
                return
            if isinstance(fresh, Missing):
                self._want(fresh.entry_ids, body.readys, now)
                return
            self._keep(fresh)
            made = fresh
        del self._to_judge[block_id]
        self._perform(height.judged(block_id, Verdict.VALID, now), now)

    def _keep(self, made: Assembled) -> None:
        if len(self._assembled) >= 8:
            del self._assembled[next(iter(self._assembled))]
        self._assembled[made.block_id] = made

    def _decide(self, decision: Decide, now: int) -> None:
        made = self._assembled.get(decision.block_id)
        if made is None:
            fresh = judge(self._core.ledger, decision.body)
            if isinstance(fresh, Missing):
                self._want(fresh.entry_ids, decision.body.readys, now)
                return
            made = fresh
        self._to_decide = None
        block = Block(
            header=made.header,
            certificate=decision.certificate,
            readys=decision.body.readys,
            entry_ids=made.entry_ids,
        )
        self._core.seal(block, made)

    def _want(self, entry_ids: Sequence[bytes], readys: Sequence[Ready], now: int) -> None:
        """Ask the peers for entries that a block needs: what these READYs name, and what lies below."""
        devices = self._core.intake.need(entry_ids, (ready.frontier for ready in readys))
        for session in self._core.sync.sessions.values():
            if session.greeted:
                self._core.sync.want(session, entry_ids, devices, now)

    def _ask(self, now: int) -> None:
        for session in self._core.sync.sessions.values():
            if session.greeted and session.height == self._core.ledger.head.height:
                self._core.sync.ask_sealing(session, now)

    # -- alone ---------------------------------------------------------------------------------------------------------

    def alone(self, now: int, *, at_once: bool = False, met: bool = False) -> None:
        """Without a network: seal all that waits, if this device's vote alone is a quorum; else sign what is due.

        `at_once`: the person asks for a block. `met`: somebody's bundle has been read.
        """
        self._core.now = now
        if self._sealers and self._sealers != (self._core.node_key.public,):
            if at_once:
                self.hurry(now)
            if at_once or met:
                # A command ends long before anybody could be waited for, and whoever carries a stick has nobody else.
                self._met = True
                self.poke(now)
            return
        for _ in range(_STEPS_ALONE_MAX):
            head = self._core.ledger.head
            if at_once or now <= head.time + ALONE_MS_MAX:
                self.hurry(now)
            self.poke(now)
            if self._core.ledger.head is head or not len(self._core.ledger.pool):
                break
        self._core.effects()

    # -- words ---------------------------------------------------------------------------------------------------------

    def waits_for(self, now: int) -> list[str]:
        """Members (hex) one or more of whom must be heard before anything is sealed; empty for a sole sealer."""
        rows = self._core.ledger.sealers()
        return [row.member.hex() for row in rows if row.node_key != self._core.node_key.public]

    def fact(self) -> SealingFact | None:
        """Where the vote stands."""
        facts = self.facts()
        return None if facts is None else SealingFact.of(facts)

    def facts(self) -> Facts | None:
        """The same with all that is known of each sealer."""
        return None if self._height is None else self._height.facts()

    def report(self, now: int) -> dict[str, Any]:
        """The same for `tally seal`."""
        fact, late = self.fact(), self.waits_for_content
        head = self._core.ledger.head
        return {
            "height": head.height,
            "pending": len(self._core.ledger.pool),
            "round": -1 if fact is None else fact.round,
            "ready": 0 if fact is None else len(fact.ready),
            "quorum": quorum(len(self._sealers)),
            "waits_for": self.waits_for(now),
            "seals": any(row.node_key == self._core.node_key.public for row in self._core.ledger.sealers()),
            "warning": self.muted or self.warning(now) or ("what the next block holds is not here" if late else None),
        }
