"""Statements, settlements, the market and what another charter would change, as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tallystick.cli.render_explain import account_text, explain
from tallystick.cli.text import clean, day, due, plural, short, signed, table
from tallystick.node.currency import POINT, amount_text, money_text

Row = Mapping[str, Any]
Rows = Sequence[Row]


def _called(row: Row) -> str:
    return str(row["name"] or short(row["partner"]))


# -- statement ---------------------------------------------------------------------------------------------------------


def statement(answer: Row, now_ms: int) -> str:
    """What there was, every movement, and what there is."""
    span = "" if answer["year"] is None else f", {answer['year']}"
    head = f"statement of {clean(_called(answer))}{span}, at block #{answer['height']}"
    accounts = table(
        ("account", "before", "in", "out", "after"),
        (
            (
                f"{'' if row['commodity'] == 'POINT' else row['commodity'] + ' '}{account_text(row['account'])}",
                *(amount_text(row[key], row["commodity"]) for key in ("opening", "in", "out", "closing")),
            )
            for row in answer["accounts"]
        ),
        right="before in out after",
    )
    if not answer["accounts"]:
        return f"{head}\nnothing has moved here yet"
    lines = [head, accounts, f"vested now: {answer['vested_now']}"]
    if answer["rows"]:
        lines.append(explain(answer["rows"], now_ms))
    return "\n\n".join(lines)


# -- settlement --------------------------------------------------------------------------------------------------------


def settlement(answer: Row, now_ms: int) -> str:
    """Who is owed what; with a price, who would get what of it."""
    sale = answer["sale"]

    def money(amount: int) -> str:
        return amount_text(amount, answer["currency"])

    head: tuple[str, ...] = ("partner", "id", "owed", "paid", "received")
    if sale is not None:
        head += ("capital", "points", "for points", "together")
    rows = [
        (
            row["name"] or "(words missing)",
            short(row["partner"]),
            *map(money, (row["payable"], row["paid"], row["received"])),
            *(() if sale is None else (money(row["capital"]), row["points"], money(row["money"]), money(row["total"]))),
        )
        for row in answer["rows"]
    ]
    lines = [table(head, rows, right="owed paid received capital points for_points together")]
    lines.append(f"amounts in {answer['currency']}; the till holds {money(answer['cash'])}")
    if answer["pending"]:
        lines.append(_pending(answer))
    if sale is not None:
        share = "" if sale["percent"] == 100 else f" for {sale['percent']}% of it"
        lines.append(
            f"a sale at {money(sale['proceeds'])}{share}, costs {money(sale['costs'])}{_of_the_till(answer)}: "
            f"{money(sale['distributable'])} to share out, "
            f"{money(sale['capital'])} for capital, {money(sale['money'])} for {plural(sale['points'], 'point')}"
        )
        if sale["rest"]:
            lines.append(f"{money(sale['rest'])} stay in the till: nobody has a point for them")
    elif answer["sold"]:
        lines.append("the whole has been sold")
    owed: dict[str, int] = {}
    for row in answer["vouchers"]:
        owed[row["currency"]] = owed.get(row["currency"], 0) + row["amount"]
    lines += [
        f"goods still owed for vouchers: {money_text(amount, currency)}" for currency, amount in owed.items() if amount
    ]
    return "\n".join(lines)


def _pending(answer: Row) -> str:
    """That what is not sealed counts here as if it were."""
    points = answer["pending_points"]
    said = f", {plural(points, 'point')} among it" if points else ""
    verb = "is" if answer["pending"] == 1 else "are"
    return f"{plural(answer['pending'], 'pending entry', 'pending entries')} {verb} counted as if sealed{said}"


def _of_the_till(answer: Row) -> str:
    """What a sale of the whole adds to its price: the till, less what was given for a purpose and not spent."""
    sale, currency = answer["sale"], answer["currency"]
    if sale["percent"] != 100 or not (answer["cash"] or sale["donations"]):
        return ""
    till = amount_text(answer["cash"] - sale["donations"], currency)
    if not sale["donations"]:
        return f", with the {till} of the till"
    less = amount_text(sale["donations"], currency)
    return f", with {till} of the till (the {amount_text(answer['cash'], currency)} less {less} left of donations)"


# -- market ------------------------------------------------------------------------------------------------------------


def market(answer: Rows, now_ms: int) -> str:
    """Step by step: what it costs, who offers it, who needs it."""
    if not answer:
        return "no market yet: the ledger has not arrived"
    return "\n\n".join(_step(row, now_ms) for row in answer)


def _step(row: Row, now_ms: int) -> str:
    if row["step"] is None:
        head = "open: work that no step describes"
    else:
        after = f", after {', '.join(row['after'])}" if row["after"] else ""
        title = "" if row["title"] == row["step"] else f"{row['title']}, "
        head = f"{row['step']}: {title}{row['price']} a {row['unit']}, the {row['payer']} pays{after}"
    lines = [clean(head)]
    for key, word in (("offers", "sells"), ("needs", "needs")):
        lines += [f"  {line}" for each in row[key] for line in _offer(each, word, now_ms)]
    if len(lines) == 1:
        lines.append("  nothing is offered or needed")
    return "\n".join(lines)


def _offer(row: Row, word: str, now_ms: int) -> Iterator[str]:
    who = f"{_called(row)}{' (you)' if row['mine'] else ''}"
    what = f"{row['units']} {row['unit']}" if row["step"] else row["title"] or "(words missing)"
    more = [money_text(row["gross"], POINT)]
    if row["copies"] > 1:
        more.append(f"{row['copies']} times")
    if row["to"] is not None:
        more.append(f"only for {row['to_name'] or short(row['to'])}")
    if row["endorsed"]:
        more.append(f"endorsed by {len(row['endorsed'])}")
    if row["deadline"]:
        more.append(f"to deliver by {due(row['deadline'], now_ms)}")
    more.append(f"open until {day(row['expires'])}")
    yield clean(f"{short(row['offer'])} {who} {word} {what}: {', '.join(more)}")
    yield f"         {past(row['history'])}"
    if row.get("refusal"):
        from tallystick.cli.errors import explain as explain_reason

        why = explain_reason(row["refusal"], row["refusal_detail"] or "")
        yield clean(f"         cannot be accepted: {row['refusal']}: {why}")


def past(row: Row) -> str:
    """Somebody's history on one side, in a line."""
    if not row["deals"]:
        return "no deals so far"
    words = [plural(row["deals"], "deal")]
    if row["approved"]:
        words.append(f"{row['approved']} approved, on average at {row['grade']}%")
    words += [
        f"{row[key]} {word}"
        for key, word in (
            ("late", "late"),
            ("returned", "handed back"),
            ("rejected", "rejected"),
            ("disputed", "disputed"),
            ("cancelled", "cancelled"),
            ("silent", "decided by silence"),
        )
        if row[key]
    ]
    return ", ".join(words)


# -- charters ----------------------------------------------------------------------------------------------------------


def charter_diff(answer: Row, now_ms: int) -> str:
    """Setting by setting."""
    if not answer["differences"]:
        return "no rule is different" + ("" if answer["same"] else ", only how they are written")
    from tallystick.protocol.charter_diff import value_text

    return table(
        ("rule", "in force", "proposed"),
        ((row["path"], value_text(row["before"]), value_text(row["after"])) for row in answer["differences"]),
    )


def charter_simulate(answer: Row, now_ms: int) -> str:
    """What everybody would have, which deals would have ended otherwise, and what would be void."""
    parts = [
        f"everything up to block #{answer['height']}, as if this charter had always been in force",
        table(
            ("partner", "id", "points", "would be", "difference", "vested", "vested then"),
            (
                (
                    row["name"] or "(words missing)",
                    short(row["partner"]),
                    row["points"],
                    row["simulated"],
                    signed(row["difference"]) if row["difference"] else "",
                    row["vested"],
                    row["vested_simulated"],
                )
                for row in answer["rows"]
            ),
            right="points would_be difference vested vested_then",
        ),
        f"pool: {answer['pool']}, would be {answer['pool_simulated']}",
    ]
    if answer["deals"]:
        parts.append(
            table(
                ("deal", "step", "is", "award", "would be", "award then"),
                (
                    (
                        short(row["deal"]),
                        row["step"] or "open",
                        row["status"],
                        row["award"],
                        row["status_simulated"] or "no deal",
                        row["award_simulated"],
                    )
                    for row in answer["deals"]
                ),
                right="award award_then",
            )
        )
    for key, title in (("void", "would be void"), ("no_longer_void", "would not be void any more")):
        if answer[key]:
            rows = (
                (short(row["entry"]), row["kind"], row["name"] or "", f"#{row['height']}", row["reason"], row["detail"])
                for row in answer[key]
            )
            parts.append(f"{title}:\n{table(('entry', 'kind', 'by', 'block', 'reason', 'more'), rows)}")
    if answer["left_out"]:
        parts.append(f"left out: {plural(len(answer['left_out']), 'proposal')} to amend the charter")
    return "\n\n".join(parts)
