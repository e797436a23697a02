"""What a hostile member does on its sync stream, by name; docs/spec/sync.md#limits says which limit each one breaks."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Final

import trio

from tallystick.node import messages as m
from tallystick.node.net_framing import encode_frame, encode_uvarint
from tallystick.node.transport import FRAME_BYTES_MAX
from tallystick.protocol import codec
from tallystick.protocol.ballot import Precommit, make_precommit
from tallystick.protocol.entry import Entry, wire
from tallystick.protocol.limits import (
    ANNEX_SIZE_BYTES_MAX,
    HEADER_LARGE_SIZE_BYTES_MAX,
    HEADER_SIZE_BYTES_MAX,
    LINKS_MAX,
)
from tallystick.protocol.ready import Ready, make_ready
from tallystick.protocol.sealing import read_sealing_untrusted
from tests.integration.hostile_gossip import GOSSIP
from tests.integration.hostile_member import HEAVY, Line, Member, heavy_words, raw

#: How long it goes on where it is not thrown out.
STAY_S: Final = 1.5
#: Far more than any limit.
FAR_TOO_DEEP: Final = 200_000


async def without_end(line: Line, make: Callable[[], m.Message]) -> None:
    """Say one thing after the other until it has been enough."""
    # Not cut off in the middle of a write: that would end the connection, and not the other side.
    end = trio.current_time() + STAY_S
    while trio.current_time() < end and not line.over.is_set():
        await line.say(make())


async def hand_over(line: Line, entries: Iterable[Entry], at_once: int = 64) -> None:
    """Send entries, so many a frame."""
    rows = [wire(entry) for entry in entries]
    for start in range(0, len(rows), at_once):
        await line.say(m.Entries(rows[start : start + at_once]))


# -- framing and encoding ----------------------------------------------------------------------------------------------


async def frame_too_long(line: Line, _: Member) -> None:
    await line.write(encode_uvarint(FRAME_BYTES_MAX + 1) + bytes(1000))


async def beyond_credit(line: Line, _: Member) -> None:
    for _ in range(64):
        await line.write(encode_frame(bytes(FRAME_BYTES_MAX)))


async def not_canonical(line: Line, _: Member) -> None:
    await line.say(b"\xc1" + secrets.token_bytes(100))


async def too_deep(line: Line, _: Member) -> None:
    """Arrays inside one another, as many as a frame holds: a reader that follows them has no stack left."""
    await line.say(b"\x91" * FAR_TOO_DEEP + b"\xc0")


async def before_hello(line: Line, _: Member) -> None:
    await line.say(m.GetBlocks(1, 64, True))


async def wrong_ledger(line: Line, _: Member) -> None:
    await line.greet(ledger=secrets.token_bytes(32))


# -- one entry that is too much of something ---------------------------------------------------------------------------
# Each is signed well and right in everything else: without its limit it would only wait for its parents.


async def header_too_long(line: Line, member: Member) -> None:
    await line.greet()
    body = {"offer": bytes(32), "x": bytes(HEADER_SIZE_BYTES_MAX)}
    await line.say(m.Entries([member.forged("withdraw", body)]))


async def charter_too_long(line: Line, member: Member) -> None:
    """Kinds that carry a charter may be longer, and no longer than that."""
    await line.greet()
    await line.say(m.Entries([member.forged("propose", {"x": bytes(HEADER_LARGE_SIZE_BYTES_MAX)})]))


async def annex_too_long(line: Line, member: Member) -> None:
    await line.greet()
    annex = raw({"note": "x" * ANNEX_SIZE_BYTES_MAX, "salt": bytes(16)})
    await line.say(m.Entries([member.forged("withdraw", {"offer": bytes(32)}, annex=annex)]))


async def too_many_links(line: Line, member: Member) -> None:
    await line.greet()
    await line.say(m.Entries([member.forged("withdraw", {"offer": bytes(32)}, links=LINKS_MAX + 1)]))


async def body_too_deep(line: Line, member: Member) -> None:
    """The header is an array and the body a map: seven more are one too many."""
    await line.greet()
    nested: list[object] = []
    for _ in range(6):
        nested = [nested]
    await line.say(m.Entries([member.forged("withdraw", {"offer": nested})]))


async def forged_entry(line: Line, member: Member) -> None:
    await line.greet()
    header, signature, annex = wire(next(member.chain(1)))
    await line.say(m.Entries([(header, bytes([signature[0] ^ 1]) + signature[1:], annex)]))


# -- sealing messages --------------------------------------------------------------------------------------------------


async def forged_vote(line: Line, member: Member) -> None:
    """In the name of everybody who may seal, which is whoever was seen to be there: here the one that is attacked."""
    hello = await line.greet()
    for height in (hello.height + 1, hello.height + 2, hello.height + 3):
        vote = make_precommit(member.signer, ledger=member.ticket.ledger, height=height, round_=0, block_id=bytes(32))
        await line.say(m.Sealing([replace(vote, signer=line.link.peer).wire()]))


async def votes_of_nobody(line: Line, member: Member) -> None:
    """Well signed, by somebody who does not seal."""
    hello = await line.greet()
    votes = [precommit(member, hello.height + 1, round_, None) for round_ in range(64)]
    await without_end(line, lambda: m.Sealing(votes))


async def votes_of_a_sealer(line: Line, member: Member) -> dict[str, int]:
    """By somebody who seals: hundreds of votes, READYs and rounds of one height, and of others; what is kept."""
    hello = await line.greet()
    # Right after a block there is time: what is said now is about the next one.
    await line.until(lambda: line.hello is not None and line.hello.height > hello.height)
    at = line.hello
    assert at is not None
    height = at.height + 1
    # READYs of others are of this minute, too.
    now = time.time_ns() // 1_000_000
    nothing = codec.encode([])
    readys = [
        make_ready(
            member.signer,
            ledger=member.ticket.ledger,
            height=height,
            prev_id=at.block_id,
            time=now + number,
            frontier=nothing,
            count=0,
        ).wire()
        for number in range(32)
    ]
    await line.say(m.Sealing(readys))
    await line.say(m.Sealing([precommit(member, height, 0, secrets.token_bytes(32)) for _ in range(64)]))
    await line.say(m.Sealing([precommit(member, height, round_, None) for round_ in range(10, 74)]))
    line.sealing.clear()
    await line.say(m.GetSealing(height))
    # Among what others say anyway: one's own messages come back for having been asked for, and for nothing else.
    with trio.move_on_after(5):
        await line.until(lambda: any(count_kept(line, member, height).values()))
    kept = count_kept(line, member, height)
    for ahead in (height + 1, height + 2, height + 1000):
        await line.say(m.Sealing([precommit(member, ahead, 0, secrets.token_bytes(32)) for _ in range(200)]))
    return kept


def precommit(member: Member, height: int, round_: int, block_id: bytes | None) -> bytes:
    return make_precommit(
        member.signer, ledger=member.ticket.ledger, height=height, round_=round_, block_id=block_id
    ).wire()


def count_kept(line: Line, member: Member, height: int) -> dict[str, int]:
    """Of one sealer's messages, those that the other side has: READYs, votes of round 0, rounds far ahead."""
    kept: Counter[str] = Counter(ready=0, votes=0, rounds=0)
    for data in set(line.sealing):
        message = read_sealing_untrusted(data)
        if message.signer != member.node.public or message.height != height:
            continue
        if isinstance(message, Ready):
            kept["ready"] += 1
        elif isinstance(message, Precommit):
            kept["rounds" if message.round >= 10 else "votes"] += 1
    return kept


# -- too many entries --------------------------------------------------------------------------------------------------


async def orphans(line: Line, member: Member) -> None:
    await line.greet()
    await without_end(line, lambda: m.Entries([wire(member.orphan()) for _ in range(64)]))


async def heavy_orphans(line: Line, member: Member) -> None:
    """Few, and with words as long as may be."""
    await line.greet()
    words = heavy_words()
    await hand_over(line, (member.orphan(words) for _ in range(16 * 1024 * 1024 // HEAVY)), 3)


async def own_flood(line: Line, member: Member) -> None:
    """More good entries than anybody may have pending, announced as an honest node would."""
    await line.greet()
    chain = list(member.chain(2600))
    await line.say(m.New([(member.device.public, chain[-1].seq, chain[-1].id)]))
    await hand_over(line, chain)


async def heavy_flood(line: Line, member: Member) -> None:
    """Good entries, few of them, with words as long as may be."""
    await line.greet()
    await hand_over(line, member.chain(16 * 1024 * 1024 // HEAVY, heavy_words()), 3)


async def branches(line: Line, member: Member) -> None:
    """Thousands of entries with one number."""
    await line.greet()
    await hand_over(line, member.branches(2600))


async def far_ahead(line: Line, member: Member) -> None:
    """Says that it has blocks without end, and sends entries for them that no block has."""
    await line.greet(height=2**50, block_id=secrets.token_bytes(32))
    await hand_over(line, member.chain(3300))


# -- too much of everything else ---------------------------------------------------------------------------------------


async def lying_heads(line: Line, _: Member) -> None:
    """Names entries that do not exist, a hundred thousand."""
    await line.greet()
    for _part in range(100):
        rows = [(secrets.token_bytes(32), [(7, secrets.token_bytes(32))]) for _ in range(1000)]
        await line.say(m.Heads(0, 1, False, rows))


async def slow_reader(line: Line, _: Member) -> None:
    """Asks for everything again and again, and reads nothing: it gives no credit beyond the first few bytes."""
    await line.greet()
    await without_end(line, lambda: m.GetBlocks(1, 64, True))


async def asks_again(line: Line, member: Member) -> dict[str, int]:
    """Says hello, and asks for votes, heads and entries, thousands of times: few bytes, and an answer that has many."""
    await line.greet()
    end = trio.current_time() + STAY_S
    asked = before = line.heads
    while trio.current_time() < end:
        hello = await line.greet()
        await line.say(m.GetSealing(hello.height + 1), m.Heads(0, 1, True, []), m.Want([(bytes(32), 0, hello.digest)]))
        asked += 1
    return {"asked for heads": asked - before, "heads": line.heads - before}


async def parts_without_end(line: Line, _: Member) -> None:
    """Begins messages of eight megabytes, and never ends one."""
    await line.greet()
    # It begins as a block does: nothing else may be so long.
    part = b"\x95\xa5block" + bytes(FRAME_BYTES_MAX - 310)
    end = trio.current_time() + STAY_S
    while trio.current_time() < end:
        digest = secrets.token_bytes(32)
        for number in range(30):
            await line.say(codec.encode(["part", digest, number, 32, part]))


Attack = Callable[[Line, Member], Awaitable[dict[str, int] | None]]
ATTACKS: Final[dict[str, Attack]] = {
    attack.__name__: attack
    for attack in (
        frame_too_long,
        beyond_credit,
        not_canonical,
        too_deep,
        before_hello,
        wrong_ledger,
        header_too_long,
        charter_too_long,
        annex_too_long,
        too_many_links,
        body_too_deep,
        forged_entry,
        forged_vote,
        votes_of_nobody,
        heavy_flood,
        orphans,
        heavy_orphans,
        own_flood,
        far_ahead,
        lying_heads,
        slow_reader,
        asks_again,
        parts_without_end,
        *GOSSIP,
        # Whoever seals and contradicts itself is convicted, and a device that has forked leaves entries that wait for
        # ever: these come last.
        votes_of_a_sealer,
        branches,
    )
}
#: These read nothing of what they are sent.
SLOW: Final = frozenset(("slow_reader",))
