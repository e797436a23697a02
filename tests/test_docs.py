"""What the documents say is so: places that code cites exist, tables are those of the code, sessions run as written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tallystick.cli import app
from tallystick.crypto.errors import KeystoreReason, SignatureReason, TextReason
from tallystick.crypto.signatures import SignType
from tallystick.node.errors import ExitCode
from tallystick.node.reads import READ_ARGS
from tallystick.node.service_args import OWN_ARGS
from tallystick.node.writes import WRITES
from tallystick.protocol.charter import read_charter
from tallystick.protocol.errors import BlockReason, Reason
from tallystick.protocol.kinds.table import KINDS
from tallystick.protocol.state import State
from tests import docs_tables
from tests.docs_runner import Session, steps_of
from tests.docs_tables import DOCS, ROOT

SPEC = DOCS / "spec"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "changelog.d").glob("*.md")])
SOURCES = sorted(
    path for folder in ("tallystick", "tests", "benchmarks", "scripts") for path in (ROOT / folder).rglob("*.py")
)
_CITED = re.compile(r"\bdocs/([a-zA-Z0-9_/-]+\.md)(?:#([a-z0-9-]+))?")
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose_of(path: Path) -> str:
    """A page without what stands in fences."""
    return re.sub(r"^```.*?^```$", "", text_of(path), flags=re.MULTILINE | re.DOTALL)


def anchors_of(path: Path) -> set[str]:
    """The anchors that headings make, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose_of(path)):
        words = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def section_of(path: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of its level."""
    text = text_of(path)
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert match is not None, f"{path.name} has no section {heading!r}"
    rest = text[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


# -- places -----------------------------------------------------------------------------------------------------------


def cited() -> Iterator[tuple[str, str, str]]:
    """(source, page, anchor) of every place that code names."""
    for path in SOURCES:
        for page, anchor in _CITED.findall(text_of(path)):
            yield str(path.relative_to(ROOT)), page, anchor


def test_every_cited_place_exists() -> None:
    """Whoever follows `Source:` finds a section there."""
    wrong = []
    for source, page, anchor in cited():
        path = DOCS / page
        if not path.exists() or (anchor and anchor not in anchors_of(path)):
            wrong.append(f"{source}: docs/{page}#{anchor}")
    assert wrong == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    """A link inside the repository names a file that is there, and a heading in it."""
    wrong = []
    for target in _LINK.findall(prose_of(path)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists() or (anchor and anchor not in anchors_of(there)):
            wrong.append(target)
    assert wrong == []


def test_every_named_file_of_the_code_exists() -> None:
    """A page that says where to look is right about it."""
    named = re.compile(r"`((?:tallystick|tests|benchmarks|scripts)/[a-z_/]+\.(?:py|toml|json))`")
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PAGES
        for name in named.findall(text_of(path))
        if not (ROOT / name).exists()
    ]
    assert wrong == []


def test_every_named_test_exists() -> None:
    """A claim of protection names the test that shows it."""
    wrong = []
    for path in PAGES:
        for name, test in re.findall(r"`(tests/[a-z0-9_/]+\.py)(?:::(\w+))?`", text_of(path)):
            source = ROOT / name
            if not source.exists() or (test and f"def {test}(" not in text_of(source)):
                wrong.append(f"{path.relative_to(ROOT)}: {name}::{test}")
    assert wrong == []


def test_the_index_leads_to_every_page() -> None:
    """Nothing is written that nobody finds."""
    index = DOCS / "index.md"
    linked = {(index.parent / target.partition("#")[0]).resolve() for target in _LINK.findall(text_of(index))}
    assert {path for path in DOCS.rglob("*.md") if path != index} - linked == set()


def test_pages_have_one_sentence_a_line() -> None:
    """So a change of one sentence is a change of one line; a crude look, for the worst."""
    wrong = []
    for path in DOCS.rglob("*.md"):
        for line in prose_of(path).splitlines():
            if line.startswith("|"):
                continue
            if len(re.findall(r"[a-z)`]{2}\. [A-Z]", line)) > 2:
                wrong.append(f"{path.relative_to(ROOT)}: {line[:60]}")
    assert wrong == []


# -- tables -----------------------------------------------------------------------------------------------------------


def test_tables_are_those_of_the_code() -> None:
    """Where one is stale, `python -m tests.docs_tables` writes it anew."""
    stale = [path for path in DOCS.rglob("*.md") if docs_tables.renewed(text_of(path)) != text_of(path)]
    assert stale == [], "python -m tests.docs_tables writes them anew"


def test_every_table_has_its_place_once() -> None:
    """A table that no page shows is forgotten."""
    names = [name for path in DOCS.rglob("*.md") for name in docs_tables.places(text_of(path))]
    assert sorted(names) == sorted(docs_tables.TABLES)


def test_every_row_of_the_state_is_described() -> None:
    """Another implementation has to have the very same rows."""
    rooted = {name for name, table in State().tables.items() if table.rooted}
    assert rooted == docs_tables.KEYS.keys()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_its_section(kind: str) -> None:
    """With every field of its body."""
    section = section_of(SPEC / "kinds.md", kind)
    for name in KINDS[kind].__struct_encode_fields__:
        assert f"\n| {name} |" in section, name


# -- words ------------------------------------------------------------------------------------------------------------


def words_in(*pages: str) -> set[str]:
    """Everything that stands in code marks."""
    return {word for page in pages for word in re.findall(r"`([^`\n]+)`", text_of(SPEC / page))}


def test_every_reason_is_explained() -> None:
    """The words are protocol: each stands in a page, with what it means."""
    words = words_in("encoding.md", "entries.md", "charter.md", "finality.md", "membership.md")
    for reasons in (Reason, BlockReason, SignatureReason, KeystoreReason, TextReason):
        assert {reason.value for reason in reasons} - words == set()


def test_every_reason_to_be_void_is_in_its_table() -> None:
    """Reasons of rules are in one table; those of bytes and structure are in theirs."""
    section = section_of(SPEC / "charter.md", "Reasons")
    elsewhere = words_in("encoding.md", "entries.md")
    for reason in Reason:
        assert f"`{reason.value}`" in section or reason.value in elsewhere, reason.value


def test_every_type_of_signature_is_listed() -> None:
    """What is signed for one thing serves no other."""
    assert {each.value for each in SignType} <= words_in("encoding.md")


def test_every_command_is_described() -> None:
    """Groups with all that is in them."""
    page = text_of(SPEC / "cli.md")
    for name in app.MODULES:
        found = app.find_command(name)
        assert found is not None
        names = [f"{name} {each}" for each in found.commands] if isinstance(found, click.Group) else [name]
        for each in names:
            assert f"`tally {each}" in page, each


def test_every_exit_code_is_described() -> None:
    """Programs go by them."""
    section = section_of(SPEC / "cli.md", "Exit codes")
    for code in ExitCode:
        assert f"| {code.value} |" in section, code


def test_every_operation_is_described() -> None:
    """The local interface and the command line have the same ones."""
    page = text_of(SPEC / "api.md")
    for name in (*READ_ARGS, *WRITES, *OWN_ARGS):
        assert f"| `{name}` |" in page, name


def test_the_charter_that_shows_every_key_is_one() -> None:
    """It validates, and has every key there is."""
    block = re.search(r"```toml\n(charter = 1.*?)```", text_of(SPEC / "charter.md"), re.DOTALL)
    assert block is not None
    document = tomllib.loads(block[1])
    read_charter(document)
    table = section_of(SPEC / "charter.md", "Document")
    for path in re.findall(r"^\| `([a-z-]+(?:\.[a-z-]+)?)` \|", table, re.MULTILINE):
        name, _, key = path.partition(".")
        value = document[name]
        assert not key or key in (value[0] if isinstance(value, list) else value), path


# -- sessions ---------------------------------------------------------------------------------------------------------

GUIDES = [path for path in sorted((DOCS / "guide").glob("*.md")) if steps_of(text_of(path))]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_guides_run_as_written(path: Path, tmp_path: Path) -> None:
    """Every command of a guide, on the real command line, says what the page says."""
    assert Session(tmp_path).run(text_of(path)) >= 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_session_of_the_readme_runs_as_written(tmp_path: Path) -> None:
    """Two nodes on this machine, for five minutes of a person and some seconds of a test."""
    assert Session(tmp_path).run(text_of(ROOT / "README.md")) > 10


def test_a_session_that_says_something_else_is_found(tmp_path: Path) -> None:
    """A runner that agrees with everything would prove nothing."""
    said = "```console\n$ echo 35678ba4 and 35678ba4\n12345678 and 12345678\n$ echo 12345678 x\n12345678 x\n```\n"
    Session(tmp_path).run(said)
    for wrong in (
        "```console\n$ echo one\ntwo\n```\n",
        "```console\n$ echo one\n```\n",
        "```console\n$ echo 35678ba4 7c46b413\n12345678 12345678\n```\n",
    ):
        folder = tmp_path / str(len(wrong))
        folder.mkdir()
        with pytest.raises(AssertionError, match="expected"):
            Session(folder).run(wrong)


def test_sessions_are_read_as_they_stand() -> None:
    """Files, commands, and what each says."""
    steps = steps_of("x\n```toml file=a.toml\nb = 1\n```\n```console\n$ one\nsaid\n$ two &\n```\n")
    assert [(step.file, step.command, step.text) for step in steps] == [
        ("a.toml", "", "b = 1\n"),
        ("", "one", "said\n"),
        ("", "two &", ""),
    ]
