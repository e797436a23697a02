"""Answers as a person reads them: one function an operation, values to text, no logic of the ledger.

The rows are those of `node/reads`; what a person needs less often (hashes, keys) is left to `--json` and `show`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final

from tallystick.cli.text import clean, clean_lines, day, due, short, signed, stamp, table, who
from tallystick.node.currency import amount_text

Row = Mapping[str, Any]
Rows = Sequence[Row]

_NAMELESS: Final = "(words missing)"
#: Fields that hold a moment in milliseconds, wherever they turn up.
_MOMENTS: Final = frozenset(
    ("time when deadline expires since until due end notice accepted delivered_at decided lapses").split()
)
#: Fields of a body that hold money; others that are called so do not.
_MINOR: Final = frozenset(("proceeds", "costs", "amount"))


def points(answer: Row, now_ms: int) -> str:
    """Who has what, what is on its way, and where the rest is."""
    rows = answer["rows"]
    if answer["unit"] is None:
        from tallystick.node.status_words import EMPTY

        return EMPTY
    head = ("partner", "id", "points", "vested", "pending")
    cells = (
        (
            row["name"] or _NAMELESS,
            short(row["partner"]),
            row["points"],
            row["vested"],
            signed(row["pending"]) if row["pending"] else "",
        )
        for row in rows
    )
    body = table(head, cells, right="points vested pending") if rows else "nobody has points yet"
    rest = [f"pool {answer['pool']}", f"escrow {answer['escrow']}", f"issued {-answer['issued']}"]
    if answer["redeemed"]:
        rest.append(f"redeemed {answer['redeemed']}")
    return f"{body}\n\n{clean(answer['unit'])}: {', '.join(rest)} · block #{answer['height']}"


def deals(answer: Rows, now_ms: int) -> str:
    """Every deal: who does what for whom, how far it is, and what happens when."""
    if not answer:
        return "no deals yet: `tally offers` shows what can be accepted"
    return table(
        ("deal", "what", "seller", "buyer", "units", "points", "status", "award", "next"),
        (
            (
                short(row["deal"]),
                row["step"] or row["title"] or _NAMELESS,
                row["seller_name"] or short(row["seller"]),
                row["buyer_name"] or short(row["buyer"]),
                row["units"],
                row["gross"],
                row["status"] + (" (pending)" if row["pending"] else ""),
                row["award"],
                _next(row, now_ms),
            )
            for row in answer
        ),
        right="units points award",
    )


def _next(row: Row, now_ms: int) -> str:
    """What time will do to a deal, or until when the work is due."""
    if row["status"] == "accepted" and row["deadline"]:
        return f"due {due(row['deadline'], now_ms)}"
    return f"{row['due_what']} {due(row['due'], now_ms)}" if row["due"] and row["due_what"] else ""


def offers(answer: Rows, now_ms: int) -> str:
    """The market."""
    if not answer:
        return "no offers: `tally offer STEP UNITS` makes one"
    return table(
        ("offer", "what", "by", "side", "units", "points", "left", "to", "deliver by", "open until", ""),
        (
            (
                short(row["offer"]),
                row["step"] or row["title"] or _NAMELESS,
                row["name"] or short(row["partner"]),
                row["side"],
                row["units"],
                row["gross"],
                row["copies"],
                "" if row["to"] is None else row["to_name"] or short(row["to"]),
                due(row["deadline"], now_ms),
                due(row["expires"], now_ms),
                _about_offer(row),
            )
            for row in answer
        ),
        right="units points left",
    )


def _about_offer(row: Row) -> str:
    """What is to be known of an offer before somebody accepts it."""
    if row["withdrawn"]:
        return "withdrawn"
    said = ["pending"] if row["pending"] else []
    said += [f"cannot be accepted: {row['refusal']}"] if row.get("refusal") else []
    return ", ".join(said)


#: Of those who do not seal, but have a row among those who do.
_SEALING: Final = {"requested": "asks to", "benched": "rests"}


def partners(answer: Rows, now_ms: int) -> str:
    """Everybody, and for applicants the words to compare."""
    if not answer:
        return "nobody is here yet: the ledger has not arrived"
    return table(
        ("partner", "id", "standing", "roles", "seals", "since", "note"),
        (
            (
                row["name"] or _NAMELESS,
                short(row["partner"]),
                row["standing"] if row["status"] == "active" else row["status"],
                ", ".join(row["roles"]),
                "yes" if row["sealer"] else _SEALING.get(row["sealing"], ""),
                day(row["since"]),
                _about_member(row, now_ms),
            )
            for row in answer
        ),
    )


def _about_member(row: Row, now_ms: int) -> str:
    said = []
    if row["me"]:
        said.append("you")
    if row["looks_like"]:
        said.append(f"LOOKS LIKE {', '.join(map(short, row['looks_like']))}")
    if row["vouches_needed"] is not None:
        said.append(f"{row['vouches']} of {row['vouches_needed']} vouch; its words: {row['fingerprint'] or '?'}")
    if row["probation_until"] and row["probation_until"] > now_ms and row["status"] == "active":
        said.append(f"probation until {due(row['probation_until'], now_ms)}")
    if row.get("sealing_waits"):
        said.append(row["sealing_waits"])
    if row.get("awaited"):
        said.append("not back since the ledger was founded anew")
    if row.get("on_duty"):
        said.append("on duty" + (f" until {due(row['duty_until'], now_ms)}" if row.get("duty_until") else ""))
    if row["away_until"]:
        said.append(f"away until {due(row['away_until'], now_ms)}")
    if row["suspended_until"]:
        said.append(f"suspended until {due(row['suspended_until'], now_ms)}")
    return "; ".join(said)


def inbox(answer: Rows, now_ms: int) -> str:
    """What waits for me, the most urgent first."""
    if not answer:
        return "nothing waits for you"
    return table(
        ("do", "id", "about", "by"),
        (
            (
                row["what"],
                short(row["id"]),
                row["text"] + (f" (not now: {row['refusal']})" if row.get("refusal") else ""),
                due(row["deadline"], now_ms),
            )
            for row in answer
        ),
    )


def log(answer: Rows, now_ms: int) -> str:
    """Every entry, in order."""
    if not answer:
        return "nothing yet"
    return table(
        ("entry", "when", "by", "kind", "status"),
        (
            (
                short(row["entry"]),
                stamp(row["when"]),
                "" if row["member"] is None else row["name"] or short(row["member"]),
                row["kind"],
                _standing(row),
            )
            for row in answer
        ),
    )


def _standing(row: Row) -> str:
    if row["status"] == "sealed":
        return f"sealed in #{row['height']}"
    if row["status"] == "void":
        return f"void in #{row['height']}: {row['reason']}"
    return f"pending; void as things stand: {row['reason']}" if row["reason"] else "pending"


def show(answer: Row, now_ms: int) -> str:
    """All there is to say of one entry: what became of it first, the bytes behind it last."""
    by = "" if answer["member"] is None else f" by {who(answer['member'], answer['name'])}"
    state = clean(answer.get("state") or _standing(answer))
    if answer["status"] == "pending" and not state.startswith("pending"):
        state = f"pending, {state}"
    lines = [f"{answer['kind']} {short(answer['entry'])}{by}", state]
    if answer["reason"]:
        from tallystick.cli.errors import explain as explain_reason

        lines.append(clean(explain_reason(answer["reason"], answer["detail"] or "")))
    lines += [f"next: {clean(each)}{_until(answer, now_ms)}" for each in answer.get("next") or ()]
    if answer["words_missing"]:
        lines.append("its words are missing: they were erased, or have not arrived")
    if answer.get("proposal"):
        from tallystick.cli.render_votes import proposal_lines

        lines += proposal_lines(answer, now_ms)
    rows = answer["postings"]
    if rows:
        from tallystick.cli.render_explain import explain

        lines += ["moved:", *(f"  {line}" for line in explain(rows, now_ms).split("\n"))]
    hidden = {"kind", "member", "name", "status", "reason", "detail", "height", "state", "postings", "words_missing"}
    hidden |= {"next", "until", "silence"}
    for key, value in answer.items():
        if key not in hidden:
            lines += _field(key, _for_people(answer, key, value), 0)
    return "\n".join(lines)


def _until(answer: Row, now_ms: int) -> str:
    """By when, and what silence does then."""
    if not answer.get("until"):
        return ""
    return f", until {due(answer['until'], now_ms)}" + (
        f", then: {clean(answer['silence'])}" if answer["silence"] else ""
    )


def _for_people(answer: Row, key: str, value: Any) -> Any:
    """A part of an entry without what is said in words already, and with money in the unit that people write."""
    if key == "proposal" and value is not None:
        from tallystick.cli.render_votes import SAID

        return {name: each for name, each in value.items() if name not in SAID}
    if key == "money" and value is not None:
        return _in_units(value, value["currency"])
    if key == "body":
        shown = {f"{name} (minor units)" if name in _MINOR else name: each for name, each in value.items()}
        charter = value.get("charter")
        # A page of digits, which nobody reads.
        if answer["kind"] in ("propose", "found") and isinstance(charter, str):
            of = f" --proposal {short(answer['entry'])}" if answer["kind"] == "propose" else " --version 1"
            shown["charter"] = f"{len(charter) // 2} bytes: `tally charter show{of}`"
        return shown
    return value


def _in_units(value: Any, currency: str) -> Any:
    """A statement about money, every amount in it as people write it."""
    if isinstance(value, list):
        return [_in_units(each, currency) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name: amount_text(each, currency) if name in ("amount", "spent", "left") else _in_units(each, currency)
        for name, each in value.items()
    }


def _field(key: str, value: Any, depth: int) -> list[str]:
    """A field and what is in it, indented by its depth; nothing for an empty one."""
    indent = "  " * depth
    label = f"{indent}{clean(key.replace('_', ' '))}:"
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, Mapping):
        return [label, *(line for name, each in value.items() for line in _field(str(name), each, depth + 1))]
    if isinstance(value, list):
        if any(isinstance(each, Mapping | list) for each in value):
            return [label, *(line for each in value for line in _item(each, depth + 1))]
        return [f"{label} {', '.join(clean(each) for each in value)}"]
    if isinstance(value, bool):
        return [f"{label} {'yes' if value else 'no'}"]
    if _is_moment(key, value):
        return [f"{label} {stamp(value)}"]
    first, *more = clean_lines(value)
    return [f"{label} {first}", *(f"{indent}  {line}" for line in more)]


def _is_moment(key: str, value: Any) -> bool:
    return key in _MOMENTS and isinstance(value, int) and value > 10**10


def _item(value: Any, depth: int) -> list[str]:
    if isinstance(value, Mapping):
        shown = ((name, stamp(each) if _is_moment(name, each) else each) for name, each in value.items())
        text = ", ".join(f"{name} {each}" for name, each in shown if each not in (None, "", [], {}))
    else:
        text = str(value)
    return [f"{'  ' * depth}{clean(text)}"]


def blocks(answer: Rows, now_ms: int) -> str:
    """The chain, newest last."""
    if not answer:
        return "no blocks yet"
    return table(
        ("height", "block", "when", "entries", "round", "votes", "charter", "state root"),
        (
            (
                f"#{row['height']}",
                short(row["block"]),
                stamp(row["time"]),
                row["entries"],
                row["round"],
                row["votes"],
                f"v{row['charter_version']}",
                short(row["state_root"]),
            )
            for row in answer
        ),
        right="height entries round votes",
    )


def proof(answer: Row, now_ms: int) -> str:
    """A proof is for a file and another program: JSON, whoever asks."""
    import json

    return json.dumps(answer, separators=(",", ":"))


def charter_show(answer: Row, now_ms: int) -> str:
    """The rules as a charter file, with its version as a remark."""
    from tallystick.cli.toml import to_toml

    if answer["version"] is None:
        head = "proposed, and the one in force" if answer["in_force"] else "proposed"
    else:
        since = f", since {stamp(answer['since'])}" if answer["since"] else ""
        head = f"version {answer['version']}{since}{'' if answer['in_force'] else ', no longer in force'}"
    return f"# {head}, hash {short(answer['hash'])}\n{to_toml(answer['document'])}"


def evidence(answer: Row, now_ms: int) -> str:
    """The files of a deal."""
    from tallystick.cli.render_evidence import evidence_text

    return evidence_text(answer)


def charter_check(answer: Row, now_ms: int) -> str:
    """What may hurt in a charter."""
    from tallystick.cli.render_charter import charter_check as checked

    return checked(answer)


def _late(module: str, name: str) -> Callable[[Any, int], str]:
    """A function of another module, which is imported when there is something for it to show: a command shows one."""

    def render(answer: Any, now_ms: int) -> str:
        text: str = getattr(import_module(f"tallystick.cli.{module}"), name)(answer, now_ms)
        return text

    return render


RENDER: Final[Mapping[str, Callable[[Any, int], str]]] = {
    "points": points,
    "evidence": evidence,
    "explain": _late("render_explain", "explain"),
    "deals": deals,
    "offers": offers,
    "partners": partners,
    "inbox": inbox,
    "log": log,
    "show": show,
    "blocks": blocks,
    "peers": _late("render_peers", "peers"),
    "proposals": _late("render_votes", "proposals"),
    "charter_check": charter_check,
    "charter_show": charter_show,
    "prove_points": proof,
    "status": _late("render_status", "status"),
    "devices": _late("render_keys", "devices"),
    "recoveries": _late("render_keys", "recoveries"),
    "fork": _late("render_keys", "fork"),
    "audit": _late("render_audit", "audit"),
    "market": _late("render_money", "market"),
    "statement": _late("render_money", "statement"),
    "settlement": _late("render_money", "settlement"),
    "charter_diff": _late("render_money", "charter_diff"),
    "charter_simulate": _late("render_money", "charter_simulate"),
}
