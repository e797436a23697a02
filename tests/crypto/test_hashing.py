"""The tagged hash: exact bytes, and tags that cannot be mixed up."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.hashing import HASH_SIZE_BYTES, tagged_hash

_TAGS = st.text(st.characters(min_codepoint=1, max_codepoint=127), min_size=1, max_size=20)


@given(_TAGS, st.binary(max_size=200))
def test_hash_is_sha256_of_prefix_tag_nul_and_data(tag: str, data: bytes) -> None:
    """As the specification writes it, with no help of the cache behind it."""
    expected = sha256(b"tallystick/1/" + tag.encode() + b"\0" + data).digest()
    assert tagged_hash(tag, data) == expected
    assert len(expected) == HASH_SIZE_BYTES


def test_known_value() -> None:
    """One value written down: a change of it changes every ledger."""
    assert tagged_hash("entry", b"").hex() == sha256(b"tallystick/1/entry\0").hexdigest()
    assert tagged_hash("entry", b"").hex() == "efc73f05c21fc109adb1e0fbc64f744fbce36f482a21b1ab315785d5bf01b322"


@given(_TAGS, _TAGS, st.binary(max_size=40), st.binary(max_size=40))
def test_tag_and_data_do_not_run_together(tag: str, other: str, data: bytes, rest: bytes) -> None:
    """Only the same tag with the same data has the same hash."""
    same = (tag, data) == (other, rest)
    assert (tagged_hash(tag, data) == tagged_hash(other, rest)) is same
    if data:
        moved = tag + chr(data[0] % 127 + 1)
        assert tagged_hash(moved, data[1:]) != tagged_hash(tag, data)


@pytest.mark.parametrize("tag", ["", "a\0b", "\0", "käse", "é"])
def test_a_tag_is_a_word_of_the_program(tag: str) -> None:
    """Empty, with NUL, or not ASCII: a bug of ours, and loud."""
    with pytest.raises(ValueError, match="hash tag"):
        tagged_hash(tag, b"")


def test_many_tags_do_not_disturb_one_another() -> None:
    """More tags than the cache holds, twice around."""
    tags = [f"tag{number}" for number in range(150)]
    first = [tagged_hash(tag, b"x") for tag in tags]
    assert [tagged_hash(tag, b"x") for tag in tags] == first
    assert len(set(first)) == len(tags)
