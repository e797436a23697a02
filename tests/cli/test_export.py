"""Exports: every posting is there, in whole, whatever people call themselves."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tallystick.cli.export import FORMATS, amount_text, balances
from tallystick.node.reads import READS
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cash import Cash
from tallystick.protocol.kinds.receipt import Receipt
from tallystick.protocol.kinds.subscribe import Subscribe
from tests.cli.called import Caller
from tests.support.histories import TABLES
from tests.support.kept import kept_market


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """A little of everything; Bo's name is a formula, and Cy's breaks lines."""
    kept = kept_market(**copy.deepcopy(TABLES), names={"bo": "=HYPERLINK(1)", "cy": 'C"y\n2020-01-01 open'})
    kept.do("cy", Approve(deal=kept.delivered("bo", "cy", "roast", 3)))
    kept.accepted("bo", "cy", "bake", 2)
    shares = kept.do("bo", Subscribe(round="seed", shares=2))
    kept.do("ana", Receipt(entry=shares))
    kept.do("ana", Cash(type="income", amount=1_250, category="sales"))
    kept.seal()
    answer = READS["export"](kept.look(), {})
    assert json.loads(json.dumps(answer)) == answer
    return answer  # type: ignore[no-any-return]


def sums(text: str, pattern: str) -> dict[tuple[str, str], int]:
    """Account and commodity -> what the file moves on it, in hundredths."""
    found: dict[tuple[str, str], int] = {}
    for account, amount, commodity in re.findall(pattern, text, re.MULTILINE):
        key = (account, commodity.strip('"'))
        cents = round(float(amount) * 100)
        found[key] = found.get(key, 0) + cents
    return found


@pytest.mark.parametrize(
    ("form", "name", "pattern"),
    [
        ("hledger", "ledger.journal", r'^    (\S+)  (-?[0-9.]+) ("?[A-Z-]+"?)'),
        ("beancount", "ledger.beancount", r"^  (\S+)  (-?[0-9.]+) ([A-Z-]+)"),
    ],
)
def test_plain_text_accounting_has_every_posting(answers: dict[str, Any], form: str, name: str, pattern: str) -> None:
    """Every commodity adds up to nothing, and every account to its balance."""
    text = FORMATS[form](answers)[name]
    found = sums(text, pattern)
    book = balances(answers["journal"])
    by_commodity: dict[str, int] = {}
    for (_, commodity), cents in found.items():
        by_commodity[commodity] = by_commodity.get(commodity, 0) + cents
    assert set(by_commodity) == {"POINT", "EUR", "VOUCHER-EUR"}
    assert set(by_commodity.values()) == {0}
    scale = {"POINT": 100}
    wanted = sorted(amount * scale.get(commodity, 1) for (commodity, _), amount in book.items())
    assert sorted(cents for cents in found.values() if cents) == wanted
    assert "\n2020-01-01" not in text, "a name is no line of the file"


def test_hledger_declares_every_account_and_commodity(answers: dict[str, Any]) -> None:
    """So that its strictest check passes; a commodity says how many digits it has."""
    text = FORMATS["hledger"](answers)["ledger.journal"]
    declared = re.findall(r"^account (\S+)$", text, re.MULTILINE)
    assert set(declared) == set(re.findall(r"^    (\S+)  ", text, re.MULTILINE))
    assert len(declared) == len(set(declared))
    assert re.findall(r"^commodity (.+)$", text, re.MULTILINE) == [
        "1000.00 EUR",
        "1000. POINT",
        '1000.00 "VOUCHER-EUR"',
    ]


def test_beancount_opens_every_account_and_has_its_form(answers: dict[str, Any]) -> None:
    """Accounts as its grammar wants them, each opened before it is used."""
    text = FORMATS["beancount"](answers)["ledger.beancount"]
    opened = set(re.findall(r"^\S+ open (\S+)$", text, re.MULTILINE))
    used = set(re.findall(r"^  (\S+)  ", text, re.MULTILINE))
    assert opened == used
    form = r"(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*)+"
    assert all(re.fullmatch(form, account) for account in used)


def test_tables_have_every_posting_and_no_formulas(answers: dict[str, Any]) -> None:
    """A spreadsheet that opens them computes nothing that somebody called themselves."""
    files = FORMATS["csv"](answers)
    rows = list(csv.DictReader(io.StringIO(files["postings.csv"], newline="")))
    assert len(rows) == sum(len(row["postings"]) for row in answers["journal"])
    assert rows[0]["time"] == "2026-03-01T00:00:00+00:00"
    names = [row["name"] for row in csv.DictReader(io.StringIO(files["partners.csv"], newline=""))]
    assert names == ["ana", "'=HYPERLINK(1)", 'C"y\\x0a2020-01-01 open', "di"]
    balance = {
        (row["commodity"], row["account"]): int(row["amount"])
        for row in csv.DictReader(io.StringIO(files["balances.csv"], newline=""))
    }
    assert balance == balances(answers["journal"])
    assert len(list(csv.DictReader(io.StringIO(files["deals.csv"], newline="")))) == 2


def test_cap_table_says_who_holds_what(answers: dict[str, Any]) -> None:
    """Every partner, every share, every point, each with an id that is the same in every export."""
    files = {name: json.loads(text) for name, text in FORMATS["ocf"](answers).items()}
    manifest = files["Manifest.ocf.json"]
    listed = [each["filepath"] for key, each_list in manifest.items() if key.endswith("_files") for each in each_list]
    assert {f"./{name}" for name in files} - {"./Manifest.ocf.json"} == set(listed)
    people = {row["id"]: row["issuer_assigned_id"] for row in files["Stakeholders.ocf.json"]["items"]}
    assert set(people.values()) == {row["partner"] for row in answers["partners"]}
    transactions = files["Transactions.ocf.json"]["items"]
    held = {
        people[row["stakeholder_id"]]: int(row["quantity"])
        for row in transactions
        if row["object_type"] == "TX_EQUITY_COMPENSATION_ISSUANCE"
    }
    assert held == {row["partner"]: row["points"] for row in answers["points"]["rows"]}
    stock = [row for row in transactions if row["object_type"] == "TX_STOCK_ISSUANCE"]
    assert [(row["quantity"], row["share_price"]) for row in stock] == [("2", {"amount": "5.00", "currency": "EUR"})]
    assert FORMATS["ocf"](answers) == FORMATS["ocf"](copy.deepcopy(answers))


@pytest.mark.parametrize(
    ("amount", "commodity", "text"),
    [
        (1_250, "EUR", "12.50"),
        (-5, "EUR", "-0.05"),
        (1_250, "JPY", "1250"),
        (1_250, "KWD", "1.250"),
        (-36, "POINT", "-36"),
        (7, "VOUCHER-EUR", "0.07"),
        (0, "EUR", "0.00"),
    ],
)
def test_amounts_have_the_digits_of_their_currency(amount: int, commodity: str, text: str) -> None:
    """Cents, yen, fils; points have none."""
    assert amount_text(amount, commodity) == text


@pytest.mark.parametrize("form", list(FORMATS))
def test_export_writes_a_folder_once(tally: Caller, founded: Path, home: Path, tmp_path: Path, form: str) -> None:
    """For its owner alone; a second time nothing is overwritten."""
    shutil.copytree(founded, home / "tally", dirs_exist_ok=True)
    place = tmp_path / "out" / form
    called = tally("export", form, place, "--json")
    assert called.code == 0, called.err
    assert sorted(path.name for path in place.iterdir()) == called.value["files"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in place.iterdir())
    again = tally("export", form, place, "--json")
    assert (again.code, again.error["code"]) == (2, "file-exists")


def test_export_knows_no_other_format(tally: Caller, tmp_path: Path) -> None:
    """And says which it knows."""
    called = tally("export", "xls", tmp_path / "x")
    assert called.code == 2
    assert "beancount" in called.err
