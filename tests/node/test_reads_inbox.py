"""The inbox: whatever waits for somebody is there for them, with its deadline, and for nobody else."""

from __future__ import annotations

from typing import Any

from tallystick.node.reads import READS
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.cosign import Cosign
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.reject import Reject
from tallystick.protocol.kinds.return_ import Return
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.membership import DAY_MS
from tests.support.kept import Kept, kept_market
from tests.support.market import MARKET

NAMES = ("ana", "bo", "cy", "di")


def inbox(kept: Kept, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = READS["inbox"](kept.look(name), {})
    return rows


def whats(kept: Kept) -> dict[str, list[str]]:
    """What waits for whom, by name; those with nothing are left out."""
    waiting = {name: [row["what"] for row in inbox(kept, name)] for name in kept.people}
    return {name: rows for name, rows in waiting.items() if rows}


def test_nothing_waits_at_first() -> None:
    """A new ledger asks nothing of anybody."""
    assert whats(kept_market()) == {}


def test_an_offer_waits_for_whom_it_is_addressed_to() -> None:
    """Until it expires or its deadline is over, and not for others."""
    kept = kept_market()
    offer = kept.offered("bo", "roast", 2, to="cy", deadline=kept.now + 3 * DAY_MS)
    assert whats(kept) == {"cy": ["accept"]}
    (row,) = inbox(kept, "cy")
    assert row == {
        "what": "accept",
        "id": offer.hex(),
        "offer": offer.hex(),
        "refusal": None,
        "text": "bo offers to sell: 2 x roast, 24 points",
        "deadline": row["deadline"],
        "partner": kept.people["bo"].member.hex(),
        "name": "bo",
    }
    kept.wait(4 * DAY_MS)
    assert whats(kept) == {}


def test_a_deal_waits_for_one_side_after_the_other() -> None:
    """Deliver, review, deliver again, dispute: with the time at which silence acts."""
    kept = kept_market()
    deal = kept.accepted("bo", "cy", "roast", 1, deadline=kept.now + 5 * DAY_MS)
    assert whats(kept) == {"bo": ["deliver"]}
    (row,) = inbox(kept, "bo")
    assert row["deadline"] == kept.deal(deal).deadline
    assert row["silence"] == "ends: nothing was delivered"
    kept.do("bo", Deliver(deal=deal, units=1))
    assert whats(kept) == {"cy": ["approve"]}
    (row,) = inbox(kept, "cy")
    assert (row["deadline"], row["silence"]) == (kept.now + 7 * DAY_MS, "is approved by silence")
    kept.do("cy", Return(deal=deal))
    assert inbox(kept, "bo")[0]["text"].startswith("deliver again to cy")
    kept.do("bo", Deliver(deal=deal, units=1))
    kept.do("cy", Reject(deal=deal))
    assert whats(kept) == {"bo": ["dispute"]}
    kept.seal()
    kept.wait(6 * DAY_MS)
    assert whats(kept) == {}


def test_a_large_deal_waits_for_any_third_partner() -> None:
    """Not for its sides, and no longer once somebody has cosigned."""
    kept = kept_market()
    deal = kept.delivered("bo", "cy", "carve", 11)
    kept.do("cy", Approve(deal=deal))
    assert whats(kept) == {"ana": ["cosign"], "di": ["cosign"]}
    kept.do("ana", Cosign(deal=deal))
    assert whats(kept) == {}


def test_an_applicant_waits_for_those_who_have_not_vouched() -> None:
    """With how many do and how many are needed."""
    kept = Kept.start({**MARKET, "membership": {"sponsors": 3, "probation": "0s"}}, "bo", "cy", "di")
    dora = kept.applied("dora")
    kept.do("ana", Admit(member=dora, sealer=False))
    assert whats(kept) == {"bo": ["admit"], "cy": ["admit"], "di": ["admit"]}
    (row,) = inbox(kept, "bo")
    assert (row["id"], row["text"]) == (dora.hex(), "dora asks to come in as partner: 1 of 3 vouch")


def test_who_asks_to_seal_waits_for_sealers() -> None:
    """For those who have not agreed yet."""
    kept = kept_market()
    kept.do("bo", SealerOn(device=kept.people["bo"].secret.public))
    assert whats(kept) == {"ana": ["agree"]}
    kept.do("ana", Admit(member=kept.people["bo"].member, sealer=True))
    assert whats(kept) == {}


def test_nobody_is_asked_to_agree_once_enough_have() -> None:
    """More than half of those who seal are enough: then the inbox of the others says what `status` says."""
    kept = kept_market()
    for name in ("bo", "cy"):
        kept.do(name, SealerOn(device=kept.people[name].secret.public))
        kept.do("ana", Admit(member=kept.people[name].member, sealer=True))
        kept.do("bo", Admit(member=kept.people[name].member, sealer=True))
        kept.seal()
    assert len(kept.ledger.sealers()) == 3
    kept.do("di", SealerOn(device=kept.people["di"].secret.public))
    kept.do("ana", Admit(member=kept.people["di"].member, sealer=True))
    assert whats(kept) == {"bo": ["agree"], "cy": ["agree"]}
    kept.do("bo", Admit(member=kept.people["di"].member, sealer=True))
    assert whats(kept) == {}


def test_the_nearest_deadline_comes_first() -> None:
    """What has none comes last."""
    kept = Kept.start({**MARKET, "membership": {"sponsors": 2, "probation": "0s"}}, "bo", "cy", "di")
    kept.offered("bo", "roast", 1, to="ana", expires=kept.now + 20 * DAY_MS)
    kept.applied("dora")
    kept.accepted("ana", "cy", "roast", 1, deadline=kept.now + 2 * DAY_MS)
    kept.delivered("di", "ana", "roast", 1)
    assert [row["what"] for row in inbox(kept, "ana")] == ["deliver", "approve", "accept", "admit"]


def test_names_in_the_inbox_are_escaped() -> None:
    """A name is a word of somebody else."""
    kept = kept_market(names={"bo": "b\x1b[2Jo"})
    kept.offered("bo", "roast", 1, to="cy")
    (row,) = inbox(kept, "cy")
    assert row["name"] == "b\\x1b[2Jo"
    assert "\x1b" not in row["text"]
