"""What is printed: JSON that a terminal can be shown, and no complaint when nobody reads."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli import output

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(VALUES)
def test_json_means_the_same_and_does_no_harm(value: Any) -> None:
    """What is not printable is escaped, and reads back as it was."""
    text = output.to_json(value)
    assert text.isprintable()
    assert json.loads(text) == value


def test_json_escapes_what_turns_the_line() -> None:
    """A name with bidirectional characters cannot reorder the output."""
    assert output.to_json({"name": "a\u202eb李"}) == '{"name": "a\\u202eb李"}'


def test_stream_without_the_letter_gets_an_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that only knows ASCII is no reason to fail, and JSON stays JSON there."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    output.result("é")
    output.result_json({"name": "é"})
    assert stream.buffer.getvalue() == b'\\xe9\n{"name": "\\u00e9"}\n'
