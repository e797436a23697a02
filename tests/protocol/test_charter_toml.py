"""Charters as text: the templates, and text that is none."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick.protocol.charter import TEXT_LENGTH_MAX, CharterError, Problem, read_charter, read_toml
from tallystick.protocol.charter_lint import check_partners, lint
from tallystick.protocol.charter_templates import TEMPLATES
from tests.support.charters import template, template_text

#: How many people each template says it is for.
MEANT_FOR = {"cafe": 200, "studio": 12, "community": 200, "relief": 20}


def problems_of(text: str) -> tuple[Problem, ...]:
    """What is wrong with a text."""
    with pytest.raises(CharterError) as caught:
        read_charter(read_toml(text))
    assert str(caught.value)
    return caught.value.problems


@pytest.mark.parametrize("name", sorted(MEANT_FOR))
def test_template_is_valid_and_clean(name: str) -> None:
    """Each template is a charter without warnings, and works for as many as it is meant for."""
    charter = template(name)
    assert lint(charter) == []
    assert check_partners(charter, MEANT_FOR[name]) == []


def test_all_templates_are_tested() -> None:
    """A template without a line above would not be tested."""
    assert set(MEANT_FOR) == set(TEMPLATES)


@pytest.mark.parametrize("name", sorted(MEANT_FOR))
def test_template_explains_itself(name: str) -> None:
    """A template is read by people first: it begins with what it is for, and a sixth of its lines say why."""
    lines = [line for line in template_text(name).splitlines() if line.strip()]
    assert all(line.startswith("#") for line in lines[:6])
    assert sum("#" in line for line in lines) * 6 >= len(lines)
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("name = ", "line 1, column 8"),
        ('name = "a"\nname = "b"', "line 2, column 11"),
        ("[points]\npool = 1\n[points]\n", "line 3, column 8"),
        ('name = "a\n', "line 1, column 10"),
        ('name = "a\x00"', "line 1, column 10"),
        ("\ufeffname = 1", "line 1, column 1"),
        ("[points\n", "line 1, column 8"),
        ("points = {pool = 1\n}", "line 1, column 19"),
    ],
)
def test_syntax_error_has_its_place(text: str, path: str) -> None:
    """A text that is no TOML is refused with line and column."""
    (problem,) = problems_of(text)
    assert problem.path == path
    assert problem.allowed.startswith("TOML (")


@pytest.mark.parametrize("text", ["1.5", "1e3", "nan", "inf", "-inf", "1979-05-27", "07:32:00", "1979-05-27T07:32:00Z"])
def test_number_with_a_point_and_date_are_refused(text: str) -> None:
    """No float and no date gets into a charter; the message shows what was written."""
    small = f'charter = 1\nname = "x"\n[points]\npool = 9\n[open]\nbudget = {text}\n'
    with pytest.raises(CharterError) as caught:
        read_toml(small)
    (problem,) = caught.value.problems
    assert problem.path == "open.budget"
    assert text[:10].removesuffix("Z") in str(problem)


def test_float_does_not_hide_other_mistakes() -> None:
    """Everything else that is wrong is reported with it."""
    text = 'charter = 1\nnmae = "x"\n[points]\npool = 1.5\n[[step]]\nid = "a"\nprice = -1\nbudget = [nan]\n'
    found = [problem.path for problem in problems_of(text)]
    assert found == ["nmae", "name", "points.pool", "step.a.price", "step.a.budget"]


HOSTILE: dict[str, str] = {
    "deep lists": "a=" + "[" * 20_000,
    "deep tables": "a=" + "{a=" * 20_000,
    "deep but closed": "a=" + "[" * 60 + "]" * 60,
    "dotted key": ".".join("a" * 100_000) + "=1",
    "dotted key with spaces": " . ".join("a" * 50_000) + "=1",
    "dotted key with quotes": ".".join(['"a"'] * 50_000) + "=1",
    "dotted header": "[" + ".".join("a" * 100_000) + "]",
    "dotted key in a table": "a={" + ".".join("a" * 50_000) + "=1}",
    "huge integer": "a=" + "9" * 100_000,
    "huge hexadecimal": "a=0x" + "f" * 100_000,
    "huge float": "a=1e" + "9" * 100_000,
    "long word": 'name="' + "a" * 200_000 + '"',
    "many quotes": '"' * 200_000,
    "too long": "#" * (TEXT_LENGTH_MAX + 1),
    "surrogate": 'name="\udc80"',
    "right to left": 'nam\u202ee="x"',
    "empty": "",
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_text_is_refused_soon(name: str) -> None:
    """Text made to hurt the parser is a charter error, in less time than anybody would notice."""
    before = time.process_time()
    problems = problems_of(HOSTILE[name])
    assert time.process_time() - before < 2
    assert all(len(str(problem)) < 600 for problem in problems)


def test_control_characters_are_not_echoed() -> None:
    """A message never passes a terminal escape on."""
    text = 'charter = 1\nname = "\\u001b[2J\\u202e"\n[points]\npool = 1\n[open]\nbudget = 1\n'
    (problem,) = problems_of(text)
    assert "\x1b" not in str(problem)
    assert "\u202e" not in str(problem)
    assert "\\u001b" in str(problem)


@given(st.text(max_size=200))
@settings(deadline=None)
def test_any_text_gives_a_document_or_reasons(text: str) -> None:
    """No text makes another error than the charter's own."""
    try:
        document: dict[str, Any] = read_toml(text)
    except CharterError as error:
        assert error.problems
    else:
        assert isinstance(document, dict)
