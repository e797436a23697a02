"""Which of two connections is kept, and who gets one: the table of links without a network."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from tallystick.crypto.keys import SecretKey
from tallystick.node.net_line import Line
from tallystick.node.net_links import SAME_TIME_S, Link, LinkRefusedError, Links
from tallystick.node.transport import PeerKey, TransportLimits

LOW, MIDDLE, HIGH = sorted(SecretKey.from_seed(bytes([number]) * 32).public for number in range(3))
LIMITS = TransportLimits(connections_max=4, strangers_max=2)


class DeadLine:
    """A line of which only the cutting is of interest."""

    def __init__(self, *, is_relayed: bool = False) -> None:
        self.is_cut = False
        self.is_relayed = is_relayed
        self.heard_at = trio.current_time()

    def abort(self) -> None:
        self.is_cut = True


class Table:
    """A table of links that notes what is dropped."""

    def __init__(self, own: PeerKey = MIDDLE) -> None:
        self.dropped: list[tuple[Link, str]] = []
        self.links = Links(own=own, limits=LIMITS, dropped=lambda link, reason: self.dropped.append((link, reason)))

    def arrive(self, peer: PeerKey, *, outbound: bool = False, admitted: bool = True, relayed: bool = False) -> Link:
        line: Line = DeadLine(is_relayed=relayed)  # type: ignore[assignment]
        link = Link(peer=peer, line=line, outbound=outbound, admitted=admitted)
        self.links.arrive(link)
        return link


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return trio.testing.MockClock()


def run(check: object, clock: trio.testing.MockClock) -> None:
    async def main() -> None:
        assert callable(check)
        check()
        await trio.lowlevel.checkpoint()

    trio.run(main, clock=clock)


@pytest.mark.parametrize("outbound", [True, False])
def test_second_connection_the_same_way_replaces_the_first(clock: trio.testing.MockClock, outbound: bool) -> None:
    """Who dials again has lost the old one, however young it is."""

    def check() -> None:
        table = Table()
        first = table.arrive(HIGH, outbound=outbound)
        second = table.arrive(HIGH, outbound=outbound)
        assert table.links.get(HIGH) is second
        assert first.dropped and first.line.is_cut  # type: ignore[attr-defined]
        assert table.dropped == [(first, "replaced by a newer connection")]

    run(check, clock)


@pytest.mark.parametrize("peer", [LOW, HIGH])
@pytest.mark.parametrize("outbound_first", [True, False])
def test_of_two_simultaneous_dials_the_lower_key_is_kept(
    clock: trio.testing.MockClock, peer: PeerKey, outbound_first: bool
) -> None:
    """Both sides keep the connection that the lower key dialled, in whatever order they see them."""

    def check() -> None:
        table = Table()
        first = table.arrive(peer, outbound=outbound_first)
        if (MIDDLE if outbound_first else peer) == min(MIDDLE, peer):
            with pytest.raises(LinkRefusedError, match="simultaneous"):
                table.arrive(peer, outbound=not outbound_first)
            assert table.links.get(peer) is first and not first.dropped
        else:
            second = table.arrive(peer, outbound=not outbound_first)
            assert table.links.get(peer) is second and first.dropped
        assert len(table.links) == 1

    run(check, clock)


@pytest.mark.parametrize("outbound_first", [True, False])
def test_later_dial_of_the_other_side_replaces(clock: trio.testing.MockClock, outbound_first: bool) -> None:
    """A dial long after is no coincidence: the other side has lost the old connection."""

    def check() -> None:
        table = Table(own=LOW if outbound_first else HIGH)
        first = table.arrive(MIDDLE, outbound=outbound_first)
        clock.jump(SAME_TIME_S + 1)
        second = table.arrive(MIDDLE, outbound=not outbound_first)
        assert first.dropped and table.links.get(MIDDLE) is second

    run(check, clock)


def test_we_are_no_peer_of_ours(clock: trio.testing.MockClock) -> None:
    """Our own key on the other side means that we dialled ourselves."""

    def check() -> None:
        with pytest.raises(LinkRefusedError, match="ourselves"):
            Table().arrive(MIDDLE)

    run(check, clock)


def test_places_are_counted(clock: trio.testing.MockClock) -> None:
    """Strangers have their own few places, everybody together has so many, and leaving frees a place."""

    def check() -> None:
        table = Table()
        keys = [SecretKey.from_seed(bytes([number + 10]) * 32).public for number in range(6)]
        strangers = [table.arrive(key, admitted=False) for key in keys[:2]]
        with pytest.raises(LinkRefusedError, match="strangers"):
            table.arrive(keys[2], admitted=False)
        assert table.arrive(keys[0], admitted=False) is not strangers[0]
        table.arrive(keys[2], admitted=False, outbound=True)
        table.arrive(keys[3])
        with pytest.raises(LinkRefusedError, match="connections"):
            table.arrive(keys[4], admitted=False)
        assert table.links.refused == 2
        strangers[1].drop("it leaves")
        table.arrive(keys[4])
        assert len(table.links) == 4

    run(check, clock)


def test_link_is_dropped_once(clock: trio.testing.MockClock) -> None:
    """The first reason counts; a link that was replaced takes nobody else's place with it."""

    def check() -> None:
        table = Table()
        first = table.arrive(HIGH)
        second = table.arrive(HIGH)
        first.drop("again")
        assert table.links.get(HIGH) is second
        second.drop("one")
        second.drop("two")
        assert table.links.get(HIGH) is None
        assert [reason for _, reason in table.dropped] == ["replaced by a newer connection", "one"]
        assert second.settled.is_set() and second.gone.is_set()

    run(check, clock)


def test_link_that_was_refused_tells_nobody(clock: trio.testing.MockClock) -> None:
    """Only links that were taken in are reported."""

    def check() -> None:
        table = Table()
        line: Line = DeadLine()  # type: ignore[assignment]
        link = Link(peer=MIDDLE, line=line, outbound=False, admitted=True)
        with pytest.raises(LinkRefusedError):
            table.links.arrive(link)
        link.drop("refused")
        assert table.dropped == []

    run(check, clock)


@pytest.mark.parametrize("outbound", [True, False])
def test_direct_connection_replaces_one_through_a_third(clock: trio.testing.MockClock, outbound: bool) -> None:
    """Whoever dials, and however young the other is."""

    def check() -> None:
        table = Table()
        old = table.arrive(HIGH, outbound=not outbound, relayed=True)
        new = table.arrive(HIGH, outbound=outbound)
        assert old.dropped and table.links.get(HIGH) is new

    run(check, clock)


@pytest.mark.parametrize("outbound", [True, False])
def test_connection_through_a_third_replaces_only_a_silent_one(clock: trio.testing.MockClock, outbound: bool) -> None:
    """While the direct one is alive it is kept; once it says nothing any more, the peer may come another way."""

    def check() -> None:
        table = Table()
        old = table.arrive(HIGH, outbound=outbound)
        with pytest.raises(LinkRefusedError):
            table.arrive(HIGH, relayed=True)
        assert table.links.get(HIGH) is old and not old.dropped
        clock.jump(LIMITS.ping_every_s * 2)
        new = table.arrive(HIGH, relayed=True)
        assert old.dropped and table.links.get(HIGH) is new

    run(check, clock)


def crowded(owners: dict[PeerKey, bytes]) -> Table:
    """A table whose places are all taken, by peers that one or several answer for."""
    table = Table()
    table.links = Links(
        own=MIDDLE,
        limits=LIMITS,
        dropped=lambda link, reason: table.dropped.append((link, reason)),
        owner_of=lambda peer: owners.get(peer, peer),
    )
    return table


KEYS = [SecretKey.from_seed(bytes([number + 30]) * 32).public for number in range(8)]


def test_who_has_most_gives_its_newest_place_to_who_has_none(clock: trio.testing.MockClock) -> None:
    """Until the difference is one: whoever is sent away comes back, and gets nothing of an equal."""

    def check() -> None:
        crowd = dict.fromkeys(KEYS[:5], b"mal")
        table = crowded(crowd)
        links = [table.arrive(key) for key in KEYS[:4]]
        with pytest.raises(LinkRefusedError, match="too many"):
            table.arrive(KEYS[4])
        bo = table.arrive(KEYS[5])
        assert table.dropped == [(links[3], "others need its place")] and links[3].line.is_cut  # type: ignore[attr-defined]
        with pytest.raises(LinkRefusedError, match="too many"):
            table.arrive(KEYS[3])
        cy = table.arrive(KEYS[6], outbound=True)
        assert table.dropped[1:] == [(links[2], "others need its place")]
        dee = table.arrive(KEYS[7])
        assert {link.peer for link in table.links} == {KEYS[0], bo.peer, cy.peer, dee.peer}
        # Now everybody has one.
        with pytest.raises(LinkRefusedError, match="too many"):
            table.arrive(LOW)
        assert table.links.refused == 3

    run(check, clock)


def test_strangers_who_stay_give_up_their_places_to_new_ones(clock: trio.testing.MockClock) -> None:
    """Each has time for a knock. Else a few who say nothing would keep out everybody who has a ticket."""

    def check() -> None:
        table = Table()
        keys = [SecretKey.from_seed(bytes([number + 10]) * 32).public for number in range(8)]
        first, second = (table.arrive(key, admitted=False) for key in keys[:2])
        clock.jump(LIMITS.stranger_sure_s / 2)
        with pytest.raises(LinkRefusedError, match="strangers"):
            table.arrive(keys[2], admitted=False)
        clock.jump(LIMITS.stranger_sure_s / 2)
        # The one that says something goes last, as long as there is another.
        first.streams = 1
        third = table.arrive(keys[2], admitted=False)
        assert table.dropped == [(second, "others need its place")]
        fourth = table.arrive(keys[3], admitted=False)
        assert [link for link, _ in table.dropped] == [second, first]
        with pytest.raises(LinkRefusedError, match="strangers"):
            table.arrive(keys[4], admitted=False)
        assert list(table.links) == [third, fourth]
        assert table.links.refused == 2

    run(check, clock)


def test_strangers_give_up_their_places_first_and_get_none_of_others(clock: trio.testing.MockClock) -> None:
    """Where everything is taken a stranger has to wait, whoever else has most of it."""

    def check() -> None:
        table = crowded(dict.fromkeys(KEYS[:4], b"mal"))
        for key in KEYS[:3]:
            table.arrive(key)
        stranger = table.arrive(KEYS[5], admitted=False)
        with pytest.raises(LinkRefusedError, match="connections"):
            table.arrive(KEYS[6], admitted=False)
        table.arrive(KEYS[3])
        assert table.dropped == [(stranger, "others need its place")]
        with pytest.raises(LinkRefusedError, match="connections"):
            table.arrive(KEYS[6], admitted=False)

    run(check, clock)
