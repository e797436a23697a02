"""The rules of the house that no tool knows, each shown to catch what it is for."""

import ast
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINES_MAX = 600
NOT_OURS = {".git", ".venv", "__pycache__", "build", "dist", "node_modules"}

NOTHING_ON_PURPOSE = {
    # What the library would do by itself is switched off by doing nothing in its place.
    "tallystick/node/net_host.py: _schedule_auto_connect is only a promise",
    "tallystick/node/net_host.py: _schedule_prune is only a promise",
    "tallystick/node/net_host.py: _schedule_identify is only a promise",
    # Most kinds of entry need no check beyond their schema.
    "tallystick/protocol/kinds/base.py: check is only a promise",
}

TELLS_THE_TIME = {
    # What has to do with a ledger asks this one, so that tests can play an evening in a minute.
    "tallystick/node/clock.py",
    # How old a file is: the file system's time.
    "tallystick/cli/keys.py",
    # Whether this machine slept: its own clock against the loop's.
    "tallystick/node/transport_libp2p.py",
    # A number that grows over restarts, and no time.
    "tallystick/node/net_gossip.py",
    # A program of its own, which imports nothing of the node.
    "tallystick/cli/proof_check.py",
}

Check = Callable[[str], list[str]]


def files_of(*suffixes: str, under: str = ".") -> list[Path]:
    """Return the project's files, without what tools leave behind; all of them when no suffix is named."""
    found = []
    for folder, folders, names in os.walk(ROOT / under):
        folders[:] = [
            name
            for name in folders
            if name not in NOT_OURS and not name.endswith((".egg-info", "_cache")) and name != ".hypothesis"
        ]
        found += [Path(folder, name) for name in names if not suffixes or name.endswith(suffixes)]
    return sorted(found)


def read(path: Path) -> str:
    """Return a file as text; bytes that are none are shown, so that a name cannot hide behind them."""
    return path.read_text(encoding="utf-8", errors="backslashreplace")


def problems(paths: list[Path], check: Check) -> list[str]:
    """Return what a check says of files, each with its place."""
    assert paths, "a check of no files would always pass"
    return [f"{path.relative_to(ROOT)}: {each}" for path in paths for each in check(read(path))]


def too_long(text: str) -> list[str]:
    """A module that nobody reads to its end hides a second noun."""
    count = len(text.splitlines())
    return [f"{count} lines, at most {LINES_MAX}"] if count > LINES_MAX else []


def without_docstring(text: str) -> list[str]:
    """A module says first what lives in it."""
    return [] if ast.get_docstring(ast.parse(text)) else ["no docstring"]


# Put together here, so that this file does not hold what it looks for.
_UNFINISHED = re.compile(rf"\b({'TO' + 'DO'}|{'FIX' + 'ME'}|{'X' * 3}|{'HA' + 'CK'})\b")


def unfinished(text: str) -> list[str]:
    """Work is finished or it is an issue in the tracker, never a note in a file."""
    return [
        f"line {number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if _UNFINISHED.search(line)
    ]


_NULL = re.compile(r"_?(?:No|Null)[A-Z]")


def hollow(text: str) -> list[str]:
    """A body that does nothing: `pass`, `...` where no interface is described, or an error that says 'not yet'."""
    return [f"line {line}: {what}" for line, what in _hollow_in(ast.parse(text), interface=False)]


def _hollow_in(node: ast.AST, *, interface: bool) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.ClassDef):
        # A null object, which stands where something may be missing, says so in its name.
        interface = any(_last_name(base) == "Protocol" for base in node.bases) or bool(_NULL.match(node.name))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        named = {_last_name(each) for each in node.decorator_list}
        body = [each for each in node.body if not _is_docstring(each)]
        if any(isinstance(each, ast.Pass) for each in body):
            yield node.lineno, f"{node.name} does nothing"
        promise = all(_is_dots(each) for each in body) and (body or not isinstance(node, ast.ClassDef))
        if promise and not interface and not named & {"overload", "abstractmethod"}:
            yield node.lineno, f"{node.name} is only a promise"
    if isinstance(node, ast.Name) and node.id == "NotImplementedError":
        yield node.lineno, node.id
    for child in ast.iter_child_nodes(node):
        yield from _hollow_in(child, interface=interface)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_dots(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is Ellipsis


def _last_name(node: ast.expr) -> str:
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


_EXCUSES = {("pytest", "skip"), ("pytest", "xfail"), ("pytest", "importorskip"), ("unittest", "skip")}
_EXCUSES |= {("mark", "skip"), ("mark", "skipif"), ("mark", "xfail"), ("time", "sleep")}


def excuses(text: str) -> list[str]:
    """A test that waits for luck, or that passes by not running."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and (_last_name(node.value), node.attr) in _EXCUSES:
            found.append(f"line {node.lineno}: {_last_name(node.value)}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            names = [each.name for each in node.names if (node.module, each.name) in _EXCUSES]
            found += [f"line {node.lineno}: {node.module}.{name}" for name in names]
    return found


_CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


def clocks(text: str) -> list[str]:
    """A look at the clock on the wall."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and (_last_name(node.value), node.attr) in _CLOCKS:
            found.append(f"line {node.lineno}: {_last_name(node.value)}.{node.attr}")
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found += [f"line {node.lineno}: time.{each.name}" for each in node.names if ("time", each.name) in _CLOCKS]
    return found


_FOREIGN = re.compile(
    "|".join(
        [
            "py" + r"pi\.org",
            "python" + r"hosted\.org",
            "(?:registry|repo)" + r"\.(?:npmjs|yarnpkg)\.",
            "static" + r"\.crates\.io",
            r"--(?:extra-)?" + r"index-url\s",
            r"(?<![\w.])/" + r"(?:wo" + r"rk|ro" + r"ot|ho" + r"me|Us" + r"ers|op" + r"t|m" + r"nt)/\w",
            r"\bsha" + r"red/(?:design|notes|hooks|style)",
            r"/tm" + r"p/(?:plan|w\d)",
        ]
    )
)


def foreign(text: str) -> list[str]:
    """A place that only exists on one machine, or a registry that a mirror may stand in for."""
    return [
        f"line {number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if _FOREIGN.search(line)
    ]


CODE = files_of(".py", under="tallystick")
TESTS = files_of(".py", under="tests")


def test_no_module_is_too_long() -> None:
    """Past a few hundred lines a module has a second noun in it."""
    assert problems(files_of(".py"), too_long) == []


def test_every_module_says_what_it_is() -> None:
    """Each module begins with what lives in it."""
    assert problems(CODE + TESTS, without_docstring) == []


def test_nothing_is_left_for_later() -> None:
    """No note of unfinished work anywhere, in documents neither."""
    assert problems(files_of(".py", ".md", ".toml", ".sh", ".html", ".js", ".css", "Makefile"), unfinished) == []


def test_no_body_is_hollow() -> None:
    """Everything that has a name does something, but for the few places where nothing is the point."""
    found = [each for each in problems(CODE, hollow) if re.sub(r"line \d+: ", "", each) not in NOTHING_ON_PURPOSE]
    assert found == []


def test_no_test_waits_or_excuses_itself() -> None:
    """Tests run everywhere, all of them, and wait for events instead of time."""
    assert problems(TESTS, excuses) == []


def test_one_module_tells_the_time() -> None:
    """Whoever replaces one clock has replaced them all."""
    found = {each.partition(": ")[0] for each in problems(CODE, clocks)}
    assert found == TELLS_THE_TIME


def test_nothing_names_a_place_outside() -> None:
    """The repository works wherever it is put, with whatever mirror a machine uses."""
    assert problems(files_of(), foreign) == []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (too_long, "x = 1\n" * (LINES_MAX + 1)),
        (without_docstring, "x = 1\n"),
        (without_docstring, "# a comment is no docstring\n"),
        (unfinished, "x = 1  # TO" + "DO: more\n"),
        (unfinished, "FIX" + "ME\n"),
        (hollow, "def f():\n    pass\n"),
        (hollow, "def f():\n    'says much'\n    pass\n"),
        (hollow, "def f():\n    'says much, does nothing'\n"),
        (hollow, "def f():\n    ...\n"),
        (hollow, "class A:\n    pass\n"),
        (hollow, "class Node:\n    def draw(self): ...\n"),
        (hollow, "class A:\n    async def f(self):\n        ...\n"),
        (hollow, "class A:\n    def f(self):\n        raise NotImplementedError\n"),
        (hollow, "def f():\n    raise NotImplementedError('later')\n"),
        (excuses, "import time\ntime.sleep(1)\n"),
        (excuses, "from time import sleep\n"),
        (excuses, "import pytest\n@pytest.mark.skip\ndef test(): assert 1\n"),
        (excuses, "import pytest\n@pytest.mark.skipif(True, reason='')\ndef test(): assert 1\n"),
        (excuses, "import pytest\n@pytest.mark.xfail()\ndef test(): assert 1\n"),
        (excuses, "import pytest\npytest.importorskip('x')\n"),
        (excuses, "import pytest\ndef test(): pytest.skip('no')\n"),
        (clocks, "import time\nnow = time.time_ns()\n"),
        (clocks, "from time import time\n"),
        (clocks, "import datetime\ndatetime.datetime.now(datetime.UTC)\n"),
        (clocks, "from datetime import date\ndate.today()\n"),
        (foreign, "see https://py" + "pi.org/p/x\n"),
        (foreign, "https://files.python" + "hosted.org/x.whl\n"),
        (foreign, "--index" + "-url https://mirror/simple\n"),
        (foreign, "open('/wo" + "rk/main/x')\n"),
        (foreign, "PATH=/ro" + "ot/bin\n"),
        (foreign, "cd /ho" + "me/ana/x\n"),
        (foreign, "as sha" + "red/design/x.md says\n"),
    ],
)
def test_each_check_finds_its_fault(check: Check, text: str) -> None:
    """A check that finds nothing in a planted fault would find nothing anywhere."""
    assert len(check(text)) == 1


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (too_long, "x = 1\n" * LINES_MAX),
        (without_docstring, '"""What lives here."""\n'),
        (unfinished, "todos = ['a method in prose']\n"),
        (hollow, "class P(Protocol):\n    def f(self) -> int:\n        'What it gives.'\n"),
        (hollow, "class P(Protocol[T]):\n    def f(self) -> int: ...\n"),
        (hollow, "class _NoLuck:\n    def draw(self): ...\n"),
        (hollow, "class E(Exception):\n    'What it means.'\n"),
        (hollow, "@overload\ndef f(x: int) -> int: ...\n"),
        (excuses, "async def test(): await trio.sleep(1)\n"),
        (excuses, "words.skip(1)\n"),
        (clocks, "import time\ntime.monotonic()\ntime.sleep(1)\n"),
        (clocks, "from time import localtime, strftime\n"),
        (foreign, "~/.local/share/tallystick and docs/work/x and a/home/b\n"),
    ],
)
def test_no_check_finds_fault_with_good_work(check: Check, text: str) -> None:
    """A check that cries at everything is soon ignored."""
    assert check(text) == []


def test_readme_names_the_two_commands() -> None:
    """Who arrives must see how to try it and how to check it."""
    readme = read(ROOT / "README.md")
    assert "make demo" in readme
    assert "make test" in readme


def test_every_make_command_in_the_documents_exists() -> None:
    """A document that names a command that is not there helps nobody."""
    targets = set(re.findall(r"^([a-z]+):", read(ROOT / "Makefile"), re.MULTILINE))
    named = {
        (path.name, target)
        for path in files_of(".md")
        for target in re.findall(r"(?:^|`)\s*make ([a-z]+)", read(path), re.MULTILINE)
    }
    assert {each for each in named if each[1] not in targets} == set()


def test_ci_runs_what_a_person_runs() -> None:
    """There is one list of checks, not one for people and one for machines."""
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert read(script).splitlines()[-1] == "exec make test"


@pytest.mark.parametrize("name", ["build", "run", "dev"])
def test_locks_have_exact_versions_and_hashes_only(name: str) -> None:
    """What is installed is what was locked, byte by byte, from wherever it comes."""
    entries = re.split(r"\n(?=[A-Za-z])", read(ROOT / "requirements" / f"{name}.lock").strip())
    for entry in entries:
        first, *rest = entry.splitlines()
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[^ ]+( ; .+)? \\", first), first
        assert rest, first
        assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in rest), first


def test_locks_cover_what_the_project_names() -> None:
    """A package that was added to the project without locking it would be missing on every new machine."""
    project = tomllib.loads(read(ROOT / "pyproject.toml"))
    groups = {"run": project["project"]["dependencies"], **project["dependency-groups"]}
    for lock, wanted in {"build": groups["build"], "run": groups["run"], "dev": groups["run"] + groups["dev"]}.items():
        locked = set(re.findall(r"^([A-Za-z0-9._-]+)==", read(ROOT / "requirements" / f"{lock}.lock"), re.MULTILINE))
        names = {re.split(r"[<>=~!;\[ ]", each)[0].lower() for each in wanted}
        assert names <= locked, f"run scripts/lock: {names - locked}"
