"""Devices, requests for new keys, and a fork, as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallystick.cli.text import clean, day, due, listed, plural, short, stamp, table, who

Row = Mapping[str, Any]
Rows = Sequence[Row]


def devices(answer: Rows, now_ms: int) -> str:
    """The computers of one member, the first one first."""
    if not answer:
        return "no computer is known here"
    return table(
        ("device", "label", "may sign", "status", "entries", "since", "note"),
        (
            (
                short(row["device"]),
                clean(row["label"] or ""),
                "all" if row["scope"] == "all" else "work",
                row["status"],
                row["entries"],
                day(row["since"]),
                _about_device(row),
            )
            for row in answer
        ),
    )


def _about_device(row: Row) -> str:
    said = ["this one"] if row["this"] else []
    if row["sealing"] in ("active", "leaving"):
        said.append("seals")
    elif row["sealing"]:
        said.append("asks to seal" if row["sealing"] == "requested" else "on the bench")
    if row["convicted"]:
        said.append("its node key never seals again")
    if row["status"] == "frozen":
        said.append("signed two entries with one number")
    if row["pending"]:
        said.append("not sealed yet")
    return "; ".join(said)


def recoveries(answer: Rows, now_ms: int) -> str:
    """Who asks for new keys, and how it stands."""
    if not answer:
        return "nobody asks for new keys"
    return "\n".join(line for row in answer for line in _recovery(row, now_ms))


def _recovery(row: Row, now_ms: int) -> list[str]:
    head = f"{short(row['request'])}  {who(row['partner'], row['name'])} asks for new keys"
    lines = [head + (" (in your name)" if row["mine"] else ""), f"  its six words: {row['fingerprint']}"]
    names = listed(
        [clean(name or short(each)) for each, name in zip(row["approved"], row["approved_names"], strict=True)]
    )
    count = f"{len(row['approved'])} of {plural(row['needed'], 'partner')} approve"
    lines.append(f"  {count}{f': {names}' if names else ''}")
    if row["vetoed"] and not row["overruled"]:
        lines.append("  stopped: an old computer of that member is at work; a vote can overrule that")
    elif row["overruled"]:
        lines.append("  it was stopped, and a vote has overruled that")
    if row["ready"] and (row["overruled"] or not row["vetoed"]):
        lines.append(f"  works by {due(row['ready'], now_ms)}")
    lines.append(f"  forgotten {due(row['lapses'], now_ms)} otherwise")
    return lines


def fork(answer: Row, now_ms: int) -> str:
    """Both branches where they part, what only one has, and who signed both."""
    if not answer["forked"]:
        return "the ledger has not forked, as far as this computer knows"
    lines = [
        f"the ledger has forked at #{answer['height']}: two blocks are sealed there, and nothing more is sealed here"
    ]
    lines += _branch("here", answer["ours"]) + _branch("there", answer["theirs"])
    lines += _entries("only here", answer["only_ours"]) + _entries("only there", answer["only_theirs"])
    if answer["since"]:
        lines.append(f"here, {plural(answer['since'], 'block follows', 'blocks follow')}")
    for row in answer["culprits"]:
        name = who(row["partner"], row["name"])
        proof = f"proven ({row['proof']})" if row["proof"] else "in different rounds: not proven by the blocks alone"
        lines.append(f"signed both: {name}, node key {short(row['node_key'])}, {proof}")
    lines.append("nothing resolves this by itself: talk, and choose a branch together")
    return "\n".join(lines)


def _branch(where: str, row: Row) -> list[str]:
    names = listed([clean(each["name"] or short(each["partner"])) for each in row["sealed_by"]])
    counted = plural(row["entries"], "entry", "entries")
    return [f"{where}: block {short(row['block'])} of {stamp(row['time'])}, {counted}, sealed by {names}"]


def _entries(where: str, rows: Rows) -> list[str]:
    return [
        f"  {where}: {short(row['entry'])} {row['kind'] or 'unknown'}"
        + (f" by {who(row['partner'], row['name'])}" if row["partner"] else "")
        for row in rows
    ]
