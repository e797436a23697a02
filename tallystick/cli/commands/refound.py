"""Founding a ledger anew: one document goes from hand to hand, and each does the next thing with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import ask, keys, output
from tallystick.cli.client import Client
from tallystick.cli.command import TRIES, argument, command, option
from tallystick.cli.errors import UsageError
from tallystick.cli.files import read_text
from tallystick.cli.reads import open_home
from tallystick.cli.text import clean, plural, short, stamp
from tallystick.node.clock import now_ms
from tallystick.node.file_errors import unwritable

if TYPE_CHECKING:
    from tallystick.cli.options import Options

_BYTES_MAX: Final = 512 * 1024
_QUESTIONS: Final = {
    "propose": "Propose to found {name} anew on block #{height}, and sign for it? "
    "This computer then seals nothing more on the old ledger.",
    "sign": "Sign for founding {name} anew on block #{height}, by {founder}? "
    "This computer then seals nothing more on the old ledger.",
    "found": "It is {date} on this computer. Found {name} anew on block #{height}?",
    "join": "Join {name}, founded anew on block #{height}? This computer then seals nothing more on the old ledger.",
}


def _refound(options: Options, file: str | None, bundle: str | None, passphrase_file: str | None) -> int:
    home = open_home(options)
    client = Client(home, options)
    if file is None:
        if bundle is not None:
            raise UsageError("--bundle goes with a FILE")
        return _rejoin(options)
    path = Path(file).expanduser()
    text = read_text(path, bytes_max=_BYTES_MAX) if path.exists() else None
    args: dict[str, Any] = {} if text is None else {"document": text}
    if bundle is not None:
        from tallystick.cli.commands.bundle import bundle_args

        source = bundle_args(options, bundle, passphrase_file)
        args |= {"bundle": source.pop("path")} | source
    trial = client.unsigned("refound", {**args, "dry_run": True})
    if options.dry_run or trial["step"] == "wait":
        _show(trial, options, path, dry=options.dry_run)
        return 0
    if not options.json:
        output.note(options, _facts(trial))
    ask.confirm(options, _question(trial))
    answer = client.with_key("refound", args, keys.signing_key(home, options))
    if answer["step"] != "join":
        _write(path, answer["document"])
    _show(answer, options, path, dry=False)
    return 0


def _rejoin(options: Options) -> int:
    from tallystick.cli.writes import perform

    return perform("rejoin", {}, options)


def _question(answer: dict[str, Any]) -> str:
    return _QUESTIONS[answer["step"]].format(
        name=clean(answer["name"]),
        height=answer["height"],
        founder=clean(answer["founder"] or "somebody"),
        date=stamp(now_ms()),
    )


def _write(path: Path, text: str) -> None:
    """The new document in the place of the old one: one of the two is there at every moment."""
    beside = path.with_name(path.name + ".new")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _facts(answer: dict[str, Any]) -> str:
    signed = ", ".join(clean(row["name"] or short(row["partner"])) for row in answer["signed"]) or "nobody"
    block = f"block #{answer['height']} {short(answer['block'])}, state root {short(answer['state_root'])}"
    count = f"{len(answer['signed'])} of {plural(answer['partners'], 'partner')}, {answer['needed']} are needed"
    lines = [
        f"{clean(answer['name'])}: ledger {short(answer['ledger'])}, {block}",
        f"signed by {signed}: {count}",
    ]
    if answer["pending"]:
        lines.append(
            f"{plural(answer['pending'], 'entry', 'entries')} here that no block holds will not be in it: "
            "write them again when you have joined"
        )
    return "\n".join(lines)


def _show(answer: dict[str, Any], options: Options, path: Path, *, dry: bool) -> None:
    if options.json:
        output.result_json({key: value for key, value in answer.items() if key != "document"} | {"file": str(path)})
        return
    if dry:
        what = "nothing to do but wait" if answer["step"] == "wait" else answer["step"]
        output.result(f"nothing was signed\nnext with this document: {what}\n{_facts(answer)}")
        return
    output.result(f"{_did(answer)}\n{_facts(answer)}")
    output.note(options, _next(answer, clean(str(path))))


def _did(answer: dict[str, Any]) -> str:
    name, new = clean(answer["name"]), short(answer["new_ledger"] or "")
    match answer["step"]:
        case "propose":
            return f"you propose to found {name} anew, and have signed for it"
        case "sign":
            return f"you have signed for founding {name} anew"
        case "found":
            return f"{name} is founded anew: ledger {new}, sealed in #{answer['height'] + 1}"
        case "join":
            return (
                f"you have joined {name}: ledger {new}" if answer["joined"] else f"{name} will be fetched: ledger {new}"
            )
    return f"you have signed; {name} is not founded anew yet"


def _next(answer: dict[str, Any], file: str) -> str:
    lacking = answer["needed"] - len(answer["signed"])
    match answer["step"]:
        case "found":
            return f"give {file} to all partners: `tally re-found {file}` joins; then start `tally node` anew"
        case "join" if answer["joined"]:
            return "start `tally node` anew: it meets the others in the new ledger"
        case "join":
            return "start `tally node` anew, and when it has the ledger: `tally re-found` joins"
    if lacking > 0:
        return f"give {file} to the others: {plural(lacking, 'partner')} must sign it with `tally re-found {file}`"
    return f"enough have signed: {clean(answer['founder'] or 'the founder')} founds it with `tally re-found {file}`"


re_found: Final = command(
    "re-found",
    "Found a lost or forked ledger anew: take the next step with FILE, which goes round.",
    argument("FILE", needed=False),
    option("--bundle", metavar="FILE", about="Look at the ledger in this bundle: for whoever has the other branch."),
    option("--passphrase-file", metavar="FILE", about="The bundle's passphrase is its first line."),
    dry=TRIES,
)(_refound)
