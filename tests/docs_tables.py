"""Tables of the documents that are made from the code, so that they cannot say something else.

A document has the places marked:

    <!-- table: charter-keys -->
    ...
    <!-- end -->

`python -m tests.docs_tables` writes them anew; `test_docs` says where one is stale.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from tallystick.cli import app
from tallystick.node import config, layout
from tallystick.node.reads import POSTED, READ_ARGS
from tallystick.node.service_args import OWN_ARGS
from tallystick.node.writes import WRITES
from tallystick.protocol import (
    charter,
    charter_fields,
    records,
    records_deal,
    records_device,
    records_governance,
    records_money,
    records_refounding,
)
from tallystick.protocol.devices import Cut
from tallystick.protocol.kinds import deliver, refound
from tallystick.protocol.kinds.base import Body
from tallystick.protocol.kinds.table import KINDS
from tallystick.protocol.state import State
from tallystick.protocol.ticks import TICKS

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
_PLACE: Final = re.compile(r"<!-- table: ([a-z-]+) -->\n.*?<!-- end -->", re.DOTALL)

#: How the key of a row is written after the name of its table.
KEYS: Final = {
    "charter": "",
    "rules": "",
    "founded": "",
    "course": "",
    "amendment": "",
    "duty": "",
    "acct": "commodity/account",
    "lots": "member",
    "member": "member",
    "device": "signing key",
    "key": "key",
    "sealer": "number",
    "invite": "entry",
    "offer": "entry",
    "deal": "entry",
    "corrected": "deal",
    "draw": "deal",
    "claim": "entry",
    "money": "entry",
    "correction": "entry",
    "report": "term start/member",
    "count": "rule/period/who",
    "due": "time/number",
    "held": "time/number",
    "refounded": "",
    "awaited": "member",
    "fork": "signing key",
    "proposal": "entry",
    "erased": "entry",
    "recovery": "entry",
    "total": "name",
}
#: Words in the annex of an entry, beside the salt.
WORDS: Final = {
    "found": "name",
    "join": "name",
    "offer": "title, note",
    "deliver": "note, files (names of the evidence, in its order), public (true: every member may have the files)",
    "return": "note",
    "reject": "reason",
    "device.add": "label",
    "recover.request": "name",
}
#: What a kind says, where one file holds several.
SAYS: Final = {
    "away": "A member is not there until a date: no panel, no duty, no sealing, and longer reviews.",
    "back": "A member that was away is there again.",
    "device.add": "A member adds a device of its own, whose two keys sign that they agree.",
    "paid": "Money that the venture owes a member has been handed over.",
    "received": "A member says that it has received what it was paid.",
    "recover.approve": "A partner confirms that whoever asks for new keys is the same person.",
    "refound": "A ledger goes on with the state of another, which at least half of its partners have signed for.",
    "rejoin": "A member of the ledger before joins the one that was founded anew.",
    "sealer.on": "A partner asks that its device seals.",
    "sealer.off": "A partner's device stops to seal.",
}
_TYPES: Final = {
    "Bytes32": "bin 32",
    "_Key": "bin 32",
    "Bytes64": "bin 64",
    "bytes": "bin",
    "Moment": "int, ms",
    "Positive": "int from 1",
    "Amount": "int from 0",
    "Units": "int, 1 to 10^9",
    "Code": "str, `[a-z][a-z0-9-]{0,31}`",
    "CurrencyCode": "str, `[A-Z]{3}`",
}


# -- the source of a class: its fields with their docstrings ----------------------------------------------------------


def _fields_of(cls: type) -> Iterator[tuple[str, ast.expr, ast.expr | None, str]]:
    """(name, annotation, default, docstring) of each field, in the order written."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(cls)))
    body = typing.cast("ast.ClassDef", tree.body[0]).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if "ClassVar" in ast.unparse(node.annotation):
                continue
            words = ""
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                words = " ".join(str(after.value.value).split())
            yield node.target.id, node.annotation, node.value, words


def _shown(annotation: ast.expr) -> str:
    """A type as the wire has it."""
    match annotation:
        case ast.BinOp(left=left, right=ast.Constant(value=None)):
            return f"{_shown(left)}, or nil"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=words)):
            return " \\| ".join(f"`{word.value}`" for word in words if isinstance(word, ast.Constant))
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, meta])):
            return _shown(inner) + _bounds(meta)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[inner, ast.Constant(value=value)])) if (
            value is ...
        ):
            return f"array of {_shown(inner)}"
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=each)):
            return f"[{', '.join(_shown(item) for item in each)}]"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, value])):
            return f"map of {_shown(key)} to {_shown(value)}"
        case ast.Name(id=name):
            literal = _LITERALS.get(name)
            return _TYPES.get(name) or literal or name
    return ast.unparse(annotation)


def _bounds(meta: ast.expr) -> str:
    if not isinstance(meta, ast.Call):
        return ""
    limits = {each.arg: ast.unparse(each.value).replace("**", "^") for each in meta.keywords}
    low, high, length = limits.get("ge"), limits.get("le"), limits.get("max_length")
    if length:
        return f", at most {_number(length)}"
    if low and high == "2 ^ 63 - 1":
        return f" from {low}"
    return f", {low} to {high}" if low and high else ""


def _number(text: str) -> str:
    for module in (deliver, refound, charter, importlib.import_module("tallystick.protocol.kinds.device")):
        if hasattr(module, text):
            return str(getattr(module, text))
    from tallystick.protocol.evidence import EVIDENCE_SIZE_BYTES_MAX
    from tallystick.protocol.kinds.report import CURRENCIES_MAX

    return str({"EVIDENCE_SIZE_BYTES_MAX": EVIDENCE_SIZE_BYTES_MAX, "CURRENCIES_MAX": CURRENCIES_MAX}.get(text, text))


def _literals() -> dict[str, str]:
    found = {}
    for module in (records, records_deal, records_governance, records_money):
        for name, value in vars(module).items():
            if typing.get_origin(value) is typing.Literal:
                found[name] = " \\| ".join(f"`{word}`" for word in typing.get_args(value))
    return found


_LITERALS: Final = _literals()


def _default(node: ast.expr | None) -> str:
    if node is None:
        return ""
    text = ast.unparse(node)
    return {"None": "nil", "()": "empty", "b''": "empty", "''": "empty", "False": "false"}.get(text, text)


# -- the tables -------------------------------------------------------------------------------------------------------


def state_keys() -> str:
    """Every row of the state: its path and its record."""
    lines = ["| path | row |", "|---|---|"]
    for name, table in State().tables.items():
        if not table.rooted:
            continue
        key = KEYS[name]
        path = name + "".join(f"/<{part}>" for part in key.split("/")) if key else name
        # Page 0 is called by the member alone.
        path += "[/<page>]" if name == "lots" else ""
        row = table.decode.__self__.type
        inner = typing.get_args(row)
        if name in ("acct", "total"):
            shown = "[int]"
        elif inner:
            shown = f"array of {_link(inner[0])}"
        else:
            shown = _link(row)
        lines.append(f"| `{path}` | {shown} |")
    return "\n".join(lines)


def _link(cls: type) -> str:
    return f"[{cls.__name__}](#{cls.__name__.lower()})"


def _rows() -> list[type]:
    """The records of the state and those inside them, each once."""
    modules = (records, records_deal, records_money, records_governance, records_device, records_refounding)
    found: list[type] = []
    for module in modules:
        found += [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, records.Record)
            and value is not records.Record
            and value.__module__ == module.__name__
        ]
    return found


def state_rows() -> str:
    """The fields of every record."""
    parts = []
    for cls in _rows():
        lines = [
            f"#### {cls.__name__}",
            "",
            _first_line(cls),
            "",
            "| # | field | type | meaning |",
            "|---|---|---|---|",
        ]
        for number, (name, annotation, _, words) in enumerate(_fields_of(cls)):
            lines.append(f"| {number} | {name} | {_shown(annotation)} | {words} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _first_line(cls: type) -> str:
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())


def charter_keys() -> str:
    """Every key of a charter with its default and what it may be."""
    lines = ["| key | default | allowed |", "|---|---|---|"]
    lines += _keys_of(charter.Charter, "")
    return "\n".join(lines)


def _keys_of(cls: type, path: str) -> Iterator[str]:
    calls = {name: value for name, _, value, _ in _fields_of(cls)}
    for field in dataclasses.fields(cls):
        if not field.metadata:
            continue
        reader, key = field.metadata["reader"], field.metadata["key"]
        where = path + charter_fields.document_key(field.name, key)
        if isinstance(reader, charter_fields.Table | charter_fields.Tables):
            is_array = isinstance(reader, charter_fields.Tables)
            if not is_array:
                absent = _absent(calls[field.name])
                yield f"| `[{where}]` | {absent} | a table |"
            else:
                yield f"| `[[{where}]]` | none | an array of tables |"
            yield from _keys_of(reader.cls, f"{where}.")
            continue
        default = next((each.value for each in _keywords(calls[field.name]) if each.arg == "default"), None)
        shown = "*required*" if default is None else f"`{_toml(ast.literal_eval(default))}`"
        if default is not None and ast.unparse(default) == "None":
            shown = "none"
        allowed = charter_fields._allowed(reader, "").replace("|", "\\|").replace("<id>", "ID")
        yield f"| `{where}` | {shown} | {allowed} |"


def _keywords(call: ast.expr | None) -> list[ast.keyword]:
    return call.keywords if isinstance(call, ast.Call) else []


def _absent(call: ast.expr | None) -> str:
    default = next((each.value for each in _keywords(call) if each.arg == "default"), None)
    if default is None:
        return "*required*"
    return "absent" if ast.unparse(default) == "None" else "every default below"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if value >= 1000 else str(value)
    return f'"{value}"' if isinstance(value, str) else str(value)


def kinds() -> str:
    """A section for every kind of entry."""
    return "\n\n".join("\n".join(_kind(kind, body)) for kind, body in sorted(KINDS.items()))


def _kind(kind: str, body: type[Body]) -> Iterator[str]:
    module = inspect.getmodule(body)
    doc = inspect.cleandoc(module.__doc__ or "") if module else ""
    source = re.search(r"docs/spec/([a-z]+\.md(?:#[a-z-]+)?)", doc)
    own = body.__dict__.get("__doc__")
    words = SAYS.get(kind) or (
        own
        if own and not own.startswith(body.__name__ + "(")
        else re.sub(r"^Entry kinds? .*?: ", "", doc.split("\n\n")[0])
    )
    words = " ".join(words.split())
    yield f"## {kind}"
    yield ""
    yield words[:1].upper() + words[1:]
    yield f"Rule: [{source[1]}]({source[1]})." if source else ""
    yield f"Who: {_who(body)}."
    yield from _void(body)
    yield f"Words in the annex: {WORDS.get(kind, 'note')}."
    fields = list(_fields_of(body))
    if not fields:
        yield "The body is empty."
        return
    yield ""
    yield "| field | type | |"
    yield "|---|---|---|"
    for name, annotation, value, said in fields:
        renamed = next((each.value for each in _keywords(value) if each.arg == "name"), None)
        shown = renamed.value if isinstance(renamed, ast.Constant) else name
        optional = value is not None
        kind_of = _shown(annotation).removesuffix(", or nil")
        absent = "may be absent. " if optional and "Absent" not in said else ""
        yield f"| {shown} | {kind_of} | {(absent + said).strip()} |"


def _void(body: type[Body]) -> Iterator[str]:
    """For what the rule itself makes an entry void, in the order in which it tries: as the code says of itself."""
    doc = " ".join((body.apply.__doc__ or "").split())
    said = re.search(r"Raises EntryError: (.*)", doc)
    if said is None or body.apply is Body.apply:
        return
    text = re.sub(r"(?:,|\.) tried in that order", "", said[1], flags=re.IGNORECASE)
    text = re.sub(r"\b[A-Z][A-Z_]+\b", lambda word: "`" + word[0].lower().replace("_", "-") + "`", text)
    yield f"Void, in this order: {text}"


def _who(body: type[Body]) -> str:
    least = {
        "observer": "every member",
        "contributor": "contributors and partners",
        "partner": "partners",
    }[body.STANDING]
    parts = [least]
    if body.INTRODUCES:
        parts = ["the first entry of a device that the ledger does not know"]
    if body.FULL:
        parts.append("not on probation")
    if not body.SUSPENDED_MAY:
        parts.append("not while suspended")
    if body.DEPARTED_MAY and not body.INTRODUCES:
        parts.append("also after departure")
    if body.WORK_SCOPE:
        parts.append("also a device with the scope `work`")
    if body.AFTER_SALE:
        parts.append("also after a complete sale")
    return ", ".join(parts)


def ticks() -> str:
    """What can fall due by itself."""
    lines = ["| tick | what happens |", "|---|---|"]
    for name, rule in sorted(TICKS.items()):
        lines.append(f"| `{name}` | {' '.join((rule.__doc__ or '').split()) or 'the next cycle begins'} |")
    return "\n".join(lines)


def layout_table() -> str:
    """Where everything lies in the store."""
    doc = inspect.cleandoc(layout.__doc__ or "")
    return "\n".join(line for line in doc.splitlines() if line.startswith("|"))


def settings() -> str:
    """What `config.toml` may say."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for table, cls, where in ((config._NODE, config.Config, ""), (config._SEALING, config.SealingTimes, "sealing.")):
        words = {name: said for name, _, _, said in _fields_of(cls)}
        values = cls()
        for key, (name, _) in table.items():
            lines.append(f"| `{where}{key}` | {_setting(name, getattr(values, name))} | {words[name]} |")
    return "\n".join(lines)


def _setting(name: str, value: Any) -> str:
    if "_ms" in name and isinstance(value, int):
        return f"`{config._words(value)}`"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value) or "none"
    return "none" if value is None else f"`{str(value).lower()}`"


def commands() -> str:
    """Every command with its arguments and options."""
    parts = []
    for title, section in app.SECTIONS.items():
        lines = [f"### {title}", ""]
        for name in section:
            found = app.find_command(name)
            assert found is not None
            lines += _command(found, f"tally {name}")
        parts.append("\n".join(lines).rstrip())
    return "\n\n".join(parts)


def _command(found: click.Command, path: str) -> Iterator[str]:
    shown = [param for param in found.params if not getattr(param, "hidden", False)]
    line = " ".join([path, *(_argument(param) for param in shown if isinstance(param, click.Argument))])
    help_text = " ".join((found.help or "").replace("\b", "").split())
    yield f"* `{line}`: {help_text}"
    for param in shown:
        if isinstance(param, click.Option):
            yield f"  * `{_option(param)}`: {' '.join((param.help or '').split())}"
    if isinstance(found, click.Group):
        for name, each in sorted(found.commands.items()):
            yield from _command(each, f"{path} {name}")


def _argument(param: click.Argument) -> str:
    name = param.metavar or (param.name or "").upper()
    if isinstance(param.type, click.Choice):
        name = "|".join(param.type.choices)
    name = name + "..." if param.nargs != 1 else name
    return name if param.required else f"[{name}]"


def _option(param: click.Option) -> str:
    names = ", ".join([*param.opts, *param.secondary_opts])
    if param.is_flag or param.count:
        return names
    what = "|".join(param.type.choices) if isinstance(param.type, click.Choice) else param.metavar
    return f"{names} {what or (param.name or '').upper()}"


def inner_records() -> str:
    """Arrays inside bodies."""
    parts = []
    for name, cls in (
        ("Evidence of a delivery", deliver.Evidence),
        ("A device that is revoked", Cut),
        ("A ledger before", refound.Before),
        ("A signature for founding anew", refound.Signed),
    ):
        fields = ", ".join(f"{field} ({_shown(kind)})" for field, kind, _, _ in _fields_of(cls))
        parts.append(f"* {name}: [{fields}].")
    return "\n".join(parts)


def operations() -> str:
    """What the local interface can be asked, with its arguments."""
    lines = ["| operation | | arguments |", "|---|---|---|"]
    for name, args in sorted(READ_ARGS.items()):
        lines.append(f"| `{name}` | {'POST' if name in POSTED else 'GET'} | {_arguments(args)} |")
    for name, (args, _) in sorted(WRITES.items()):
        lines.append(f"| `{name}` | POST, signs | {_arguments(args)} |")
    for name, args in sorted(OWN_ARGS.items()):
        lines.append(f"| `{name}` | POST, the node | {_arguments(args)} |")
    return "\n".join(lines)


def _arguments(args: type[Any]) -> str:
    """Names of the arguments; those that may be absent with a question mark."""
    fields = msgspec.structs.fields(args)
    shown = [f"{each.encode_name}{'' if each.required else '?'}" for each in fields if each.name != "dry_run"]
    return ", ".join(shown)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "state-keys": state_keys,
    "state-rows": state_rows,
    "charter-keys": charter_keys,
    "kinds": kinds,
    "inner-records": inner_records,
    "ticks": ticks,
    "layout": layout_table,
    "settings": settings,
    "commands": commands,
    "operations": operations,
}


def renewed(text: str) -> str:
    """A document with every table as the code has it now."""

    def table(place: re.Match[str]) -> str:
        return f"<!-- table: {place[1]} -->\n\n{TABLES[place[1]]()}\n\n<!-- end -->"

    return _PLACE.sub(table, text)


def places(text: str) -> list[str]:
    """Names of the tables in a document."""
    return [place[1] for place in _PLACE.finditer(text)]


def main() -> None:
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = renewed(text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(path.relative_to(ROOT))  # noqa: T201


if __name__ == "__main__":
    main()
