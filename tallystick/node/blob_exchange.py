"""Evidence files between nodes: who may have one is given it in parts, and what a person asks for is fetched.

One question at a time is open for each file, to one peer, and every answer has exactly the bytes that were asked for.
So a sender can neither flood nor drip, and a liar is known when the whole has another hash than the delivery says. What
has come stays on the disk, and the next try goes on from there.

Source: docs/spec/sync.md#evidence
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tallystick.node import evidence_rights, messages
from tallystick.node.allowance import Allowance
from tallystick.node.blobs import FILE_BYTES_MAX, BlobError
from tallystick.node.intake import BlameError
from tallystick.node.net_address import peer_id
from tallystick.node.view import View

if TYPE_CHECKING:
    from tallystick.node.core import NodeCore
    from tallystick.node.evidence_rights import NamedFile
    from tallystick.node.session import Session
    from tallystick.node.transport import PeerKey

log = logging.getLogger("tallystick.node")

#: How long one part may take before somebody else is asked.
PART_MS: Final = 15_000
#: Files that are fetched at a time.
FETCHES_MAX: Final = 128


@dataclass(slots=True)
class Fetch:
    """One file that a person wants, while it is being fetched."""

    wanted: NamedFile
    deal: bytes
    members: tuple[bytes, ...]
    """Who is asked first, by member: whoever is most likely to have it."""
    asked: PeerKey | None = None
    asked_at: int = 0
    refused: set[PeerKey] = field(default_factory=set)
    """Who has said that it is not to be had there, or has not answered, or lied."""
    sources: set[PeerKey] = field(default_factory=set)
    """Whose bytes the beginning is made of."""
    is_resumed: bool = False
    """The beginning was here before, and nobody knows whose it is."""
    failure: str = ""
    """Why it cannot be had now, in words."""


class BlobExchange:
    """Evidence files of one node: what it gives, and what it fetches."""

    def __init__(self, core: NodeCore) -> None:
        self._core = core
        self._allowance = Allowance()
        self._open: dict[PeerKey, Counter[tuple[bytes, int]]] = {}
        """How often a peer may still answer a question, (file, offset): also one that was given up."""
        self.fetches: dict[bytes, Fetch] = {}
        """By the hash of the file; those that have failed stay until they are asked for again."""

    # -- giving --------------------------------------------------------------------------------------------------------

    def on_get(self, session: Session, ask: messages.GetBlob, now: int) -> None:
        """Answer with bytes, or with none: whoever may not ask does not learn whether the file is here."""
        data = b""
        if self._allowance.take(session.peer, now) and self._may_have(session.peer, ask.sha256, now):
            try:
                data = self._core.archive.blobs.read(ask.sha256, ask.offset, messages.CHUNK_BYTES)
            except BlobError as error:
                log.error("evidence: %s", error.message)
        self._core.sync.send(session.peer, messages.Chunk(ask.sha256, ask.offset, data))

    def _may_have(self, peer: PeerKey, digest: bytes, now: int) -> bool:
        core = self._core
        member = core.member_of(peer)
        if member is None:
            return False
        view = self._view(now)
        for entry_id, deal_id in core.archive.evidence_of(digest):
            deal = view.deal(deal_id)
            row = core.archive.sealed_row(entry_id)
            if deal is None or (row is not None and row.reason) or entry_id in view.preview.erased:
                continue
            if evidence_rights.may_see(view.preview, deal_id, deal, member, view.moment):
                return True
            if evidence_rights.is_public(view, entry_id):
                return True
        return False

    def _view(self, now: int) -> View:
        core = self._core
        return View(ledger=core.ledger, archive=core.archive, now=now, me=None, device=core.device)

    # -- fetching ------------------------------------------------------------------------------------------------------

    def fetch(self, wanted: NamedFile, deal: bytes, members: tuple[bytes, ...], now: int) -> Fetch | None:
        """Begin to fetch a file, or go on with it; None where it is whole by now. Raises BlobError."""
        blobs, digest = self._core.archive.blobs, wanted.digest
        fetch = self.fetches.get(digest)
        if fetch is not None and not fetch.failure:
            return fetch
        if len(self.fetches) >= FETCHES_MAX:
            self.fetches = {key: row for key, row in self.fetches.items() if not row.failure}
        fetch = Fetch(wanted, deal, members)
        if wanted.size > FILE_BYTES_MAX:
            fetch.failure = f"it is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB: ask for it in another way"
            self.fetches[digest] = fetch
            return fetch
        if blobs.begun(digest) > wanted.size:
            blobs.drop(digest)
        fetch.is_resumed = blobs.begun(digest) > 0
        if wanted.size == blobs.begun(digest):
            if not wanted.size:
                blobs.add(digest, b"")
            if self._finish(fetch):
                return None
        self.fetches[digest] = fetch
        self._ask(fetch, now)
        return fetch

    def on_chunk(self, session: Session, chunk: messages.Chunk, now: int) -> None:
        """Take in an answer. Raises BlameError for one that nobody asked for, or that has other than all the bytes."""
        question = chunk.sha256, chunk.offset
        asked = self._open.get(session.peer, Counter())
        if not asked[question]:
            raise BlameError("bytes of a file that nobody asked for")
        asked.subtract((question,))
        blobs = self._core.archive.blobs
        fetch = self.fetches.get(chunk.sha256)
        if fetch is None or fetch.asked != session.peer or chunk.offset != blobs.begun(chunk.sha256):
            # It has come too late.
            return
        size = fetch.wanted.size
        if not chunk.data:
            self._next(fetch, now)
            return
        if len(chunk.data) != min(messages.CHUNK_BYTES, size - chunk.offset):
            raise BlameError("not as many bytes of a file as were asked for")
        try:
            blobs.add(chunk.sha256, chunk.data)
            fetch.sources.add(session.peer)
            if chunk.offset + len(chunk.data) < size:
                self._ask(fetch, now)
            elif not self._finish(fetch):
                self._deceived(fetch, session, now)
        except BlobError as error:
            fetch.failure = error.message

    def tick(self, now: int) -> None:
        """Ask somebody else where an answer does not come."""
        for fetch in list(self.fetches.values()):
            if not fetch.failure and fetch.asked_at + PART_MS <= now:
                self._next(fetch, now)

    def close(self, peer: PeerKey, now: int) -> None:
        """A peer is gone."""
        self._open.pop(peer, None)
        for fetch in list(self.fetches.values()):
            if fetch.asked == peer and not fetch.failure:
                self._next(fetch, now)

    def _ask(self, fetch: Fetch, now: int) -> None:
        """Ask for the next part: the same peer as before, or the next one."""
        core = self._core
        if fetch.asked is None:
            fetch.asked = self._choose(fetch)
        if fetch.asked is None:
            fetch.failure = "none of the computers that are connected gives it"
            return
        offset = core.archive.blobs.begun(fetch.wanted.digest)
        fetch.asked_at = now
        self._open.setdefault(fetch.asked, Counter())[fetch.wanted.digest, offset] += 1
        core.sync.send(fetch.asked, messages.GetBlob(fetch.wanted.digest, offset))

    def _choose(self, fetch: Fetch) -> PeerKey | None:
        core = self._core
        there = [peer for peer, session in core.sync.sessions.items() if session.greeted and peer not in fetch.refused]
        places = {member: place for place, member in enumerate(fetch.members)}
        return min(there, key=lambda peer: (places.get(core.member_of(peer) or b"", len(places)), peer), default=None)

    def _next(self, fetch: Fetch, now: int) -> None:
        if fetch.asked is not None:
            fetch.refused.add(fetch.asked)
            fetch.asked = None
        self._ask(fetch, now)

    def _finish(self, fetch: Fetch) -> bool:
        """All bytes are here: keep them if they are the right ones."""
        digest = fetch.wanted.digest
        if not self._core.archive.blobs.finish(digest):
            return False
        self._core.archive.keep_evidence(digest, fetch.wanted.delivery, fetch.deal)
        self.fetches.pop(digest, None)
        log.info("evidence %s is here", digest.hex()[:8])
        return True

    def _deceived(self, fetch: Fetch, session: Session, now: int) -> None:
        """The whole is something else. Who alone sent it has lied; where several did, each is tried alone."""
        digest = fetch.wanted.digest.hex()[:8]
        log.warning("evidence %s from %s is not what was delivered", digest, peer_id(session.peer))
        if fetch.sources == {session.peer} and not fetch.is_resumed:
            fetch.refused.add(session.peer)
            fetch.asked = None
            self._ask(fetch, now)
            raise BlameError("a file with another hash than was asked for")
        fetch.sources.clear()
        fetch.is_resumed = False
        self._ask(fetch, now)
