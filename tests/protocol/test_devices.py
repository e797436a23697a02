"""Devices and keys: added, retired, revoked, claimed with the recovery words, and given anew by the others."""

from dataclasses import replace
from typing import Any

import pytest

from tallystick.crypto.signatures import SignType, is_valid, signed_bytes
from tallystick.protocol import codec
from tallystick.protocol.devices import DEVICES_MAX, Cut, possession_payload
from tallystick.protocol.entry import make_entry
from tallystick.protocol.errors import EntryError, Reason
from tallystick.protocol.kinds.accept import Accept
from tallystick.protocol.kinds.admit import Admit
from tallystick.protocol.kinds.approve import Approve
from tallystick.protocol.kinds.away import Away
from tallystick.protocol.kinds.deliver import Deliver
from tallystick.protocol.kinds.device import DeviceClaim, DeviceRetire, DeviceRevoke, claim_payload
from tallystick.protocol.kinds.erase import Erase
from tallystick.protocol.kinds.leave import Leave
from tallystick.protocol.kinds.recover import RecoverApprove, RecoveryChange
from tallystick.protocol.kinds.sealer import SealerOn
from tallystick.protocol.kinds.table import read_body
from tallystick.protocol.kinds.transfer import Transfer
from tallystick.protocol.records import Device
from tallystick.protocol.sealers import active_sealers
from tests.support.builders import DAY_MS, HOUR_MS, Person, World, key
from tests.support.computers import add_body, added, first, newcomer, request_body
from tests.support.governance import body, member, passed, proposal, proposed, vote
from tests.support.market import market

ALL = ("ana", "bo", "cy", "di")


@pytest.fixture
def world() -> World:
    return market()


def device(world: World, name: str) -> Device:
    return world.view().devices[world.people[name].secret.public]


def claim_body(world: World, new: Person, *, source: bytes | None = None, **fields: Any) -> DeviceClaim:
    revoke = fields.get("revoke")
    payload = claim_payload(new.member, new.secret.public, new.node.public, revoke or ())
    possession = codec.encode([new.secret.public, new.node.public, new.recovery.public])
    made: dict[str, Any] = {
        "member": new.member,
        "node_key": new.node.public,
        "recovery": new.recovery.public,
        "source": source or new.member,
        "consent": new.recovery.sign(signed_bytes(SignType.RECOVERY, world.ledger.id, payload)),
        "possession": new.node.sign(signed_bytes(SignType.POSSESSION, world.ledger.id, possession)),
    }
    return DeviceClaim(**(made | fields))


def requested(world: World, name: str, of: str) -> bytes:
    return world.do(name, request_body(world, newcomer(world, name, of), key(name, "recovery")))


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_bodies_are_read_as_they_were_written(world: World) -> None:
    """Nested lists too; an empty one is left out."""
    new = newcomer(world, "bo2", "bo")
    cut = Cut(new.secret.public, 3, bytes(32))
    for content in (
        add_body(world, new, "bo"),
        DeviceRetire(),
        DeviceRevoke(device=bytes(32), seq=0, entry=bytes(32)),
        claim_body(world, new),
        claim_body(world, new, revoke=(cut,)),
        request_body(world, new, key("x", "recovery")),
        RecoverApprove(request=bytes(32)),
    ):
        assert read_body(content.KIND, content.to_map()) == content
    for bad in ({"revoke": []}, {"revoke": [[bytes(32), -1, bytes(32)]]}, {"revoke": [[bytes(31), 1, bytes(32)]]}):
        with pytest.raises(EntryError) as caught:
            read_body("device.claim", claim_body(world, new).to_map() | bad)
        assert caught.value.reason is Reason.MALFORMED


# -- device.add --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [False, True])
def test_a_second_device_speaks_for_its_member(world: World, sealed: bool) -> None:
    """At once, with a chain of its own, whose first entry links what introduced it."""
    link = added(world, "bo2", "bo")
    assert (device(world, "bo2").member, device(world, "bo2").head_seq) == (world.people["bo"].member, -1)
    if sealed:
        world.seal()
        assert world.ledger.head_of(world.people["bo2"].secret.public) == (-1, None)
    offer = first(world, "bo2", world.offer("roast"), link)
    assert world.outcome(offer).reason is None
    assert world.view().offers[offer].author == world.people["bo"].member
    assert world.refused("bo", Accept(offer=offer)) is Reason.OWN_OFFER
    world.do("bo2", Away(until=world.now + DAY_MS))
    world.seal()
    assert device(world, "bo2").head_seq == 1


def test_one_device_more_than_a_member_may_have_is_void(world: World) -> None:
    """Also with the recovery words, unless they take one out; each that has gone makes room for another one."""
    for number in range(2, DEVICES_MAX + 1):
        added(world, f"bo{number}", "bo")
    more = newcomer(world, "more", "bo")
    assert world.refused("bo", add_body(world, more, "bo")) is Reason.LIMIT
    world.seal()
    assert world.outcome(world.send("more", claim_body(world, more))).reason is Reason.LIMIT
    assert world.refused("bo", add_body(world, newcomer(world, "more2", "bo"), "bo")) is Reason.LIMIT
    # Of somebody else there may be others.
    assert world.outcome(added(world, "cy2", "cy")).reason is None
    bo = world.people["bo"]
    cut = Cut(bo.secret.public, *world.ledger.head_of(bo.secret.public))
    assert cut.entry is not None
    taken = world.do("last", claim_body(world, newcomer(world, "last", "bo"), revoke=(cut,)))
    assert world.outcome(taken).reason is None
    world.seal()
    assert device(world, "bo").status == "revoked"
    mine = [row.status for row in world.view().devices.values() if row.member == bo.member]
    assert mine.count("active") == DEVICES_MAX


@pytest.mark.parametrize("sealed", [False, True])
def test_a_first_entry_links_what_introduced_it(world: World, sealed: bool) -> None:
    """Otherwise nobody could tell from its past whose it is."""
    added(world, "bo2", "bo")
    if sealed:
        world.seal()
    person = world.people["bo2"]
    for links in ((), (world.people["bo"].member,)):
        entry = make_entry(
            person.secret,
            ledger=world.ledger.id,
            seq=0,
            prev=None,
            links=links,
            seal=None,
            time=world.now,
            kind="away",
            body={"until": world.now + DAY_MS},
        )
        with pytest.raises(EntryError) as caught:
            world.ledger.check(entry)
        assert caught.value.reason is Reason.UNKNOWN_DEVICE


def test_a_key_is_enrolled_once(world: World) -> None:
    """Whoever has it, whatever for, and not twice in one device."""
    new, cy = newcomer(world, "bo2", "bo"), world.people["cy"]
    for secret, node in (
        (cy.secret, new.node),
        (new.secret, cy.node),
        (new.secret, cy.secret),
        (new.secret, new.secret),
    ):
        content = add_body(world, replace(new, secret=secret, node=node), "bo")
        assert world.refused("bo", content) is Reason.KEY_USED
    content = add_body(world, new, "bo")
    world.do("bo", content)
    assert world.refused("bo", content) is Reason.KEY_USED


def test_both_keys_prove_that_they_are_there(world: World) -> None:
    """A signature of another key, or for another device, does not hold."""
    new = newcomer(world, "bo2", "bo")
    entry = world.sign("bo", add_body(world, new, "bo"))
    good = add_body(world, new, "bo").proofs(entry, lambda _: None)
    assert all(is_valid(proof.key, proof.message, proof.signature) for proof in good)
    stolen = add_body(world, new, "cy").proofs(entry, lambda _: None)
    assert not any(is_valid(proof.key, proof.message, proof.signature) for proof in stolen)


def test_a_device_for_work_only_works(world: World) -> None:
    """It offers, accepts, delivers and erases; it decides nothing, and takes nobody out."""
    link = added(world, "bo2", "bo", scope="work")
    offer = first(world, "bo2", world.offer("roast"), link)
    deal = world.do("ana", Accept(offer=offer))
    world.do("bo2", Deliver(deal=deal, units=1))
    bought = world.delivered("cy", "bo", "bake")
    world.seal()
    assert world.refused("bo2", Approve(deal=bought)) is Reason.SCOPE
    assert world.refused("bo2", Leave()) is Reason.SCOPE
    assert world.refused("bo2", DeviceRetire()) is Reason.SCOPE
    assert world.refused("bo2", SealerOn(device=world.people["bo2"].secret.public)) is Reason.SCOPE
    world.do("bo2", Erase(entry=world.people["bo"].member))


# -- retire and revoke -------------------------------------------------------------------------------------------------


def test_a_device_retires_at_the_end_of_the_block(world: World) -> None:
    """What it signed before counts, and what it signs later does not."""
    added(world, "bo2", "bo")
    offer = world.offered("bo", "roast")
    world.do("bo", DeviceRetire())
    assert world.refused("bo", DeviceRetire()) is Reason.ALREADY_DONE
    world.seal()
    assert device(world, "bo").status == "retired"
    assert world.refused("bo", world.offer("roast")) is Reason.REVOKED
    world.do("cy", Accept(offer=offer))


def test_a_lost_device_is_revoked_by_another(world: World) -> None:
    """Beyond the last good entry nothing counts; what is sealed stays, and it seals no more."""
    bo = world.people["bo"]
    world.do("bo", SealerOn(device=bo.secret.public))
    world.do("ana", Admit(member=bo.member, sealer=True))
    good = world.offered("bo", "roast")
    link = added(world, "bo2", "bo")
    world.seal()
    assert len(active_sealers(world.ledger.state)) == 2
    seq = device(world, "bo").head_seq
    late = world.offered("bo", "roast")
    first(world, "bo2", DeviceRevoke(device=bo.secret.public, seq=seq, entry=link), link)
    assert world.outcome(late).reason is None
    world.seal()
    assert world.outcome(late).reason is None, "a removal takes effect at the end of the block"
    row = device(world, "bo")
    assert (row.status, row.cut) == ("revoked", (seq, link))
    assert [each.member for each in active_sealers(world.ledger.state)] == [world.people["ana"].member]
    assert world.refused("bo", world.offer("roast")) is Reason.REVOKED
    world.do("cy", Accept(offer=good))


def test_what_was_signed_before_the_cut_still_counts(world: World) -> None:
    """Though it is sealed after the revocation, where something links it."""
    link = added(world, "bo2", "bo")
    world.seal()
    person = world.people["bo"]
    kept = world.sign("bo", world.offer("roast"))
    beyond = world.sign("bo", world.offer("bake"))
    # bo's other device has only heard of the first.
    world.feed(kept)
    first(world, "bo2", DeviceRevoke(device=person.secret.public, seq=kept.seq, entry=kept.id), link)
    world.seal()
    assert world.outcome(kept.id).reason is None
    world.feed(beyond)
    world.do("ana", Accept(offer=kept.id))
    world.seal()
    assert world.outcome(beyond.id).reason is Reason.REVOKED


def test_only_ones_own_other_device_is_revoked(world: World) -> None:
    """Not one's own hand, not somebody else's, not one that is gone."""
    link = added(world, "bo2", "bo")
    bo, cy = world.people["bo"], world.people["cy"]

    def revoke(person: Person) -> DeviceRevoke:
        return DeviceRevoke(device=person.secret.public, seq=0, entry=person.member)

    assert world.refused("bo", revoke(bo)) is Reason.NOT_ALLOWED
    assert world.refused("bo", revoke(cy)) is Reason.NOT_FOUND
    assert world.refused("bo", DeviceRevoke(device=bytes(32), seq=0, entry=link)) is Reason.NOT_FOUND
    first(world, "bo2", revoke(bo), link)
    world.seal()
    assert world.refused("bo2", revoke(bo)) is Reason.ALREADY_DONE


def test_of_two_that_revoke_one_another_the_older_wins(world: World) -> None:
    """Whichever of the two entries comes first."""
    link = added(world, "bo2", "bo")
    world.seal()
    bo, other = world.people["bo"], world.people["bo2"]
    first(world, "bo2", DeviceRevoke(device=bo.secret.public, seq=0, entry=bo.member), link)
    world.do("bo", DeviceRevoke(device=other.secret.public, seq=0, entry=link))
    world.seal()
    assert (device(world, "bo").status, device(world, "bo2").status) == ("active", "revoked")


def test_a_revocation_by_vote(world: World) -> None:
    """Of another's device by the fraction of an expulsion, of one's own by `pass`."""
    bo, ana = world.people["bo"], world.people["ana"]
    fields = {"device": bo.secret.public, "seq": 0, "entry": bo.member}
    case = proposed(world, "ana", "revoke", **fields)
    ballot = proposal(world, case).ballot
    assert ballot is not None
    assert ballot.fraction == (3, 4)
    vote(world, case, ana="yes", cy="yes", di="yes")
    assert device(world, "bo").status == "revoked"
    assert world.refused("ana", body(world, "revoke", **fields)) is Reason.ALREADY_DONE
    assert world.refused("ana", body(world, "revoke", **(fields | {"device": bytes(32)}))) is Reason.NOT_FOUND
    own = proposed(world, "ana", "revoke", device=ana.secret.public, seq=0, entry=ana.member)
    ballot = proposal(world, own).ballot
    assert ballot is not None
    assert ballot.fraction == (1, 2)


# -- device.claim and recovery.change ----------------------------------------------------------------------------------


def test_the_recovery_words_bring_in_a_new_device(world: World) -> None:
    """From a machine that nobody knows, and take the stolen one out."""
    bo = world.people["bo"]
    new = newcomer(world, "bo2", "bo")
    stolen = world.offered("bo", "roast")
    claim = claim_body(world, new, revoke=(Cut(bo.secret.public, 0, bo.member),))
    claimed = world.do("bo2", claim)
    assert world.outcome(claimed).author == bo.member
    world.offered("bo2", "bake")
    world.seal()
    assert (device(world, "bo").status, device(world, "bo2").status) == ("revoked", "active")
    assert world.outcome(stolen).reason is None
    assert world.refused("bo", world.offer("roast")) is Reason.REVOKED


def test_the_recovery_key_wins_over_every_device(world: World) -> None:
    """Whatever the thief signs in the same block."""
    bo = world.people["bo"]
    new = newcomer(world, "bo2", "bo")
    claimed = world.do("bo2", claim_body(world, new, revoke=(Cut(bo.secret.public, 0, bo.member),)))
    world.do("bo", DeviceRevoke(device=new.secret.public, seq=0, entry=claimed))
    world.seal()
    assert (device(world, "bo").status, device(world, "bo2").status) == ("revoked", "active")


def test_a_claim_is_by_the_recovery_key_of_the_member(world: World) -> None:
    """Named in an entry that it links; for a member; with new keys; about its own devices."""
    bo, cy = world.people["bo"], world.people["cy"]
    new = newcomer(world, "x1", "bo")
    new.recovery = cy.recovery
    assert world.outcome(world.send("x1", claim_body(world, new, source=cy.member))).reason is Reason.NOT_ALLOWED
    new = newcomer(world, "x2", "bo")
    used = claim_body(world, new, node_key=cy.node.public)
    assert world.outcome(world.send("x2", _with_possession(world, new, used, cy))).reason is Reason.KEY_USED
    new = newcomer(world, "x3", "bo")
    foreign = claim_body(world, new, revoke=(Cut(cy.secret.public, 0, cy.member),))
    assert world.outcome(world.send("x3", foreign)).reason is Reason.NOT_FOUND
    new = newcomer(world, "x4", "bo")
    new.member = world.offered("bo", "roast")
    assert world.outcome(world.send("x4", claim_body(world, new, source=bo.member))).reason is Reason.NOT_A_MEMBER
    new = newcomer(world, "x5", "bo")
    with pytest.raises(EntryError) as caught:
        world.feed(world.sign("x5", claim_body(world, new, source=cy.member)))
    assert caught.value.reason is Reason.BAD_SIGNATURE


def _with_possession(world: World, new: Person, content: DeviceClaim, owner: Person) -> DeviceClaim:
    """The claim as somebody could make it who has another's node key."""
    payload = claim_payload(new.member, new.secret.public, owner.node.public, ())
    possession = codec.encode([new.secret.public, owner.node.public, new.recovery.public])
    fields = content.to_map() | {
        "consent": new.recovery.sign(signed_bytes(SignType.RECOVERY, world.ledger.id, payload)),
        "possession": owner.node.sign(signed_bytes(SignType.POSSESSION, world.ledger.id, possession)),
    }
    return DeviceClaim(**fields)


def test_whoever_left_may_claim_a_device(world: World) -> None:
    """To decide what is still open, and to come back."""
    deal = world.delivered("cy", "bo", "bake")
    world.do("bo", Leave())
    world.seal()
    new = newcomer(world, "bo2", "bo")
    world.do("bo2", claim_body(world, new))
    world.do("bo2", Approve(deal=deal))
    world.seal()
    assert world.points("cy") == 110


def test_the_recovery_key_changes_with_the_old_one(world: World) -> None:
    """And then the new one counts, named by the entry of the change."""
    bo, cy = world.people["bo"], world.people["cy"]
    new = key("bo-new", "recovery")

    def change(old: Any, recovery: Any) -> RecoveryChange:
        payload = possession_payload(old.public, recovery.public, bo.secret.public)
        return RecoveryChange(
            old=old.public,
            recovery=recovery.public,
            consent=old.sign(signed_bytes(SignType.RECOVERY, world.ledger.id, payload)),
            possession=recovery.sign(signed_bytes(SignType.POSSESSION, world.ledger.id, payload)),
        )

    assert world.refused("bo", change(cy.recovery, new)) is Reason.NOT_ALLOWED
    assert world.refused("bo", change(bo.recovery, cy.recovery)) is Reason.KEY_USED
    changed = world.do("bo", change(bo.recovery, new))
    assert member(world, "bo").recovery == new.public
    machine = newcomer(world, "bo2", "bo")
    assert world.outcome(world.send("bo2", claim_body(world, machine))).reason is Reason.NOT_ALLOWED
    machine = newcomer(world, "bo3", "bo")
    machine.recovery = new
    world.do("bo3", claim_body(world, machine, source=changed))
    assert device(world, "bo3").member == bo.member


# -- recovery by the others --------------------------------------------------------------------------------------------


def lost(world: World) -> bytes:
    """Thirty days after it joined, bo has lost everything, and two others know the voice."""
    world.wait(31 * DAY_MS)
    request = requested(world, "bo2", "bo")
    for name in ("ana", "cy"):
        world.do(name, RecoverApprove(request=request))
    world.seal()
    return request


def test_the_others_give_new_keys_after_thirty_days(world: World) -> None:
    """And the old devices are gone, the recovery key is another one, and nothing leaves for ninety days."""
    request = lost(world)
    ready = world.ledger.state.recoveries[request].ready
    assert ready
    world.seal(ready - 1)
    assert world.people["bo2"].secret.public not in world.ledger.state.devices
    assert world.ledger.due_by(ready)
    world.seal(ready)
    assert (device(world, "bo").status, device(world, "bo2").status) == ("revoked", "active")
    row = member(world, "bo")
    assert (row.recovery, row.recovered) == (key("bo2", "recovery").public, ready)
    assert not world.ledger.state.recoveries
    world.offered("bo2", "roast")
    assert world.refused("bo2", Transfer(to=world.people["cy"].member, points=1)) is Reason.TOO_EARLY
    assert world.refused("bo2", Leave()) is Reason.TOO_EARLY
    world.seal()
    world.wait(90 * DAY_MS)
    world.do("bo2", Transfer(to=world.people["cy"].member, points=1))
    machine = newcomer(world, "bo3", "bo")
    machine.recovery = key("bo2", "recovery")
    world.do("bo3", claim_body(world, machine, source=request))


def test_until_then_the_new_device_is_nobodys(world: World) -> None:
    """It may send exactly one entry."""
    lost(world)
    entry_id = world.send("bo2", world.offer("roast"))
    assert world.outcome(entry_id).reason is Reason.UNKNOWN_DEVICE


def test_more_than_half_of_the_others_and_at_least_two(world: World) -> None:
    """Two of three others; not oneself, not twice."""
    world.wait(31 * DAY_MS)
    request = requested(world, "bo2", "bo")
    world.do("ana", RecoverApprove(request=request))
    assert world.view().recoveries[request].ready == 0
    assert world.refused("ana", RecoverApprove(request=request)) is Reason.ALREADY_DONE
    assert world.outcome(world.send("bo", RecoverApprove(request=request))).reason is Reason.NOT_ALLOWED
    assert world.refused("cy", RecoverApprove(request=world.people["bo"].member)) is Reason.NOT_FOUND
    world.do("cy", RecoverApprove(request=request))
    assert world.view().recoveries[request].ready == world.now + 30 * DAY_MS


def test_an_old_device_vetoes_by_writing(world: World) -> None:
    """Whatever it writes, void or not; one that came within thirty days of the request says nothing."""
    request = lost(world)
    void = world.send("bo", Accept(offer=world.people["bo"].member))
    assert world.outcome(void).reason is Reason.OFFER_CLOSED
    world.seal()
    assert world.ledger.state.recoveries[request].vetoed
    world.seal(world.ledger.state.recoveries[request].ready)
    assert device(world, "bo").status == "active"
    assert world.people["bo2"].secret.public not in world.ledger.state.devices


def test_a_young_device_does_not_veto() -> None:
    """The thief has enrolled it."""
    world = market()
    world.wait(20 * DAY_MS)
    link = added(world, "thief", "bo")
    world.seal()
    world.wait(11 * DAY_MS)
    request = requested(world, "bo2", "bo")
    first(world, "thief", world.offer("roast"), link)
    world.seal()
    assert not world.ledger.state.recoveries[request].vetoed


def test_a_node_vetoes_by_sealing(world: World) -> None:
    """A READY of it in a block is a sign of life."""
    request = lost(world)
    ledger = world.ledger
    world.offered("ana", "roast")
    taken, _ = ledger.select(list(ledger.pool.tips), world.now)
    executed = ledger.execute(taken, world.now, (world.people["bo"].node.public,))
    assert any(path == f"recovery/{request.hex()}" for path in executed.rows)
    assert ledger._state.recoveries[request].vetoed
    ledger.discard()


def test_a_vote_overrules_a_veto(world: World) -> None:
    """By the fraction of an expulsion; before or after the thirty days."""
    assert world.refused("ana", body(world, "recover", entry=world.people["bo"].member)) is Reason.NOT_FOUND
    request = lost(world)
    world.offered("bo", "roast")
    world.seal(world.ledger.state.recoveries[request].ready)
    assert device(world, "bo").status == "active"
    passed(world, "ana", "recover", "ana", "cy", "di", entry=request)
    assert (device(world, "bo").status, device(world, "bo2").status) == ("revoked", "active")


def test_overruled_before_the_time_is_over_it_still_waits(world: World) -> None:
    """A vote stands against the veto, not against the thirty days."""
    request = lost(world)
    world.offered("bo", "roast")
    passed(world, "ana", "recover", "ana", "cy", "di", entry=request)
    assert device(world, "bo").status == "active"
    world.seal(world.ledger.state.recoveries[request].ready)
    assert device(world, "bo2").status == "active"


def test_a_request_that_did_not_work_is_forgotten(world: World) -> None:
    """After ninety days."""
    world.wait(31 * DAY_MS)
    requested(world, "bo2", "bo")
    world.seal()
    world.wait(90 * DAY_MS)
    world.seal()
    assert not world.ledger.state.recoveries
    assert not world.ledger.state.due


def test_requests_are_for_members_with_new_keys() -> None:
    """Never among two, and only a few at a time."""
    two = market("bo")
    assert two.outcome(two.send("x", request_body(two, newcomer(two, "x", "bo"), key("x", "recovery")))).reason is (
        Reason.NOT_ALLOWED
    )
    world = market()
    machine = newcomer(world, "x1", "bo")
    machine.member = world.offered("bo", "roast")
    assert world.outcome(world.send("x1", request_body(world, machine, key("x1", "recovery")))).reason is (
        Reason.NOT_A_MEMBER
    )
    machine = newcomer(world, "x2", "bo")
    assert world.outcome(world.send("x2", request_body(world, machine, world.people["cy"].recovery))).reason is (
        Reason.KEY_USED
    )
    for number in range(8):
        requested(world, f"y{number}", "bo")
    machine = newcomer(world, "z", "bo")
    assert world.outcome(world.send("z", request_body(world, machine, key("z", "recovery")))).reason is Reason.LIMIT
    requested(world, "cy2", "cy")
    world.seal(world.now + HOUR_MS)


def test_a_forked_device_is_replaced_with_the_recovery_words(world: World) -> None:
    """Two entries with one number freeze it; its member goes on with another."""
    person = world.people["bo"]
    one = world.unsent("bo", world.offer("roast"), world.now + HOUR_MS)
    two = world.unsent("bo", world.offer("bake"), world.now + HOUR_MS)
    world.feed(one)
    world.feed(two)
    world.wait(2 * HOUR_MS)
    world.seal()
    person.seq, person.prev = one.seq, device(world, "bo").head
    assert device(world, "bo").status == "frozen"
    assert world.refused("bo", world.offer("roast")) is Reason.DEVICE_FROZEN
    world.do(
        "bo2", claim_body(world, newcomer(world, "bo2", "bo"), revoke=(Cut(person.secret.public, 0, person.member),))
    )
    world.seal()
    assert device(world, "bo").status == "revoked"
    world.offered("bo2", "roast")
