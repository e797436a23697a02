"""Warnings about charters that are allowed: rules that invite self-dealing, that hurt people, or that cannot work.

A warning is no error: partners may have their reasons. Nothing here changes what the rules do.

Source: docs/spec/charter.md#lint
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tallystick.protocol.charter import Charter, Step

#: With fewer vouching, one person and a friend can let in strangers who do not exist.
SPONSORS_FEW: Final = 3
#: A sale ends the venture for everybody.
SALE_LEAST: Final = (2, 3)
#: A ledger that wakes after a year has then at most some thousand cycles to draw.
TERM_LEAST_MS: Final = 3_600_000


class Lint(NamedTuple):
    """A warning about one rule."""

    path: str
    message: str


def lint(charter: Charter, holdings: Sequence[int] = ()) -> list[Lint]:
    """Warn of rules in which self-dealing pays or people get hurt.

    `holdings` are the points that each partner holds, where there is a ledger: votes by points are then judged by
    who has them.
    """
    return [
        *_self_dealing(charter),
        *_newcomers(charter),
        *_hurt(charter),
        *_votes(charter, holdings),
    ]


def _self_dealing(charter: Charter) -> Iterator[Lint]:
    for step in charter.steps.values():
        if step.payer == "pool" and step.price and not step.pair_cap and not step.cosign_above:
            yield Lint(
                f"step.{step.id}.pair-cap",
                "the pool pays, so two partners can approve each other's work without end: "
                "set pair-cap or cosign-above",
            )
    for deed in charter.contributions.values():
        if deed.points and not deed.attest:
            yield Lint(f"contribution.{deed.id}.attest", "nobody confirms it: whoever claims it is paid")


def _newcomers(charter: Charter) -> Iterator[Lint]:
    sponsors = charter.membership.sponsors
    if sponsors == 1:
        yield Lint("membership.sponsors", "one partner alone can let in anybody, also people who do not exist")
    if charter.points.start and sponsors < SPONSORS_FEW:
        yield Lint(
            "points.start",
            f"every newcomer gets points, and {sponsors} can let one in: ask for at least {SPONSORS_FEW} sponsors",
        )


def _hurt(charter: Charter) -> Iterator[Lint]:
    if charter.leaver.bad == "forfeit-all":
        yield Lint("leaver.bad", "an expelled partner loses what was earned: courts have struck such rules down")
    for each in charter.rounds.values():
        if each.voucher > each.price:
            yield Lint(
                f"round.{each.id}.voucher",
                f"a share costs {each.price} and brings goods for {each.voucher}: every share sold makes a loss",
            )
    duty = charter.duty
    if duty is not None and duty.term < TERM_LEAST_MS:
        yield Lint(
            "duty.term",
            "every cycle of duty is computed by every node, also all those in which the ledger rested: "
            "terms of less than an hour add up",
        )
    for key, fraction in (("sale", charter.governance.sale), ("early-sale", charter.governance.early_sale)):
        if fraction[0] * SALE_LEAST[1] < SALE_LEAST[0] * fraction[1]:
            yield Lint(
                f"governance.{key}",
                f"{fraction[0]}/{fraction[1]} of the votes can sell what belongs to all: ask for at least 2/3",
            )


def _votes(charter: Charter, holdings: Sequence[int]) -> Iterator[Lint]:
    if charter.governance.weight != "points":
        return
    if not holdings:
        yield Lint("governance.weight", "votes go by points: whoever earns most of them decides alone")
        return
    few, sum_few, total = 0, 0, sum(holdings)
    for points in sorted(holdings, reverse=True):
        if 2 * sum_few > total:
            break
        few, sum_few = few + 1, sum_few + points
    if total and 4 * few <= len(holdings):
        yield Lint("governance.weight", f"votes go by points, and {few} of {len(holdings)} partners hold most of them")


def check_partners(charter: Charter, count: int) -> list[Lint]:
    """List what `count` partners can never meet or reach under this charter, however they try.

    Where a rule asks for more other partners than there are, those who are there suffice; it is listed all the same,
    because its authors wanted more.
    """
    return [
        *_alone(charter, count),
        *_too_many_asked(charter, count),
        *_never_paid(charter),
        *_never_reached(charter, count),
    ]


def _alone(charter: Charter, count: int) -> Iterator[Lint]:
    if 0 < charter.membership.max_partners < count:
        most = charter.membership.max_partners
        yield Lint("membership.max-partners", f"at most {most} partners are let in, not {count}")
    if count < 2:
        for step in charter.steps.values():
            yield Lint(f"step.{step.id}", "a deal needs somebody else to accept it")
        if charter.open is not None:
            yield Lint("open", "a deal needs somebody else to accept it")
        for deed in charter.contributions.values():
            yield Lint(f"contribution.{deed.id}", "nothing is paid before a second partner has joined")
        for each in charter.rounds.values():
            if each.points or each.voucher:
                yield Lint(f"round.{each.id}", "nothing is paid before a second partner has joined")
    if count < 3:
        yield Lint("governance.expel", "expelling and suspending need two votes besides the one it is about")


def _too_many_asked(charter: Charter, count: int) -> Iterator[Lint]:
    others, third = max(0, count - 1), max(0, count - 2)
    asked = [("membership.sponsors", charter.membership.sponsors, count // 2 + 1, "sponsors")]
    asked += [(f"contribution.{d.id}.attest", d.attest, others, "others") for d in charter.contributions.values()]
    if charter.open is not None:
        asked.append(("open.endorse", charter.open.endorse, third, "who are on neither side"))
    asked += [
        (f"step.{step.id}.cosign-above", 1, third, "who are on neither side")
        for step in charter.steps.values()
        if step.cosign_above
    ]
    asked.append(("dispute.panel", charter.dispute.panel, third, "who are on neither side"))
    if charter.duty is not None:
        asked.append(("duty.size", charter.duty.size, count, "partners"))
    for path, wanted, there, who in asked:
        if wanted > there:
            then = f"{there} will do" if there else "nobody is asked"
            if path == "dispute.panel" and not there:
                then = "a rejection stands"
            yield Lint(path, f"asks for {wanted} {who}; {count} partners have at most {there}: {then}")


def _never_paid(charter: Charter) -> Iterator[Lint]:
    """What the pool can never pay, whoever asks."""
    for step in charter.steps.values():
        if step.payer == "pool" and step.price:
            yield from _limits(step, charter.points.pool)
    for deed in charter.contributions.values():
        if deed.points > (deed.budget or charter.points.pool):
            yield Lint(f"contribution.{deed.id}.budget", f"a single one is worth {deed.points}, more than there is")
    for each in charter.rounds.values():
        if each.points > charter.points.pool:
            yield Lint(f"round.{each.id}.points", f"a share brings {each.points} points, more than the pool holds")
    if charter.open is not None and not charter.open.budget:
        yield Lint("open.budget", "0: the pool never pays for an open offer")


def _limits(step: Step, pool: int) -> Iterator[Lint]:
    limits = [("budget", step.budget, "the budget"), ("price", pool, "the pool")]
    if step.pair_cap:
        limits.append(("pair-cap", step.pair_cap, "pair-cap"))
    for key, limit, name in limits:
        if step.price > limit:
            yield Lint(f"step.{step.id}.{key}", f"one {step.unit} costs {step.price}, and {name} is {limit}")


def _never_reached(charter: Charter, count: int) -> Iterator[Lint]:
    objective = charter.objective
    if objective is None:
        return
    most: int | None = None
    if objective.metric == "partners":
        most = count
    elif objective.metric == "points-earned" and not _has_buyers(charter):
        most = charter.points.pool
    elif objective.metric == "capital":
        most = _capital_most(charter, count)
    if most is not None and objective.threshold > most:
        yield Lint("objective.threshold", f"{objective.threshold} {objective.metric}; at most {most} can be reached")


def _has_buyers(charter: Charter) -> bool:
    """Whether partners can pay one another, so that the same points are earned again and again."""
    return charter.open is not None or any(step.payer == "buyer" for step in charter.steps.values())


def _capital_most(charter: Charter, count: int) -> int | None:
    """The most that all rounds can bring from so many partners, or None for any amount."""
    total = 0
    for each in charter.rounds.values():
        if each.currency != charter.sale.currency:
            continue
        limits = [each.shares] if each.shares else []
        limits += [each.max_per_partner * count] if each.max_per_partner else []
        if not limits:
            return None
        total += min(limits) * each.price
    return total
