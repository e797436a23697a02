"""The allowance of a sender: so many in ten minutes, and others are not affected."""

from tallystick.node.allowance import MESSAGES_MAX, WINDOW_MS, Allowance


def test_so_many_and_no_more() -> None:
    """The next one is taken when ten minutes have passed since the first."""
    allowance = Allowance()
    assert all(allowance.take(b"a", now) for now in range(MESSAGES_MAX))
    assert not allowance.take(b"a", MESSAGES_MAX)
    assert not allowance.take(b"a", WINDOW_MS - 1)
    assert allowance.take(b"a", WINDOW_MS)


def test_others_have_their_own() -> None:
    """A flood of one takes nothing from another; a new height begins anew."""
    allowance = Allowance()
    while allowance.take(b"a", 0):
        continue
    assert allowance.take(b"b", 0)
    allowance.clear()
    assert allowance.take(b"a", 0)


def test_clock_that_is_set_back_silences_nobody() -> None:
    """The count begins anew."""
    allowance = Allowance()
    while allowance.take(b"a", WINDOW_MS * 9):
        continue
    assert allowance.take(b"a", 0)


def test_steady_sender_is_never_refused() -> None:
    """One message every ten seconds for a month."""
    allowance = Allowance()
    assert all(allowance.take(b"a", now) for now in range(0, 30 * 86_400_000, 10_000))
