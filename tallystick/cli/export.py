"""The ledger in the forms of other programs: plain-text accounting, tables, cap tables.

Every format is a function from what the reads answer to files: name -> text. Nothing here asks or writes.

    hledger    ledger.journal     one transaction a cause; also for ledger-cli
    beancount  ledger.beancount   the same, with the five roots that beancount knows
    ocf        *.ocf.json         Open Cap Table Format: who holds which shares and points today
    csv        *.csv              postings, balances, partners, deals
    json       *.json             the answers of the reads as they are

Sources: https://hledger.org/hledger.html, https://beancount.github.io/docs/beancount_language_syntax.html,
https://open-cap-table-coalition.github.io/Open-Cap-Format-OCF/
"""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tallystick.node.currency import VOUCHER, amount_text, digits_of

Answers = Mapping[str, Any]
"""What the read `export` answers: the answers of other reads by their names."""
Files = dict[str, str]

#: ISO 4217 for "no currency".
NO_CURRENCY: Final = 3 * "X"
_ID_DIGITS: Final = 64


def date_of(moment_ms: int) -> str:
    """The day of UTC: an export is the same wherever it is made."""
    return datetime.fromtimestamp(moment_ms // 1000, UTC).strftime("%Y-%m-%d")


class _Names:
    """What accounts are called: names of people are words of others, and two may have one name."""

    def __init__(self, answers: Answers) -> None:
        self._names = {row["partner"]: row["name"] or "" for row in answers["partners"]}

    def called(self, owner: str) -> str:
        """`Ana-7f3a21c0`: letters and digits only, whatever the name has."""
        if len(owner) != _ID_DIGITS:
            return _plain(owner)
        name = _plain(self._names.get(owner, ""))
        return f"{name}-{owner[:8]}" if name else owner[:8]


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _words(row: Mapping[str, Any]) -> str:
    """What happened, in one line."""
    return f"{row['what']} {row['entry'][:8]}, block {row['height']}"


# -- hledger -----------------------------------------------------------------------------------------------------------


def hledger(answers: Answers) -> Files:
    """One transaction for each cause; every posting of ours is two of theirs. `hledger check --strict` passes."""
    names = _Names(answers)
    accounts: dict[str, None] = {}
    commodities: dict[str, None] = {"POINT": None}
    body: list[str] = []
    for row in answers["journal"]:
        body += ["", f"{date_of(row['when'])} {_words(row)}"]
        for each in row["postings"]:
            commodity, amount = each["commodity"], each["amount"]
            commodities[commodity] = None
            for account, signed in ((each["from"], -amount), (each["to"], amount)):
                path = _path(names, commodity, account)
                accounts[path] = None
                note = f"  ; {each['rule']}: {each['formula']}" if signed > 0 else ""
                body.append(f"    {path}  {amount_text(signed, commodity)} {_quoted(commodity)}{note}")
    lines = ["; made by `tally export hledger`: points are whole, money is in its usual unit"]
    # A number without digits after the point still has the point there.
    lines += [f"commodity {_thousand(each)} {_quoted(each)}" for each in sorted(commodities)]
    lines += [f"account {each}" for each in sorted(accounts)]
    return {"ledger.journal": "\n".join([*lines, *body]) + "\n"}


def _thousand(commodity: str) -> str:
    text = amount_text(
        1000 * (1 if commodity == "POINT" else 10 ** digits_of(commodity.removeprefix(VOUCHER))), commodity
    )
    return text if "." in text else f"{text}."


def _quoted(commodity: str) -> str:
    return f'"{commodity}"' if "-" in commodity else commodity


def _path(names: _Names, commodity: str, account: str) -> str:
    """An account below the thing that it counts: `points:partner:Ana-7f3a21c0`, `money:cash`."""
    root = "points" if commodity == "POINT" else "vouchers" if commodity.startswith(VOUCHER) else "money"
    noun, _, owner = account.partition("/")
    return ":".join(filter(None, (root, noun, names.called(owner) if owner else "")))


# -- beancount ---------------------------------------------------------------------------------------------------------

#: Our account -> their root and name. Income and what partners have put in are negative there as here.
_ROOTS: Final[Mapping[str, str]] = {
    "cash": "Assets:Cash",
    "capital": "Equity:Capital",
    "donation": "Income:Donation",
    "income": "Income:Other",
    "expense": "Expenses",
    "proceeds": "Income:Proceeds",
    "payable": "Equity:Payable",
    "paid": "Equity:Paid",
    "issued": "Equity:Issued",
    "pool": "Equity:Pool",
    "escrow": "Equity:Escrow",
    "partner": "Equity:Partner",
    "redeemed": "Equity:Redeemed",
}


def beancount(answers: Answers) -> Files:
    """The same with their roots; accounts are opened on the first day."""
    names = _Names(answers)
    rows = answers["journal"]
    opened = date_of(rows[0]["when"]) if rows else "1970-01-01"
    accounts: dict[str, None] = {}
    body: list[str] = []
    # They sort by day; within one day ours is the order already.
    for row in sorted(rows, key=lambda each: date_of(each["when"])):
        body += ["", f'{date_of(row["when"])} * "{_words(row)}"']
        for each in row["postings"]:
            commodity, amount = each["commodity"], each["amount"]
            for account, signed in ((each["from"], -amount), (each["to"], amount)):
                path = _bean(names, account)
                accounts[path] = None
                note = f" ; {each['rule']}: {each['formula']}" if signed > 0 else ""
                body.append(f"  {path}  {amount_text(signed, commodity)} {commodity}{note}")
    lines = ["; made by `tally export beancount`", 'option "title" "Tallystick"', ""]
    lines += [f"{opened} open {path}" for path in sorted(accounts)]
    return {"ledger.beancount": "\n".join([*lines, *body]) + "\n"}


def _bean(names: _Names, account: str) -> str:
    noun, _, owner = account.partition("/")
    called = names.called(owner) if owner else ""
    # A part begins with a capital letter or a digit.
    return ":".join(filter(None, (_ROOTS[noun], called[:1].upper() + called[1:])))


# -- tables ------------------------------------------------------------------------------------------------------------


def tables(answers: Answers) -> Files:
    """Four tables; amounts in minor units, as the ledger has them."""
    postings = [
        (
            datetime.fromtimestamp(row["when"] / 1000, UTC).isoformat(timespec="seconds"),
            row["height"],
            row["what"],
            row["entry"],
            each["commodity"],
            each["from"],
            each["to"],
            each["amount"],
            each["rule"],
            each["formula"],
            row["charter"],
        )
        for row in answers["journal"]
        for each in row["postings"]
    ]
    return {
        "postings.csv": _csv("time block what entry commodity from to amount rule formula charter".split(), postings),
        "balances.csv": _csv(
            ("commodity", "account", "amount"),
            ((*key, amount) for key, amount in sorted(balances(answers["journal"]).items())),
        ),
        "partners.csv": _of_rows(
            answers["partners"], "partner name standing status roles since departed inviter".split()
        ),
        "deals.csv": _of_rows(
            answers["deals"],
            "deal offer step seller seller_name buyer buyer_name units price gross status delivered grade award "
            "deadline accepted decided".split(),
        ),
    }


def balances(journal: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """What is on every account, without those that are empty."""
    found: dict[tuple[str, str], int] = {}
    for row in journal:
        for each in row["postings"]:
            for account, signed in ((each["from"], -each["amount"]), (each["to"], each["amount"])):
                key = (each["commodity"], account)
                found[key] = found.get(key, 0) + signed
    return {key: amount for key, amount in found.items() if amount}


def _of_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    return _csv(columns, ([_cell(row[column]) for column in columns] for row in rows))


def _cell(value: Any) -> Any:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([_harmless(cell) for cell in row] for row in rows)
    return out.getvalue()


def _harmless(cell: Any) -> Any:
    """Words of others never become a formula of a spreadsheet."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{cell}"
    return "" if cell is None else cell


# -- cap tables --------------------------------------------------------------------------------------------------------

_OCF: Final = "1.2.0"
_SPACE: Final = uuid.UUID("8f1e58ab-6f3b-5e0f-9d55-3a3a5d0c7a11")


def ocf(answers: Answers) -> Files:
    """Who holds what today. Shares of rounds are stock; points are rights that are settled in cash when it is sold.

    The format knows no deals, so a balance is one issuance of the day of the newest block.
    """
    points = answers["points"]
    name = answers["charter_show"]["name"]
    blocks = answers["blocks"]
    today, founded = (date_of(blocks[at]["time"]) if blocks else "1970-01-01" for at in (-1, 0))
    people = {row["partner"]: row for row in answers["partners"] if row["status"] in ("active", "departed")}
    shares = _shares_of(answers["journal"])
    stock = _uuid(points["ledger"], "stock")
    plan = _uuid(points["ledger"], "plan")
    manifest: dict[str, Any] = {
        "file_type": "OCF_MANIFEST_FILE",
        "ocf_version": _OCF,
        "as_of": today,
        "generated_at": f"{today}T00:00:00Z",
        "issuer": {
            "object_type": "ISSUER",
            "id": _uuid(points["ledger"], "issuer"),
            "legal_name": name,
            "formation_date": founded,
            "country_of_formation": "XX",
        },
    }
    parts: dict[str, tuple[str, list[dict[str, Any]]]] = {
        "Stakeholders": ("OCF_STAKEHOLDERS_FILE", [_stakeholder(points["ledger"], row) for row in people.values()]),
        "StockClasses": ("OCF_STOCK_CLASSES_FILE", [_stock_class(stock, shares)] if shares else []),
        "StockPlans": ("OCF_STOCK_PLANS_FILE", [_stock_plan(plan, stock, points)]),
        "StockLegends": ("OCF_STOCK_LEGEND_TEMPLATES_FILE", []),
        "VestingTerms": ("OCF_VESTING_TERMS_FILE", []),
        "Valuations": ("OCF_VALUATIONS_FILE", []),
        "Transactions": (
            "OCF_TRANSACTIONS_FILE",
            [
                *(_stock_issuance(points["ledger"], stock, today, *each) for each in shares),
                *(
                    _right_issuance(
                        points["ledger"], plan, today, row, _currency_of(answers["charter_show"]["document"])
                    )
                    for row in points["rows"]
                    if row["points"] > 0 and row["partner"] in people
                ),
            ],
        ),
    }
    keys = {
        "Stakeholders": "stakeholders_files",
        "StockClasses": "stock_classes_files",
        "StockPlans": "stock_plans_files",
        "StockLegends": "stock_legend_templates_files",
        "VestingTerms": "vesting_terms_files",
        "Valuations": "valuations_files",
        "Transactions": "transactions_files",
    }
    files = {f"{part}.ocf.json": _json({"file_type": kind, "items": items}) for part, (kind, items) in parts.items()}
    manifest |= {
        key: [{"filepath": f"./{part}.ocf.json", "md5": _md5(files[f"{part}.ocf.json"])}] for part, key in keys.items()
    }
    return {"Manifest.ocf.json": _json(manifest), **files}


def _shares_of(journal: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, int, int, str]]:
    """(partner, round, shares, minor units, currency) of every confirmed subscription."""
    found = []
    for row in journal:
        for each in row["postings"]:
            match = re.fullmatch(r"round\.([a-z0-9-]+)\.price", each["rule"])
            count = re.match(r"([0-9]+) x ", each["formula"])
            if match and count and each["to"] == "cash":
                owner = each["from"].removeprefix("capital/")
                found.append((owner, match[1], int(count[1]), each["amount"], each["commodity"]))
    return found


def _stakeholder(ledger: str, row: Mapping[str, Any]) -> dict[str, Any]:
    name = row["name"] or row["partner"][:8]
    return {
        "object_type": "STAKEHOLDER",
        "id": _uuid(ledger, row["partner"]),
        "name": {"legal_name": name},
        "stakeholder_type": "INDIVIDUAL",
        "issuer_assigned_id": row["partner"],
    }


def _stock_class(stock: str, shares: Sequence[tuple[str, str, int, int, str]]) -> dict[str, Any]:
    return {
        "object_type": "STOCK_CLASS",
        "id": stock,
        "name": "Shares",
        "class_type": "COMMON",
        "default_id_prefix": "S-",
        "initial_shares_authorized": str(sum(count for _, _, count, _, _ in shares)),
        "votes_per_share": "0",
        "seniority": "1",
    }


def _stock_plan(plan: str, stock: str, points: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "object_type": "STOCK_PLAN",
        "id": plan,
        "plan_name": f"Points ({points['unit']})",
        "initial_shares_reserved": str(-points["issued"]),
        "stock_class_ids": [stock],
    }


def _stock_issuance(
    ledger: str, stock: str, today: str, owner: str, round_id: str, count: int, amount: int, currency: str
) -> dict[str, Any]:
    key = f"{owner}/{round_id}/{count}/{amount}"
    price = amount_text(amount // count, currency)
    return {
        "object_type": "TX_STOCK_ISSUANCE",
        "id": _uuid(ledger, f"stock-tx/{key}"),
        "security_id": _uuid(ledger, f"stock-security/{key}"),
        "date": today,
        "custom_id": f"{round_id}-{owner[:8]}",
        "stakeholder_id": _uuid(ledger, owner),
        "security_law_exemptions": [],
        "stock_class_id": stock,
        "share_price": {"amount": price, "currency": currency},
        "quantity": str(count),
        "stock_legend_ids": [],
    }


def _currency_of(document: Mapping[str, Any]) -> str:
    """The currency of a sale; three letters that stand for none where the charter has no money (ISO 4217)."""
    return str(document.get("sale", {}).get("currency", "X" * 3))


def _right_issuance(ledger: str, plan: str, today: str, row: Mapping[str, Any], currency: str) -> dict[str, Any]:
    return {
        "object_type": "TX_EQUITY_COMPENSATION_ISSUANCE",
        "id": _uuid(ledger, f"points-tx/{row['partner']}"),
        "security_id": _uuid(ledger, f"points-security/{row['partner']}"),
        "date": today,
        "custom_id": f"points-{row['partner'][:8]}",
        "stakeholder_id": _uuid(ledger, row["partner"]),
        "security_law_exemptions": [],
        "stock_plan_id": plan,
        "compensation_type": "CSAR",
        "quantity": str(row["points"]),
        "base_price": {"amount": "0", "currency": NO_CURRENCY},
        "expiration_date": None,
        "termination_exercise_windows": [],
        "comments": [f"vested: {row['vested']}"],
    }


def _uuid(ledger: str, name: str) -> str:
    """The same id in every export."""
    return str(uuid.uuid5(_SPACE, f"{ledger}/{name}"))


def _md5(text: str) -> str:
    import hashlib

    # The format asks for it; it protects nothing.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


# -- as it is ----------------------------------------------------------------------------------------------------------


def as_json(answers: Answers) -> Files:
    """A file for each read."""
    return {f"{name.removesuffix('_show')}.json": _json(answer) for name, answer in answers.items()}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


FORMATS: Final[Mapping[str, Callable[[Answers], Files]]] = {
    "hledger": hledger,
    "beancount": beancount,
    "ocf": ocf,
    "csv": tables,
    "json": as_json,
}


def iter_lines(files: Files) -> Iterator[str]:
    """Names and sizes of what was made, for a person."""
    return (f"{name}: {len(text.encode())} bytes" for name, text in files.items())
