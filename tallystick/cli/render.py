"""Answers as a person reads them: one function an operation, values to text, no logic of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallystick.cli.text import clean, clean_lines, day, due, short, stamp, table, who

Row = Mapping[str, Any]
Rows = Sequence[Row]


def points(answer: Mapping[str, Any], now_ms: int) -> str:
    """Who has what, what waits, and where the rest is."""
    unit = clean(answer.get("unit") or "point")
    rows = answer["rows"]
    lines = []
    if rows:
        lines.append(
            table(
                ("partner", "id", "points", "vested", "pending"),
                (
                    (
                        row.get("name") or "(words missing)",
                        short(row["partner"]),
                        row["points"],
                        row["vested"],
                        signed(row["pending"]) if row.get("pending") else "",
                    )
                    for row in rows
                ),
                right="points vested pending",
            )
        )
    else:
        lines.append("nobody has points yet")
    lines.append("")
    rest = [f"pool {answer['pool']}", f"escrow {answer['escrow']}", f"issued {answer['issued']}"]
    if answer.get("redeemed"):
        rest.append(f"redeemed {answer['redeemed']}")
    lines.append(f"{unit}: {', '.join(rest)} · block #{answer['height']}")
    return "\n".join(lines)


def explain(answer: Any, now_ms: int) -> str:
    """Why these points: a line a movement, and the sum."""
    rows = answer if isinstance(answer, list) else answer.get("rows", [])
    if not rows:
        return "nothing has moved here yet"
    return "\n".join([*(_movement(row) for row in rows), *_sums(rows)])


def _movement(row: Row) -> str:
    """`+32 roast 3 kg x 12 x 90% · sold to Bo · 2026-03-04 · entry 7f3a21c0 · charter v2 step.x · block 118`."""
    amount, commodity = row["amount"], str(row.get("commodity") or "POINT")
    money = "" if commodity == "POINT" else f" {commodity}"
    parts = [" ".join(filter(None, (signed(amount) + money, str(row.get("formula") or row.get("words") or ""))))]
    if row.get("what"):
        parts.append(str(row["what"]))
    elif row.get("counter_account"):
        parts.append(f"{'from' if amount > 0 else 'to'} {row.get('counter_name') or row['counter_account']}")
    if row.get("when"):
        parts.append(day(row["when"]) if isinstance(row["when"], int) else str(row["when"]))
    if row.get("entry"):
        parts.append(f"entry {short(row['entry'])}")
    if row.get("rule"):
        version = row.get("charter")
        parts.append(f"charter v{version} {row['rule']}" if isinstance(version, int) else str(row["rule"]))
    parts.append("pending" if row.get("block") is None else f"block {row['block']}")
    return clean(" · ".join(parts))


def _sums(rows: Rows) -> list[str]:
    sums: dict[str, int] = {}
    for row in rows:
        commodity = str(row.get("commodity") or "POINT")
        sums[commodity] = sums.get(commodity, 0) + row["amount"]
    return [f"= {total}{'' if name == 'POINT' else f' {name}'}" for name, total in sums.items()]


def deals(answer: Rows, now_ms: int) -> str:
    """Every deal, with who does what for whom, and by when."""
    if not answer:
        return "no deals yet: `tally offers` shows what can be accepted"
    return table(
        ("deal", "step", "seller", "buyer", "units", "gross", "status", "award", "deadline"),
        (
            (
                short(row["deal"]),
                row.get("step") or row.get("title") or "open",
                _name(row, "seller"),
                _name(row, "buyer"),
                row.get("units"),
                row.get("gross"),
                _state(row),
                row.get("award"),
                due(row.get("deadline"), now_ms),
            )
            for row in answer
        ),
        right="units gross award",
    )


def offers(answer: Rows, now_ms: int) -> str:
    """The market."""
    if not answer:
        return "no offers yet: `tally offer STEP UNITS` makes one"
    return table(
        ("offer", "what", "by", "side", "units", "price", "left", "to", "until", "status"),
        (
            (
                short(row["offer"]),
                row.get("step") or row.get("title") or "open",
                _name(row, "author") or _name(row, "member") or _name(row, "by"),
                row.get("side"),
                row.get("units"),
                row.get("price"),
                row.get("left", row.get("copies")),
                _name(row, "to"),
                due(row.get("deadline") or row.get("expires"), now_ms),
                _state(row),
            )
            for row in answer
        ),
        right="units price left",
    )


def partners(answer: Rows, now_ms: int) -> str:
    """Everybody."""
    return table(
        ("partner", "id", "standing", "status", "roles", "seals", "since", "words to compare"),
        (
            (
                row.get("name") or "(words missing)",
                short(row.get("partner") or row.get("member")),
                row.get("standing"),
                row.get("status"),
                ", ".join(row.get("roles") or ()),
                _seals(row),
                day(row["since"]) if row.get("since") else "",
                row.get("fingerprint") if row.get("status") == "applicant" else "",
            )
            for row in answer
        ),
    )


def _seals(row: Row) -> str:
    value = row.get("sealer")
    return "yes" if value is True else str(value) if value else ""


def inbox(answer: Any, now_ms: int) -> str:
    """What waits for me, the most urgent first."""
    rows = answer if isinstance(answer, list) else answer.get("rows", [])
    if not rows:
        return "nothing waits for you"
    return table(
        ("what", "id", "about", "with", "by", "command"),
        (
            (
                row.get("what") or row.get("action") or row.get("kind"),
                short(row.get("deal") or row.get("offer") or row.get("entry") or row.get("id") or ""),
                row.get("words") or row.get("title") or row.get("step") or row.get("name"),
                row.get("with_name") or row.get("name") or "",
                due(row.get("deadline") or row.get("due"), now_ms),
                row.get("command"),
            )
            for row in rows
        ),
    )


def log(answer: Rows, now_ms: int) -> str:
    """Every entry, in order."""
    if not answer:
        return "nothing yet"
    return table(
        ("entry", "when", "by", "kind", "status", "what"),
        (
            (
                short(row["entry"]),
                stamp(row["time"]) if row.get("time") else stamp(row["at"]) if row.get("at") else "",
                _name(row, "member"),
                row.get("kind"),
                _state(row),
                row.get("words") or row.get("title") or "",
            )
            for row in answer
        ),
    )


def show(answer: Mapping[str, Any], now_ms: int) -> str:
    """All there is to say of one entry."""
    lines = []
    for key, value in answer.items():
        lines += _field(key, value, 0)
    return "\n".join(lines)


def _field(key: str, value: Any, depth: int) -> list[str]:
    indent = "  " * depth
    label = f"{indent}{clean(key.replace('_', ' '))}:"
    if value is None or value == [] or value == {}:
        return []
    if isinstance(value, Mapping):
        return [label, *(line for name, each in value.items() for line in _field(str(name), each, depth + 1))]
    if isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        lines = [label]
        for each in value:
            part = _field("-", each, depth + 1) if not isinstance(each, Mapping) else _item(each, depth + 1)
            lines += part
        return lines
    if isinstance(value, list):
        return [f"{label} {', '.join(clean(each) for each in value)}"]
    if key in _MOMENTS and isinstance(value, int):
        return [f"{label} {stamp(value)}"]
    if value is True or value is False:
        return [f"{label} {'yes' if value else 'no'}"]
    first, *more = clean_lines(value)
    return [f"{label} {first}", *(f"{indent}  {line}" for line in more)]


def _item(row: Row, depth: int) -> list[str]:
    indent = "  " * depth
    text = ", ".join(f"{clean(name)} {clean(each)}" for name, each in row.items() if each is not None and each != "")
    return [f"{indent}{text}"]


_MOMENTS: Final = frozenset({"time", "at", "when", "deadline", "expires", "since", "until", "review_until", "due"})


def blocks(answer: Rows, now_ms: int) -> str:
    """The chain, newest last."""
    if not answer:
        return "no blocks yet"
    return table(
        ("height", "block", "when", "entries", "round", "proposer", "signed by"),
        (
            (
                f"#{row['height']}",
                short(row.get("block")),
                stamp(row["time"]) if row.get("time") else "",
                row.get("entries") if not isinstance(row.get("entries"), list) else len(row["entries"]),
                row.get("round"),
                _name(row, "proposer"),
                _signers(row),
            )
            for row in answer
        ),
        right="height entries round",
    )


def _signers(row: Row) -> str:
    signers = row.get("signers")
    if isinstance(signers, list):
        return ", ".join(
            str(each.get("name") or short(each)) if isinstance(each, Mapping) else short(each) for each in signers
        )
    return "" if signers is None else str(signers)


def peers(answer: Any, now_ms: int) -> str:
    """Other nodes."""
    rows = answer if isinstance(answer, list) else answer.get("rows", [])
    if not rows:
        return "no other node is known yet: `tally sync ADDRESS` meets one"
    return table(
        ("peer", "node key", "connected", "seen", "height", "address"),
        (
            (
                row.get("name") or (short(row["member"]) if row.get("member") else "?"),
                short(row.get("key") or row.get("peer") or row.get("node_key") or ""),
                "yes" if row.get("connected") else "no",
                stamp(row["seen"]) if row.get("seen") else "",
                row.get("height"),
                row.get("address"),
            )
            for row in rows
        ),
        right="height",
    )


def charter_show(answer: Mapping[str, Any], now_ms: int) -> str:
    """The rules, as a charter file."""
    head = f"# version {answer['version']}" if answer.get("version") else ""
    if answer.get("hash"):
        head += f", hash {short(answer['hash'])}"
    text = answer.get("toml") or answer.get("text")
    body = "\n".join(clean_lines(text)) if isinstance(text, str) else show(answer.get("charter") or answer, now_ms)
    return f"{head.lstrip(', ')}\n{body}" if head else body


def proposals(answer: Rows, now_ms: int) -> str:
    """What is voted on."""
    if not answer:
        return "no proposals"
    return table(
        ("proposal", "type", "by", "status", "yes", "no", "abstain", "ends"),
        (
            (
                short(row.get("proposal")),
                row.get("type") or row.get("kind"),
                _name(row, "author") or _name(row, "by"),
                _state(row),
                row.get("yes"),
                row.get("no"),
                row.get("abstain"),
                due(row.get("ends") or row.get("deadline"), now_ms),
            )
            for row in answer
        ),
        right="yes no abstain",
    )


def signed(amount: int) -> str:
    return f"+{amount}" if amount > 0 else str(amount)


def _name(row: Row, key: str) -> str:
    """A member in a row: its name if the row has one, and its digits."""
    member = row.get(key)
    name = row.get(f"{key}_name")
    if isinstance(member, Mapping):
        return who(member.get("id") or member.get("member") or member.get("partner"), member.get("name"))
    return "" if member is None else who(member, name)


def _state(row: Row) -> str:
    """`approved`, `void: offer-taken`, and whether it is still pending."""
    state = str(row.get("status") or "")
    if row.get("reason"):
        state = f"{state}: {row['reason']}"
    if row.get("pending") is True and state != "pending":
        state = f"{state} (pending)"
    if row.get("height") and state == "sealed":
        state = f"sealed in #{row['height']}"
    return state


def _status(answer: Mapping[str, Any], now_ms: int) -> str:
    from tallystick.cli.render_status import status

    return status(answer, now_ms)


RENDER: Final[Mapping[str, Callable[[Any, int], str]]] = {
    "points": points,
    "explain": explain,
    "deals": deals,
    "offers": offers,
    "partners": partners,
    "inbox": inbox,
    "log": log,
    "show": show,
    "blocks": blocks,
    "peers": peers,
    "proposals": proposals,
    "charter_show": charter_show,
    "status": _status,
}
