"""The evening that the demo plays: who does what, in which order, and what must have come of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli.demo_stage import DemoError

if TYPE_CHECKING:
    from tallystick.cli.demo_partner import Partner
    from tallystick.cli.demo_stage import Stage

#: What is changed in the template: (what it says, what it says for this evening).
CHANGE: Final = ('interval = "60s"', 'interval = "10m"')
#: Who gets which role, by vote; the founder has them all.
ROLES: Final = (("Bo", "writer"), ("Cy", "artist"), ("Di", "coder"))


def evening(stage: Stage, facts: dict[str, Any]) -> None:
    """Play it. Raises DemoError where something is not as it should be; `facts` are what it came to."""
    everybody = stage.people("Ana", "Bo", "Cy", "Di")
    ana, bo, cy, di = everybody
    _found(stage, ana)
    _gather(stage, ana, (bo, cy, di))
    deals = [
        _favour(stage, bo, cy, "A title song", 120),
        _favour(stage, cy, di, "A poster", 80),
    ]
    stage.expect(
        all(each.status()["height"] == 1 for each in everybody),
        "Nothing but the founding is sealed: whoever joined tonight has traded all the same.",
        "a block was sealed before its time",
    )
    stage.seal(ana, everybody, "all of it so far")
    _share(stage, everybody)
    stage.title("The chain: each step buys from the one before. Bo writes a chapter, Cy buys it.")
    deals.append(_sell(stage, bo, cy, "script"))
    stage.seal(bo, everybody, "now four seal")
    stage.expect(len(ana.status()["sealers"]) == 4, "", "not all four seal")
    deals.append(_rework(stage, cy, di))
    stage.seal(cy, everybody, "Di has drawings")
    bad, build = _train(stage, everybody)
    deals.append(_death(stage, everybody, build))
    stage.title("A bad script finds no buyer; a finished chapter is bought by the studio.")
    cy.tally("reject", bad, "--reason", "not again", says="rejects it; its price stays set aside while Bo may dispute")
    deals.append(_sell(stage, ana, bo, "release"))
    stage.seal(bo, everybody, "the last one")
    _check(stage, everybody, facts, approved=deals, rejected=bad)
    stage.title("Who has what, and why")
    ana.show("points")
    ana.show("explain", "Cy")
    _verify(stage, everybody, facts)


# -- the scenes --------------------------------------------------------------------------------------------------------


def _found(stage: Stage, ana: Partner) -> None:
    stage.title("Ana founds a studio from a template.")
    text = ana.text("charter", "template", "studio")
    old, new = CHANGE
    if old not in text:
        raise DemoError(f"the template does not say {old}")
    charter = stage.folder / "studio.toml"
    charter.write_text(text.replace(old, new), encoding="utf-8")
    ana.line("tally charter template studio > studio.toml", "as it stands, but for one line:")
    stage.say(f"{old} becomes {new}: tonight a block comes when asked for")
    ana.tally("found", str(charter), show="found studio.toml", says="the ledger begins, sealed in #1")
    ana.start()
    ana.unlock()


def _gather(stage: Stage, ana: Partner, others: Sequence[Partner]) -> None:
    stage.title("She invites three others. They join, are admitted and trade before there is a block.")
    tickets = [ana.tally("invite", says=f"a ticket for {each.name}")["ticket"] for each in others]

    def join(partner: Partner, ticket: str) -> None:
        partner.tally("join", ticket, show=f"join {ticket[:12]}...", says="reads the charter and asks to be let in")

    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(join, others, tickets))
    for partner in others:
        partner.launch()
    for partner in others:
        partner.wait_until_up()
    with ThreadPoolExecutor(len(others)) as pool:
        list(pool.map(lambda partner: partner.unlock(), others))
    partners = [ana]
    for newcomer in others:
        # Three should vouch, but never more than half of those who are there plus one: here one, then two.
        sponsors = partners[:2]
        for sponsor in sponsors:
            sponsor.knows_member(newcomer.name, "applicant")
            sponsor.tally("admit", newcomer.name, "--sealer", says=f"vouches for {newcomer.name}")
        partners.append(newcomer)
        for partner in partners:
            for other in partners:
                partner.knows_member(other.name, "active")


def _favour(stage: Stage, seller: Partner, buyer: Partner, title: str, points: int) -> str:
    """A deal that no step describes, paid by whoever wants it."""
    args = ("offer", "--open", title, str(points), "--payer", "buyer", "--to", buyer.name)
    offer = seller.tally(*args, says=f"for {points} points")["entry"]
    return _carry_out(stage, seller, buyer, offer, says=f"{seller.name} has {points} more")


def _share(stage: Stage, everybody: tuple[Partner, ...]) -> None:
    ana, bo, cy, di = everybody
    stage.title("Their computers seal from now on, one more with each block, and roles are given by vote.")
    for partner in (bo, cy, di):
        partner.tally("sealer", "on", says="this computer is on most days")
    proposals = [
        ana.tally("propose", "role", name, role, says=f"may {name} be {role}?")["entry"] for name, role in ROLES
    ]
    stage.seal(ana, everybody, "the votes begin")

    def vote(partner: Partner) -> None:
        for proposal in proposals:
            partner.tally("vote", proposal, "yes", quiet=True)

    voters = (ana, bo, cy)
    with ThreadPoolExecutor(len(voters)) as pool:
        list(pool.map(vote, voters))
    for partner in voters:
        partner.line("tally vote ... yes", "to all three")
    stage.seal(ana, everybody, "three for it")
    passed = [row["status"] for row in ana.read("proposals") if row["proposal"] in proposals]
    stage.expect(passed == ["passed"] * 3, "Bo is writer, Cy artist, Di coder.", f"the proposals are {passed}")


def _rework(stage: Stage, cy: Partner, di: Partner) -> str:
    stage.title("What is not good enough goes back, is mended, and bought.")
    deal = _agree(stage, cy, di, "draw")
    cy.tally("deliver", deal, "1", says="delivers the drawings")
    di.knows(deal, "delivered")
    di.tally("return", deal, "--note", "no page 3", says="sends them back for rework")
    cy.knows(deal, "accepted")
    cy.tally("deliver", deal, "1", says="delivers them again, with page 3")
    di.knows(deal, "delivered")
    di.tally("approve", deal, "--grade", "120", says="excellent now: pays a fifth more")
    return deal


def _train(stage: Stage, everybody: tuple[Partner, ...]) -> tuple[str, str]:
    """A partner works without a network: the deal that will be rejected, and the one it has begun."""
    ana, bo, cy, di = everybody
    stage.title("Di takes the train and works on without a network; the others go on.")
    di.stop("is stopped: no network here")
    offer = di.tally("offer", "build", "1", "--to", "Ana", says="written offline, travels later")
    bad = _agree(stage, bo, cy, "script")
    bo.tally("deliver", bad, "1", says="delivers it once more")
    cy.knows(bad, "delivered")
    stage.seal(ana, (ana, bo, cy), "without Di")
    di.start("is back, and catches up")
    stage.all_know(offer["entry"], "offer", (ana,))
    stage.all_have(ana.status()["height"], (di,))
    return bad, _accept(ana, di, offer["entry"])


def _death(stage: Stage, everybody: tuple[Partner, ...], deal: str) -> str:
    ana, bo, _, di = everybody
    stage.title("Bo's computer dies in the middle of it, and comes back.")
    bo.kill()
    di.tally("deliver", deal, "1", says="delivers the playable chapter")
    ana.knows(deal, "delivered")
    ana.tally("approve", deal, says="buys it from her own points")
    bo.start("starts again from its disk")
    bo.knows(deal, "approved")
    stage.seal(ana, everybody, "nothing lost")
    return deal


# -- what recurs in them -----------------------------------------------------------------------------------------------


def _agree(stage: Stage, seller: Partner, buyer: Partner, step: str) -> str:
    """An offer and its acceptance; the deal."""
    offer = seller.tally("offer", step, "1", "--to", buyer.name, says=f"offers it to {buyer.name}")["entry"]
    stage.all_know(offer, "offer", (buyer,))
    return _accept(buyer, seller, offer)


def _accept(buyer: Partner, seller: Partner, offer: str) -> str:
    deal: str = buyer.tally("accept", offer, says="it is a deal; the price is set aside")["deal"]
    seller.knows(deal, "accepted")
    return deal


def _sell(stage: Stage, seller: Partner, buyer: Partner, step: str) -> str:
    """A deal from the offer to the approval."""
    offer = seller.tally("offer", step, "1", "--to", buyer.name, says=f"offers it to {buyer.name}")["entry"]
    return _carry_out(stage, seller, buyer, offer, says=f"good: {seller.name} is paid")


def _carry_out(stage: Stage, seller: Partner, buyer: Partner, offer: str, *, says: str) -> str:
    stage.all_know(offer, "offer", (buyer,))
    deal = _accept(buyer, seller, offer)
    seller.tally("deliver", deal, "1", says="delivers")
    buyer.knows(deal, "delivered")
    buyer.tally("approve", deal, says=says)
    return deal


# -- the end -----------------------------------------------------------------------------------------------------------


def _check(
    stage: Stage, everybody: tuple[Partner, ...], facts: dict[str, Any], *, approved: Sequence[str], rejected: str
) -> None:
    stage.title("Is it the same everywhere?")
    stage.agree(everybody)
    rows = [partner.status() for partner in everybody]
    heights = {row["height"] for row in rows}
    roots = {row["state_root"] for row in rows}
    for partner, row in zip(everybody, rows, strict=True):
        partner.line("tally status", f"height {row['height']}, state root {row['state_root'][:16]}")
    stage.expect(len(heights) == 1, "", f"the nodes are at heights {sorted(heights)}")
    stage.expect(len(roots) == 1, "", f"there are {len(roots)} state roots")
    facts |= {
        "nodes": len(rows),
        "height": rows[0]["height"],
        "state_root": rows[0]["state_root"],
        "blocks": [{key: row[key] for key in ("height", "entries", "votes")} for row in everybody[0].read("blocks")],
        "points": {row["name"]: row["points"] for row in everybody[0].read("points")["rows"]},
        "killed": everybody[1].name,
    }
    for partner in everybody:
        for deal in approved:
            status = partner.deal(deal).get("status")
            stage.expect(status == "approved", "", f"{partner.name}: deal {deal[:8]} is {status}")
        status = partner.deal(rejected).get("status")
        stage.expect(status == "rejected", "", f"{partner.name}: the bad script is {status}")
    facts["deals"] = {row["deal"]: row["status"] for row in everybody[0].read("deals")}
    stage.say(f"{len(approved)} deals approved, one of them after rework; one rejected: the same on all four.")


def _verify(stage: Stage, everybody: tuple[Partner, ...], facts: dict[str, Any]) -> None:
    stage.title("All nodes stop. Each ledger is computed again from its founding entry.")
    for partner in everybody:
        partner.stop("is stopped")
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda partner: partner.tally("verify", quiet=True), everybody))
    for partner, report in zip(everybody, reports, strict=True):
        counts = f"{report['entries']} entries, {report['signatures_checked']} signatures: all right"
        partner.line("tally verify", counts if report["ok"] else "NOT right")
        stage.expect(
            report["ok"] and report["state_root"] == facts["state_root"],
            "",
            f"verify of {partner.name}: {report.get('problems')}",
        )
    facts["verified"] = len(reports)
