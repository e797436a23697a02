"""`tally demo`: one evening of a small studio, with four partners, four nodes, and what goes wrong on such evenings.

Nothing is played: every partner has a home with keys and a database of its own, every node is a process of its own that
reaches the others over libp2p, and everything a partner does goes through the command line, as a person would type it.

Source: docs/guide/demo.md
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallystick.cli import output
from tallystick.cli.demo_stage import DemoError, Partner, Stage

if TYPE_CHECKING:
    from tallystick.cli.options import Options

#: What is changed in the template, and why it has to be for one evening.
CHANGES = (
    ('interval = "60s"', 'interval = "30s"', "blocks no more often than that, or when somebody asks"),
    ("sellers      = [", "#ellers      = [", "nobody has a role yet: every partner may sell and buy"),
    ("buyers       = [", "#uyers       = [", ""),
)


def run_demo(options: Options) -> int:
    """Play the evening. Returns 0 where everything is as it should be at its end, else 1."""
    folder = Path(tempfile.mkdtemp(prefix="tally-demo-"))
    stage = Stage(folder, quiet=options.quiet or options.json)
    began = time.monotonic()
    facts: dict[str, Any] = {}
    failure = ""
    # A demo that is stopped leaves no node behind.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        _evening(stage, facts)
    except DemoError as error:
        failure = str(error)
    finally:
        stage.end()
        signal.signal(signal.SIGTERM, before)
        shutil.rmtree(folder, ignore_errors=True)
    facts |= {"ok": not failure, "seconds": round(time.monotonic() - began, 1)}
    if failure:
        facts["failure"] = failure
    if options.json:
        output.result_json(facts)
    elif failure:
        output.result(f"\nNOT as it should be: {failure}")
    else:
        output.result(
            f"\nfour nodes, one ledger: height {facts['height']}, state root {facts['state_root'][:16]}, "
            f"verified on all four in {facts['seconds']} s"
        )
    return 1 if failure else 0


def _evening(stage: Stage, facts: dict[str, Any]) -> None:
    ana, bo, cy, di = stage.people("Ana", "Bo", "Cy", "Di")
    everybody = (ana, bo, cy, di)
    stage.title("Ana founds a studio whose steps buy from one another")
    _found(stage, ana)
    stage.title("She invites the others; they join, are admitted and trade before there is a common block")
    _gather(stage, ana, (bo, cy, di))
    first = _sell(stage, "script", bo, cy)
    stage.expect(
        ana.status()["height"] == 1, "all that is still waiting: nothing but the founding is sealed", "sealed too early"
    )
    stage.seal(ana, everybody)
    stage.title("Their computers seal from now on, one more with each block")
    for partner in (bo, cy, di):
        partner.tally("sealer", "on")
    second = _offer_and_accept(stage, "draw", cy, di)
    for _ in range(3):
        ana.tally("offer", "script", "1", "--expires", "1d")
        stage.seal(ana, everybody)
    stage.expect(len(ana.status()["sealers"]) == 4, "four computers seal, three are needed", "not all of them seal")
    stage.title("What is not good enough is returned, mended, and bought")
    cy.tally("deliver", second, "1", "--note", "chapter one")
    di.knows(second, "delivered")
    di.tally("return", second, "--note", "page three is missing")
    cy.knows(second, "accepted")
    cy.tally("deliver", second, "1", "--note", "now with page three")
    di.knows(second, "delivered")
    di.tally("approve", second, "--grade", "120")
    stage.seal(cy, everybody)
    stage.title("Di takes the train and works on without a network; the others go on")
    di.stop()
    offer = di.tally("offer", "build", "1", "--to", "Ana")["entry"]
    rejected = _offer_and_accept(stage, "script", bo, cy)
    bo.tally("deliver", rejected, "1")
    stage.seal(ana, (ana, bo, cy))
    di.start()
    stage.all_know(offer, "offer", (ana, di))
    third = ana.tally("accept", offer[:8])["deal"]
    di.knows(third, "accepted")
    stage.title("Bo's computer dies in the middle of it and comes back")
    bo.kill()
    di.tally("deliver", third, "1")
    ana.knows(third, "delivered")
    ana.tally("approve", third)
    bo.start()
    stage.seal(ana, everybody)
    stage.title("A bad script finds no buyer; a good chapter is released, and paid by the studio")
    cy.tally("reject", rejected, "--reason", "this is the first chapter again")
    fourth = _sell(stage, "release", ana, bo, units="1", grade="100")
    stage.seal(bo, everybody)
    _check(
        stage, everybody, facts, deals={first: "approved", second: "approved", third: "approved", fourth: "approved"}
    )
    stage.expect(ana.deal(rejected)["status"] == "rejected", "the bad script is rejected", "it is not rejected")
    stage.title("Who has what")
    ana.show("points")
    ana.show("explain", "Cy")
    stage.title("Everybody's node stops, and every ledger is computed again from its founding entry")
    for partner in everybody:
        partner.stop()
    for partner in everybody:
        answer = partner.tally("verify")
        stage.expect(
            answer["ok"] and answer["state_root"] == facts["state_root"],
            f"{answer['entries']} entries, {answer['signatures_checked']} signatures: the same state root",
            f"verify of {partner.name} found {answer.get('problems')}",
        )


def _found(stage: Stage, ana: Partner) -> None:
    text = ana.text("charter", "template", "studio")
    for old, new, why in CHANGES:
        text = text.replace(old, new)
        if why:
            stage.say(f"for one evening the template says {new!r}: {why}" if "#" not in new else f"left out: {why}")
    charter = stage.folder / "studio.toml"
    charter.write_text(text, encoding="utf-8")
    ana.tally("found", str(charter), show=("found", "studio.toml"))
    ana.start()


def _gather(stage: Stage, ana: Partner, others: tuple[Partner, ...]) -> None:
    tickets = [ana.tally("invite")["ticket"] for _ in others]
    for partner, ticket in zip(others, tickets, strict=True):
        partner.tally("join", ticket, show=("join", f"{ticket[:14]}..."))
    for partner in others:
        partner.start(wait=False)
    for partner in others:
        partner.is_up()
    partners = [ana]
    for newcomer in others:
        # Half of those who are there plus one have to vouch; the first two are enough here.
        for sponsor in partners[:2]:
            sponsor.knows_member(newcomer.name, "applicant")
            sponsor.tally("admit", newcomer.name, "--sealer")
        newcomer.knows_member(newcomer.name, "active")
        partners.append(newcomer)
        for partner in partners:
            for other in partners:
                partner.knows_member(other.name, "active")
    stage.say("four partners, by the word of those who were there before them")


def _offer_and_accept(stage: Stage, step: str, seller: Partner, buyer: Partner, units: str = "1") -> str:
    offer = seller.tally("offer", step, units, "--to", buyer.name)["entry"]
    stage.all_know(offer, "offer", (buyer,))
    deal: str = buyer.tally("accept", offer[:8])["deal"]
    seller.knows(deal, "accepted")
    return deal


def _sell(
    stage: Stage, step: str, seller: Partner, buyer: Partner, *, units: str = "1", grade: str | None = None
) -> str:
    """A whole deal, from the offer to the approval."""
    deal = _offer_and_accept(stage, step, seller, buyer, units)
    seller.tally("deliver", deal, units)
    buyer.knows(deal, "delivered")
    buyer.tally("approve", deal, *(() if grade is None else ("--grade", grade)))
    return deal


def _check(stage: Stage, everybody: tuple[Partner, ...], facts: dict[str, Any], *, deals: dict[str, str]) -> None:
    stage.agree(everybody)
    rows = [partner.status() for partner in everybody]
    heights = {row["height"] for row in rows}
    roots = {row["state_root"] for row in rows}
    facts |= {"height": rows[0]["height"], "state_root": rows[0]["state_root"], "nodes": len(rows)}
    stage.expect(
        len(heights) == 1 and len(roots) == 1,
        f"all four nodes are at height {rows[0]['height']} with one state root",
        f"heights {sorted(heights)}, {len(roots)} state roots",
    )
    for deal, status in deals.items():
        found = everybody[0].deal(deal)["status"]
        stage.expect(found == status, "", f"deal {deal[:8]} is {found} and not {status}")
