"""`tally status` in words: what is sealed, what waits and for whom, what this computer does, what needs care."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tallystick.cli.text import clean, due, listed, plural, short, span, who

if TYPE_CHECKING:
    from tallystick.node.home import Home


def status(answer: Mapping[str, Any], now_ms: int) -> str:
    """The state of one ledger, the most important first."""
    name = clean(answer.get("name") or "a ledger without a name")
    lines = [f"{name} · ledger {short(answer['ledger'])}"]
    if answer.get("height"):
        lines.append(f"sealed up to #{answer['height']}, block {short(answer.get('block') or '')}")
    else:
        lines.append("nothing is sealed yet")
    lines.append(_me(answer))
    lines.append(_pending(answer))
    lines.append("sealers: " + _names(answer["sealers"]) if answer.get("sealers") else "")
    lines += [clean(each) for each in answer.get("waits") or ()]
    if (coming := answer.get("amendment")) is not None:
        about = f"`tally charter diff {short(coming['proposal'])}` says what changes"
        lines.append(f"{amended(coming['due'], now_ms)}: {about}")
    lines.append(_node(answer))
    if answer.get("catching_up"):
        lines.append("catching up: " + progress(answer["catching_up"]))
    lines += [f"  reached at {clean(each)}" for each in answer.get("addresses") or ()]
    if answer.get("orphans"):
        lines.append(f"{plural(answer['orphans'], 'entry', 'entries')} here cannot be placed before others arrive")
    if answer.get("read_only"):
        lines.append(f"READ-ONLY: {clean(answer.get('read_only_reason') or 'nothing can be written')}")
    if answer.get("mute"):
        lines.append(f"MUTE, so it signs nothing: {clean(answer.get('mute_reason') or '')}; `tally doctor` explains")
    if answer.get("left"):
        lines.append(f"LEFT: {clean(answer['left'])}, and so seals nothing more here")
    if answer.get("refounded"):
        lines.append(_refounded(answer["refounded"]))
    if answer.get("fork"):
        lines.append(f"FORKED at #{answer['fork']}: nothing more is sealed here; `tally fork` shows both branches")
    return "\n".join(filter(None, lines))


def amended(due_ms: int, now_ms: int) -> str:
    """When a charter that was adopted replaces the one in force."""
    return f"a changed charter is in force from {due(due_ms, now_ms)}"


def _refounded(row: Mapping[str, Any]) -> str:
    """From where it goes on, and who is waited for."""
    by = f"{row['signed']} of {row['partners']}"
    words = f"founded anew from ledger {short(row['ledger'])} at #{row['height']} by {by}"
    if row["awaited"]:
        words += "; not back: " + ", ".join(clean(each["name"] or short(each["partner"])) for each in row["awaited"])
    if not row["is_open"]:
        least = row["partners"] // 2 + 1
        words += f"\nonly joining, devices and sealers work before {least} partners are back; {row['joined']} are now"
    return words


def progress(row: Mapping[str, Any]) -> str:
    """How fetching blocks goes, in one line: `#120 of #5000, about 9700 entries to go, 800 a second, 12 s left`."""
    parts = [f"#{row['height']} of #{row['target']}"]
    if row.get("entries"):
        parts.append(f"about {plural(row['entries'], 'entry', 'entries')} to go")
    parts.append(f"{row['rate']} a second")
    parts.append("nothing comes just now" if row.get("left_ms") is None else f"{span(row['left_ms'])} left")
    return ", ".join(parts)


def home_lines(home: Home) -> list[str]:
    """What the home itself has to say."""
    import json

    from tallystick.node.errors import HomeError

    try:
        identity = json.loads(home.read_file("identity.json"))
    except (HomeError, ValueError):
        return []
    if isinstance(identity, dict) and identity.get("words") == "later":
        return ["recovery words: not confirmed yet; `tally init --confirm-words` asks for them"]
    return []


def sealing_text(answer: Mapping[str, Any], *, asked: bool = True) -> str:
    """What `tally seal` came to, or would come to, and what stands in its way."""
    warning = answer.get("warning")
    return _sealing_line(answer, asked=asked) + (f"\n{clean(warning)}" if warning else "")


def _sealing_line(answer: Mapping[str, Any], *, asked: bool) -> str:
    if answer.get("sealed"):
        return f"sealed: now at #{answer.get('height')}"
    if not answer.get("pending"):
        return "nothing waits to be sealed"
    from tallystick.cli.render_write import awaited

    names = _names(answer.get("waiting_for"), "or") or awaited(answer)
    if answer.get("seals") is False:
        whom = f"; finality waits for {names}" if names else ""
        return f"this computer does not seal, and so asks for no block{whom}"
    said = "asked for" if asked else f"a block would be asked for, with {plural(answer['pending'], 'entry', 'entries')}"
    return f"{said}; finality waits for {names}" if names else f"{said}; the others must answer"


def _names(rows: Any, last: str = "and") -> str:
    """`Ana and Bo`, from names or from rows about members."""
    names = []
    for each in rows or ():
        if isinstance(each, Mapping):
            names.append(str(each.get("name") or short(each.get("partner") or "")))
        else:
            names.append(str(each))
    return listed([clean(each) for each in names], last)


def _me(answer: Mapping[str, Any]) -> str:
    me = answer.get("me")
    if not me:
        return ""
    standing = answer.get("my_status")
    return f"you are {who(me, answer.get('my_name'))}{f', {standing}' if standing else ''}"


def _pending(answer: Mapping[str, Any]) -> str:
    count = answer.get("pending") or 0
    return f"{plural(count, 'entry waits', 'entries wait')} to be sealed" if count else "nothing waits to be sealed"


def _node(answer: Mapping[str, Any]) -> str:
    if not answer.get("node_running"):
        return "no node is running on this computer: `tally node` starts one"
    return f"the node runs, connected to {plural(answer.get('peers') or 0, 'peer')}"
