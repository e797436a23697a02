"""From what a person types to what is meant, and the refusal of everything that could mean two things."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tallystick.node import layout
from tallystick.node.errors import ExitCode
from tallystick.node.resolve import UnresolvedError, resolve_deal, resolve_entry, resolve_member, resolve_offer
from tallystick.node.store_memory import MemoryStore
from tallystick.node.view import View
from tallystick.protocol.kinds.offer import Offer
from tallystick.protocol.kinds.refuse import Refuse
from tests.support.kept import Kept, kept_market


@pytest.fixture(scope="module")
def market() -> Kept:
    """Four partners, one deal that is sealed, one offer that is pending."""
    kept = kept_market(names={"bo": "Bo Li"})
    kept.marks["deal"] = kept.accepted("bo", "cy", "roast", 2)
    kept.seal()
    kept.marks["offer"] = kept.offered("di", "bake", 1)
    return kept


def refusal(view: View, text: str, find: Callable[[View, str], bytes] = resolve_member) -> UnresolvedError:
    """The error that a text ends in."""
    with pytest.raises(UnresolvedError) as caught:
        find(view, text)
    assert caught.value.exit_code == ExitCode.NOT_FOUND
    return caught.value


@pytest.mark.parametrize("digits", [6, 7, 8, 31, 64])
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_an_entry_is_found_by_its_first_digits(market: Kept, digits: int, case: Callable[[str], str]) -> None:
    """Pending and sealed ones, an odd number of digits, capital ones, blanks around them."""
    for entry in market.sent:
        text = case(f" {entry.id.hex()[:digits]} ")
        assert resolve_entry(market.look(), text) == entry.id


def test_an_entry_that_is_in_memory_only_is_found(market: Kept) -> None:
    """What is being tried out or not stored yet has an id as well."""
    entry = market.unsent("bo", market.offer("bake", 3), market.now + 1)
    body = market.ledger.check(entry)
    assert isinstance(body, Offer)
    market.ledger.add(entry, body)
    try:
        assert resolve_offer(market.look(), entry.id.hex()[:6]) == entry.id
    finally:
        market.ledger.preview.forget(entry.id)
        market.ledger.pool.remove_last(entry.id)


@pytest.mark.parametrize("text", ["", "abc12", "xyzxyz", "12345g", "0" * 65, "0x1234567", "-1-1-1", "ａｂｃｄｅｆ"])
def test_what_is_no_prefix_finds_nothing(market: Kept, text: str) -> None:
    """Fewer than six digits, more than an id has, or other letters: with a hint how an id is given."""
    error = refusal(market.look(), text, resolve_entry)
    assert error.reason == "not-found"
    assert "6" in error.hint


def test_a_prefix_without_an_entry_finds_nothing(market: Kept) -> None:
    """There is nothing to choose from."""
    error = refusal(market.look(), "ffffffffffffffff", resolve_entry)
    assert (error.reason, error.candidates) == ("not-found", ())


def test_a_deal_is_its_acceptance(market: Kept) -> None:
    """Of other entries it is said what they are."""
    deal_id, offer_id = market.marks["deal"], market.marks["offer"]
    assert resolve_deal(market.look(), deal_id.hex()[:8]) == deal_id
    assert resolve_offer(market.look(), offer_id.hex()[:8]) == offer_id
    error = refusal(market.look(), offer_id.hex()[:8], resolve_deal)
    assert error.reason == "not-found"
    assert error.hint.endswith("is an offer")


class Twins(MemoryStore):
    """A store in which every search finds some made-up keys as well."""

    def __init__(self, like: MemoryStore, extra: list[bytes]) -> None:
        super().__init__()
        self._rows = like._rows
        self._extra = extra

    def iterate(
        self, prefix: bytes = b"", *, start: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        yield from ((layout.ENTRY + each, b"") for each in self._extra if (layout.ENTRY + each).startswith(prefix))
        yield from super().iterate(prefix, start=start, reverse=reverse)


def test_an_ambiguous_prefix_is_refused_with_at_most_five_candidates(market: Kept) -> None:
    """Somebody who spends the hashes can make ids that begin alike; nobody then signs about the wrong one."""
    wanted = market.marks["offer"]
    assert isinstance(market.store, MemoryStore)
    view = market.look()
    twins = [wanted[:4] + bytes([number]) * 28 for number in range(9)]
    view.archive = type(view.archive)(Twins(market.store, twins))
    error = refusal(view, wanted.hex()[:6], resolve_entry)
    assert error.reason == "ambiguous"
    assert len(error.candidates) == 5
    assert all(each.startswith(wanted.hex()[:6]) for each in error.candidates)
    assert resolve_entry(view, wanted.hex()[:20]) == wanted


def test_a_search_does_not_walk_through_the_ledger(market: Kept) -> None:
    """However many entries there are, only keys that begin so are looked at."""
    seen = []

    class Counting(Twins):
        def iterate(
            self, prefix: bytes = b"", *, start: bytes | None = None, reverse: bool = False
        ) -> Iterator[tuple[bytes, bytes]]:
            for row in super().iterate(prefix, start=start, reverse=reverse):
                seen.append(row)
                yield row

    view = market.look()
    assert isinstance(market.store, MemoryStore)
    view.archive = type(view.archive)(Counting(market.store, []))
    resolve_entry(view, market.marks["deal"].hex()[:6])
    assert len(seen) == 1


# -- members -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["Bo Li", "bo li", " BO  LI ", "Ｂｏ Ｌｉ"])
def test_a_member_is_found_by_name(market: Kept, text: str) -> None:
    """Case, width and blanks do not matter."""
    assert resolve_member(market.look(), text) == market.people["bo"].member


def test_a_member_is_found_by_digits(market: Kept) -> None:
    """Six are enough, the whole id is as well."""
    for person in market.people.values():
        for digits in (6, 9, 64):
            assert resolve_member(market.look(), person.member.hex()[:digits]) == person.member


@pytest.mark.parametrize("text", ["", " ", "nobody", "b", "Bo L", "abc", "ffffffff"])
def test_who_is_not_there_is_not_found(market: Kept, text: str) -> None:
    """Part of a name is no name."""
    assert refusal(market.look(), text).reason == "not-found"


def test_a_name_in_other_letters_is_refused_with_what_it_looks_like(market: Kept) -> None:
    """Somebody pasted it from elsewhere: who is meant is shown and not guessed."""
    error = refusal(market.look(), "Ве Li".replace("е", "о"))
    assert error.reason == "not-found"
    assert error.candidates == (f"Bo Li ({market.people['bo'].member.hex()[:8]})",)


@pytest.mark.parametrize("twin", ["Ａnna", "anna ", "Аnna", "ANNA", "Änna", "An\u200bna", "Anna"])
def test_a_name_that_looks_like_another_is_refused(twin: str) -> None:
    """Also where it is exactly one of the two: the person sees no difference."""
    kept = kept_market("anna", "evil", names={"anna": "Anna", "evil": twin})
    for typed in ("Anna", twin):
        error = refusal(kept.look(), typed)
        assert error.reason == "ambiguous"
        assert len(error.candidates) == 2
        assert all(any(member.hex()[:8] in each for each in error.candidates) for member in two_of(kept))
    for member in two_of(kept):
        assert resolve_member(kept.look(), member.hex()[:8]) == member


def two_of(kept: Kept) -> tuple[bytes, bytes]:
    return kept.people["anna"].member, kept.people["evil"].member


def test_whoever_was_refused_is_named_by_digits_and_has_no_claim_on_a_name() -> None:
    """The error says by which; another who comes by that name is meant by it."""
    kept = kept_market("bo")
    gone = kept.applied("cy")
    kept.do("ana", Refuse(member=gone))
    kept.seal()
    error = refusal(kept.look(), "cy")
    assert (error.reason, error.candidates) == ("not-found", (f"cy ({gone.hex()[:8]})",))
    assert "refused" in error.hint
    assert resolve_member(kept.look(), gone.hex()[:8]) == gone
    assert "refused" not in refusal(kept.look(), "nobody").hint


def test_a_name_that_is_the_beginning_of_anothers_id_is_refused() -> None:
    """A name may consist of such digits; then it means two members."""
    kept = kept_market("bo")
    digits = kept.people["bo"].member.hex()[:6]
    kept = kept_market("bo", "cy", names={"cy": digits})
    assert kept.people["bo"].member.hex().startswith(digits)
    assert refusal(kept.look(), digits).reason == "ambiguous"


def test_a_hostile_name_is_escaped_in_the_error() -> None:
    """What a terminal would obey is never printed."""
    kept = kept_market("anna", "evil", names={"anna": "Anna", "evil": "An\x1bna"})
    error = refusal(kept.look(), "Anna")
    assert "\x1b" not in str(error)
    assert "An\\x1bna" in str(error)
    assert "\x1b" not in str(refusal(kept.look(), "no\x1bbody"))
