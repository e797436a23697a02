"""What must fit together between the settings of a charter: names that are used exist, limits agree, money is named.

Each check is skipped where a setting it needs is wrong already: one mistake is reported once.

Source: docs/spec/charter.md#document
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter
    from tallystick.protocol.charter_fields import Findings

_TREASURER = "treasurer"


def cross_check(charter: Charter, document: dict[str, Any], findings: Findings) -> None:
    """Note what does not fit together. Settings that could not be read are None or stand at their default."""
    _check_roles(charter, findings)
    _check_steps(charter, findings)
    _check_budgets(charter, document, findings)
    _check_times(charter, document, findings)
    _check_money(charter, findings)
    earns = ("step", "contribution", "round", "open")
    if not any(document.get(key) for key in earns) and not findings.touches(*earns) and charter.open is None:
        findings.add("", None, "at least one [[step]], [[contribution]], [[round]] or [open]")


def _check_roles(charter: Charter, findings: Findings) -> None:
    if findings.has("role"):
        return
    known = {*charter.roles, _TREASURER}
    allowed = "a role of the charter: " + _listed(known)
    for step in charter.steps.values():
        for side, roles in (("sellers", step.sellers), ("buyers", step.buyers)):
            for role in roles or ():
                if role not in known:
                    findings.add(f"step.{step.id}.{side}", role, allowed)
    sealers = charter.finality.sealers
    if sealers.startswith("role:") and sealers.removeprefix("role:") not in known:
        findings.add("finality.sealers", sealers, allowed)


def _check_steps(charter: Charter, findings: Findings) -> None:
    if findings.has("step"):
        return
    allowed = "a step of the charter: " + _listed(set(charter.steps))
    for step in charter.steps.values():
        for before in step.after or ():
            if before not in charter.steps:
                findings.add(f"step.{step.id}.after", before, allowed)
    objective = charter.objective
    if objective is None or findings.touches("objective"):
        return
    if objective.step is not None and objective.step not in charter.steps:
        findings.add("objective.metric", objective.metric, allowed)


def _check_budgets(charter: Charter, document: dict[str, Any], findings: Findings) -> None:
    """Whatever the pool pays has a budget; the table `[open]` has it as a required key."""
    rows = document.get("step")
    for row in rows if isinstance(rows, list) else ():
        step = charter.steps.get(row["id"]) if isinstance(row, dict) and isinstance(row.get("id"), str) else None
        if step is None or step.payer != "pool" or "budget" in row:
            continue
        if not findings.has(f"step.{step.id}.payer"):
            findings.add(f"step.{step.id}.budget", None, "points per period, for a step that the pool pays")


def _check_times(charter: Charter, document: dict[str, Any], findings: Findings) -> None:
    vesting = charter.vesting
    if vesting is not None and not findings.touches("vesting") and vesting.cliff > vesting.duration:
        written = document["vesting"]
        allowed = f'at most vesting.duration, "{written["duration"]}"'
        findings.add("vesting.cliff", written.get("cliff", "6mo"), allowed)
    rules = charter.governance
    if not findings.touches("governance") and rules.notice > rules.period:
        written = document["governance"]
        allowed = f'at most governance.period, "{written.get("period", "7d")}"'
        findings.add("governance.notice", written.get("notice", "24h"), allowed)


def _check_money(charter: Charter, findings: Findings) -> None:
    if findings.touches("sale"):
        return
    currency = charter.sale.currency
    uses = [name for name, used in (("round", charter.rounds), ("donation", charter.donation)) if used]
    objective = charter.objective
    if objective is not None and objective.metric == "capital":
        uses.append("objective")
    if currency is None:
        if uses:
            findings.add("sale.currency", None, f"a currency code: {' and '.join(uses)} of this charter use money")
        return
    if charter.sale.preference == "capital-first":
        for each in charter.rounds.values():
            if each.currency != currency and not findings.has(f"round.{each.id}.currency"):
                allowed = f'sale.currency, "{currency}", since sale.preference is "capital-first"'
                findings.add(f"round.{each.id}.currency", each.currency, allowed)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "there is none"
