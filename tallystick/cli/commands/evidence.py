"""The evidence of a deal: what was delivered with it, fetched from whoever has it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import output
from tallystick.cli.client import Client
from tallystick.cli.command import TRIES, argument, command, no_dry_run, option
from tallystick.cli.errors import CommandError
from tallystick.cli.reads import open_home
from tallystick.node.errors import ExitCode
from tallystick.node.file_errors import unwritable

if TYPE_CHECKING:
    from tallystick.cli.options import Options

#: However large the files are; the node itself stops when nothing comes any more.
_WAIT_S: Final = 86_400.0
_NAME_LENGTH_MAX: Final = 80


def _evidence(options: Options, deal: str, add: tuple[str, ...], out: str | None) -> int:
    if options.dry_run and (add or out is not None):
        raise no_dry_run("copying a file signs nothing; without --add and --out nothing is copied")
    client = Client(open_home(options), options)
    answer = client.read("evidence", {"deal": deal})
    for each in add:
        path = Path(each).expanduser().absolute()
        answer = client.with_key("evidence_add", {"deal": deal, "path": str(path)}, None)
    problem: CommandError | None = None
    if not add and not options.dry_run and any(not row["here"] and not row["by_hand"] for row in answer["files"]):
        if client.has_node():
            answer = client.ask_node("evidence_get", {"deal": deal}, wait_s=_WAIT_S)
            problem = _left(answer)
        else:
            problem = CommandError(
                "no-node",
                "a file is missing here, and only a running node can fetch it",
                hint="`tally node`, and ask again; or have the file handed over, and `--add` it",
                exit_code=ExitCode.OFFLINE,
            )
    if out is not None:
        _write_out(answer["files"], Path(out).expanduser())
    if options.json:
        output.result_json(answer)
    else:
        from tallystick.cli.render_evidence import evidence_text

        output.result(evidence_text(answer))
    if problem is not None:
        raise problem
    return 0


def _left(answer: dict[str, Any]) -> CommandError | None:
    """What could not be had, or None where everything is here that this member may have."""
    left = [row for row in answer["files"] if row.get("error")]
    if not left:
        return None
    why = "; ".join(sorted({str(row["error"]) for row in left}))
    return CommandError(
        "evidence-missing",
        f"{len(left)} of {len(answer['files'])} files could not be had: {why}",
        hint=f"{answer['seller_name'] or 'the seller'}'s node has to run; what has come is kept",
        exit_code=ExitCode.OFFLINE,
    )


def _write_out(rows: list[dict[str, Any]], folder: Path) -> None:
    """Copies for the person. A name that somebody else chose becomes a plain name in this folder and nothing more."""
    import shutil

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for row in rows:
            row["written"] = None
            if not row["here"] or row["path"] is None:
                continue
            target = folder / plain_name(row["name"], row["sha256"])
            if target.exists() or target.is_symlink():
                # Something is there: the hash makes it another name, and what is there by that name is this file.
                target = folder / f"{row['sha256'][:16]}-{target.name}"
            if not target.exists():
                # Created here and now, or not at all: nothing that exists is overwritten, no link is followed.
                descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
                with os.fdopen(descriptor, "wb") as copy, Path(row["path"]).open("rb") as file:
                    shutil.copyfileobj(file, copy)
            row["written"] = str(target)
    except OSError as error:
        raise unwritable(folder, error) from error


def plain_name(name: str | None, digest: str) -> str:
    """A name of somebody else as a name that no system finds a meaning in: letters, digits, dots, dashes."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in last)
    stem, dot, kind = kept.lstrip("._-").rpartition(".")
    if not stem:
        stem, dot, kind = kind, "", ""
    stem = stem[: _NAME_LENGTH_MAX - len(kind[:16])].rstrip("._-")
    # Some systems have devices that are called `con` or `nul`, whatever the ending.
    return f"{stem}-{digest[:8]}{dot}{kind[:16]}" if stem else digest


evidence: Final = command(
    "evidence",
    "The files that were delivered in a deal; those that are not here are fetched. It takes a running node.",
    argument("DEAL"),
    option("--out", metavar="DIR", about="Write copies into this folder. Nothing that exists is overwritten."),
    option(
        "--add", multiple=True, metavar="FILE", about="Keep this file here, which was handed over. May be repeated."
    ),
    dry=TRIES,
)(_evidence)
