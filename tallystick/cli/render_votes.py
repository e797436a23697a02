"""Proposals as a person reads them: what is voted on, how the vote stands, and why one failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tallystick.cli.text import clean, clean_lines, due, short, table

Row = Mapping[str, Any]

#: What `show` says in words of a proposal, and so not again as fields.
SAID: Final = frozenset(
    (
        "about text note changes why_failed in_force amount costs currency percent role take subject subject_name "
        "pending"
    ).split()
)


def proposals(answer: Sequence[Row], now_ms: int) -> str:
    """What is voted on, and how it stands; below each what it would do."""
    if not answer:
        return "no proposals"
    rows = table(
        ("proposal", "what", "by", "status", "yes", "no", "abstain", "of", "my vote", "ends"),
        (
            (
                short(row["proposal"]),
                row["type"],
                row["name"] or short(row["partner"]),
                row["status"] + (" (pending)" if row["pending"] else ""),
                row["yes"],
                row["no"],
                row["abstain"],
                # Who may vote is settled by the block that seals it.
                row["total"] or "",
                row["my_vote"],
                due(row["end"], now_ms),
            )
            for row in answer
        ),
        right="yes no abstain of",
    )
    # What is proposed has no width that a column could have.
    head, *lines = rows.split("\n")
    for at, row in enumerate(answer):
        lines[at] = "\n".join((lines[at], *(f"  {line}" for line in _about(row, now_ms))))
    return "\n".join((head, *lines))


def _about(row: Row, now_ms: int) -> list[str]:
    """What a proposal is about, why it was made, and why it failed."""
    said = [clean(row["about"])]
    if row["text"] and row["type"] != "text":
        first, *more = clean_lines(row["text"])
        said += [f"because: {first}", *(f"  {line}" for line in more)]
    said += [] if not row["in_force"] else [f"in force from {due(row['in_force'], now_ms)}"]
    said += [] if not row["why_failed"] else [f"failed: {clean(row['why_failed'])}"]
    return said


def proposal_lines(answer: Row, now_ms: int) -> list[str]:
    """The same in `show`, of the proposal itself or of a vote on it, with every change of the charter."""
    row = answer["proposal"]
    if row is None:
        return []
    lines = [f"proposed: {clean(row['about'])}"]
    if row["text"]:
        first, *more = clean_lines(row["text"])
        lines += [f"{'in words' if row['type'] == 'text' else 'because'}: {first}", *(f"  {line}" for line in more)]
    if row["in_force"]:
        lines.append(f"in force from {due(row['in_force'], now_ms)}")
    if row["why_failed"]:
        lines.append(f"failed: {clean(row['why_failed'])}")
    if row["changes"] is not None:
        from tallystick.protocol.charter_diff import Difference, change_text

        lines.append("changes:" if row["changes"] else "changes: none, only how the rules are written")
        lines += [f"  {clean(change_text(Difference(**each)))}" for each in row["changes"]]
    if row["type"] == "amend":
        about = short(row["proposal"])
        lines.append(f"`tally charter diff {about}` compares it with the charter in force,")
        lines.append(f"`tally charter simulate {about}` plays the ledger by it,")
        lines.append(f"`tally charter show --proposal {about}` shows the whole of it")
    return lines
