"""The envelope: golden entries, every refusal of the reader, and what is made is what is read."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.crypto.signatures import is_valid
from tallystick.protocol import codec
from tallystick.protocol.entry import (
    FIELD_COUNT,
    Entry,
    annex_hash,
    encode_annex,
    encode_header,
    make_entry,
    read_annex_untrusted,
    read_entry_known,
    read_entry_untrusted,
    signed_message,
    wire,
)
from tallystick.protocol.errors import DecodeError, EntryError, Reason
from tallystick.protocol.limits import ANNEX_SIZE_BYTES_MAX, HEADER_SIZE_BYTES_MAX, LINKS_MAX, TIME_MS_MAX
from tests.protocol.test_codec import spelled, values
from tests.support.builders import key

FOLDER = Path(__file__).resolve().parent.parent / "vectors" / "entries"
NAMES = ("version", "ledger", "device", "seq", "prev", "links", "seal", "time", "kind", "body", "annex")
SALT = bytes(range(16))
#: The body is a map in either case, whatever it was read from.
FIELDS = set(Entry.__slots__) - {"_body", "raw_body"} | {"body"}
#: A header that is well formed; the cases change some of it.
GOOD: dict[str, Any] = {
    "version": 1,
    "ledger": b"\x11" * 32,
    "device": key("ana").public,
    "seq": 1,
    "prev": b"\x33" * 32,
    "links": [b"\x50" * 32, b"\x51" * 32],
    "seal": [7, b"\x44" * 32],
    "time": 1_772_323_200_000,
    "kind": "offer",
    "body": {"side": "sell"},
    "annex": None,
}


def read(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))["cases"]
    return cases


ACCEPTED, REFUSED = read("accepted.json"), read("refused.json")


def real(value: Any) -> Any:
    """A value of a case, with its bytes."""
    if isinstance(value, dict):
        return (
            spelled(value["bytes"]) if set(value) == {"bytes"} else {name: real(each) for name, each in value.items()}
        )
    return [real(each) for each in value] if isinstance(value, list) else value


def sent(change: dict[str, Any]) -> tuple[bytes, bytes, bytes | None]:
    """What a case sends: header, signature, annex."""
    change = real(change)
    annex = None
    if "annex_named" in change:
        annex = spelled(change.pop("annex_named"))
        change["annex"] = annex_hash(annex)
    if "annex_sent" in change:
        annex = spelled(change.pop("annex_sent"))
    signature = spelled(change.pop("signature", "00*64"))
    raw_body, tail = change.pop("raw_body", None), spelled(change.pop("tail", ""))
    fields = [{**GOOD, **change}[name] for name in NAMES]
    if "header" in change:
        return spelled(change["header"]), signature, annex
    if "drop" in change:
        fields.pop()
    if "more" in change:
        fields.append(change["more"])
    parts = [packed(each) for each in fields]
    if raw_body is not None:
        parts[9] = spelled(raw_body)
    return bytes([0x90 | len(parts)]) + b"".join(parts) + tail, signature, annex


def packed(value: Any) -> bytes:
    """As the codec writes it, but for what it would refuse to write."""
    try:
        return codec.encode(value)
    except ValueError:
        from tests.protocol.test_codec import written

        return written(value)


def reason_of(header: bytes, signature: bytes = bytes(64), annex: bytes | None = None) -> str:
    try:
        read_entry_untrusted(header, signature, annex)
    except (DecodeError, EntryError) as error:
        return str(error.reason)
    return "accepted"


# -- golden entries ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["name"])
def test_golden_entries_are_read(case: dict[str, Any]) -> None:
    """Id, signature and every field, from the bytes that somebody once sent."""
    header, signature = bytes.fromhex(case["header"]), bytes.fromhex(case["signature"])
    annex = None if case["annex"] is None else bytes.fromhex(case["annex"])
    entry = read_entry_untrusted(header, signature, annex)
    assert entry.id.hex() == case["id"] == sha256(b"tallystick/1/entry\0" + header).hexdigest()
    message = b"tallystick/1/sign/entry\0" + entry.ledger + entry.id
    assert signed_message(entry.id, entry.ledger) == message
    assert is_valid(entry.device, message, signature)
    fields = case["fields"]
    assert entry.ledger.hex() == fields["ledger"]
    assert entry.device.hex() == fields["device"]
    assert (entry.seq, entry.time, entry.kind) == (fields["seq"], fields["time"], fields["kind"])
    assert (entry.prev and entry.prev.hex()) == fields["prev"]
    assert [link.hex() for link in entry.links] == fields["links"]
    assert (entry.seal and [entry.seal[0], entry.seal[1].hex()]) == fields["seal"]
    assert (entry.annex_hash and entry.annex_hash.hex()) == fields["annex_hash"]
    if annex is not None:
        assert fields["annex_hash"] == sha256(b"tallystick/1/annex\0" + annex).hexdigest()
    assert entry.parents == ((entry.prev, *entry.links) if entry.prev else entry.links)
    assert wire(entry) == (header, signature, annex)


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["name"])
def test_golden_entries_are_made_again(case: dict[str, Any]) -> None:
    """The same fields and the same key give the same bytes, the signature included."""
    header, annex = bytes.fromhex(case["header"]), case["annex"]
    entry = read_entry_untrusted(header, bytes.fromhex(case["signature"]), None)
    secret = next(key(name) for name in ("ana", "bo") if key(name).public == entry.device)
    again = make_entry(
        secret,
        ledger=entry.ledger,
        seq=entry.seq,
        prev=entry.prev,
        links=reversed(entry.links),
        seal=entry.seal,
        time=entry.time,
        kind=entry.kind,
        body=entry.body,
        annex=None if annex is None else bytes.fromhex(annex),
    )
    assert (again.header.hex(), again.signature.hex()) == (case["header"], case["signature"])
    assert again == entry and hash(again) == hash(entry)


def test_golden_entries_cover_the_form() -> None:
    """With and without words, with and without parents, and one that founds."""
    entries = [bytes.fromhex(case["header"]) for case in ACCEPTED]
    assert any(case["annex"] for case in ACCEPTED) and not all(case["annex"] for case in ACCEPTED)
    assert {case["fields"]["kind"] for case in ACCEPTED} >= {"found", "offer"}
    assert all(header[0] == 0x90 | FIELD_COUNT for header in entries)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_what_the_refusals_change_is_well_formed() -> None:
    """Else they would show nothing."""
    assert reason_of(*sent({})) == "accepted"
    assert reason_of(*sent({"annex_named": "81 a4 73616c74 c410 00*16"})) == "accepted"
    founding: dict[str, Any] = {"ledger": {"bytes": "00*32"}, "kind": "found", "seq": 0, "prev": None}
    assert reason_of(*sent(founding | {"links": [], "seal": None})) == "accepted"


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_malformed_entries_are_refused_with_their_reason(case: dict[str, Any]) -> None:
    """One fault each, and for some two, to fix which is said first."""
    assert reason_of(*sent(case["change"])) == case["expect"]


def test_every_reason_of_the_reader_has_a_case() -> None:
    """All that its docstring promises."""
    reasons = {case["expect"] for case in REFUSED}
    assert reasons >= {
        Reason.MALFORMED,
        Reason.WRONG_LEDGER,
        Reason.BAD_SEQ,
        Reason.BAD_LINKS,
        Reason.BAD_SEAL,
        Reason.BAD_SIGNATURE,
        Reason.BAD_ANNEX,
        Reason.TOO_LARGE,
    }
    assert reasons & {Reason.FLOAT, Reason.UNSORTED_KEYS, Reason.TRAILING_BYTES, Reason.TRUNCATED}


@pytest.mark.parametrize(
    ("kind", "size_max"),
    [("offer", HEADER_SIZE_BYTES_MAX), ("propose", 64 * 1024)],
)
def test_sizes_up_to_the_limit_are_accepted(kind: str, size_max: int) -> None:
    """The bound itself is inside; four times as much for what carries a charter."""
    for size, expect in ((size_max, "accepted"), (size_max + 1, "too-large")):
        spare = size - len(codec.encode([{**GOOD, "kind": kind, "body": {"a": bytes(3000)}}[name] for name in NAMES]))
        body = {"a": bytes(3000 + spare)}
        header = codec.encode([{**GOOD, "kind": kind, "body": body}[name] for name in NAMES])
        assert len(header) == size
        assert reason_of(header) == expect


def test_an_annex_up_to_the_limit_is_accepted() -> None:
    """And it may be missing: the header stands alone."""
    annex = encode_annex(SALT, {"note": "x" * (ANNEX_SIZE_BYTES_MAX - 40)})
    annex = encode_annex(SALT, {"note": "x" * (ANNEX_SIZE_BYTES_MAX - 40 + ANNEX_SIZE_BYTES_MAX - len(annex))})
    assert len(annex) == ANNEX_SIZE_BYTES_MAX
    header = codec.encode([{**GOOD, "annex": annex_hash(annex)}[name] for name in NAMES])
    assert read_entry_untrusted(header, bytes(64), annex).annex == annex
    assert read_entry_untrusted(header, bytes(64), None).annex is None


# -- properties --------------------------------------------------------------------------------------------------------

_ids = st.binary(min_size=32, max_size=32).filter(any)
_bodies = st.dictionaries(st.text(st.characters(codec="ascii"), max_size=8), st.integers(-5, 2**40), max_size=5)


@given(
    seq=st.integers(0, 2**63 - 1),
    prev=_ids,
    links=st.sets(_ids, max_size=LINKS_MAX),
    seal=st.none() | st.tuples(st.integers(1, 2**63 - 1), _ids),
    time=st.integers(0, TIME_MS_MAX),
    kind=st.from_regex(r"[a-z0-9.]{1,32}", fullmatch=True).filter(lambda kind: kind != "found"),
    body=_bodies,
    words=st.none()
    | st.dictionaries(st.sampled_from(["title", "note", "name"]), st.text(st.characters(codec="utf-8"))),
)
def test_what_is_made_is_what_is_read(
    seq: int,
    prev: bytes,
    links: set[bytes],
    seal: tuple[int, bytes] | None,
    time: int,
    kind: str,
    body: dict[str, int],
    words: dict[str, str] | None,
) -> None:
    """Every field, from the bytes alone; links come in their order whatever order they were given in."""
    links.discard(prev)
    annex = None if words is None else encode_annex(SALT, words)
    made = make_entry(
        key("bo"),
        ledger=b"\x11" * 32,
        seq=seq,
        prev=prev if seq else None,
        links=links,
        seal=seal,
        time=time,
        kind=kind,
        body=body,
        annex=annex,
    )
    entry = read_entry_untrusted(*wire(made))
    assert (entry.seq, entry.prev, entry.seal, entry.time, entry.kind) == (seq, prev if seq else None, seal, time, kind)
    assert entry.links == tuple(sorted(links))
    assert entry.body == body
    assert is_valid(entry.device, signed_message(entry.id, entry.ledger), entry.signature)
    if annex is not None:
        assert read_annex_untrusted(annex) == {**(words or {}), "salt": SALT}
    again = read_entry_known(entry.id, entry.header, entry.signature)
    assert again is not None
    for name in FIELDS - {"annex"}:
        assert getattr(again, name) == getattr(entry, name), name


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case["name"])
def test_what_was_judged_before_is_read_by_its_id_alone(case: dict[str, Any]) -> None:
    """The same in every field; with any other id nothing is read."""
    header, signature = bytes.fromhex(case["header"]), bytes.fromhex(case["signature"])
    entry = read_entry_untrusted(header, signature, None)
    again = read_entry_known(entry.id, header, signature)
    assert again is not None
    for name in FIELDS:
        assert getattr(again, name) == getattr(entry, name), name
    assert read_entry_known(bytes(32), header, signature) is None
    assert read_entry_known(entry.id, header[:-1], signature) is None


@given(st.binary(max_size=200), st.binary(max_size=70), st.none() | st.binary(max_size=40), values)
def test_no_input_does_worse_than_a_refusal(data: bytes, signature: bytes, annex: bytes | None, value: Any) -> None:
    """Bytes, and canonical arrays of the right length with anything in them."""
    reason_of(data, signature, annex)
    for place in range(FIELD_COUNT):
        fields = [GOOD[name] for name in NAMES]
        fields[place] = value
        try:
            header = codec.encode(fields)
        except ValueError:
            continue
        reason_of(header, signature, annex)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_any_change_to_a_header_breaks_the_signature(place: int, bit: int) -> None:
    """What still can be read has another id, so the device has not signed it."""
    case = ACCEPTED[1]
    header = bytearray.fromhex(case["header"])
    header[place % len(header)] ^= 1 << bit
    try:
        entry = read_entry_untrusted(bytes(header), bytes.fromhex(case["signature"]), None)
    except (DecodeError, EntryError):
        return
    assert entry.id.hex() != case["id"]
    assert not is_valid(entry.device, signed_message(entry.id, entry.ledger), entry.signature)


# -- our own mistakes --------------------------------------------------------------------------------------------------


def test_an_entry_is_never_made_that_others_would_refuse() -> None:
    """The maker reads its own work back."""
    good: dict[str, Any] = {name: GOOD[name] for name in ("ledger", "seq", "prev", "links", "time", "kind", "body")}
    good["seal"] = None
    assert isinstance(make_entry(key("ana"), **good), Entry)
    wrong_ones: list[tuple[dict[str, Any], Reason]] = [
        ({"seq": 0}, Reason.BAD_SEQ),
        ({"kind": "Offer"}, Reason.MALFORMED),
        ({"links": [b"\x50" * 32] * 2}, Reason.BAD_LINKS),
        ({"body": {"a": bytes(20_000)}}, Reason.TOO_LARGE),
        ({"ledger": bytes(32)}, Reason.WRONG_LEDGER),
        ({"annex": b"\x80"}, Reason.BAD_ANNEX),
    ]
    for change, reason in wrong_ones:
        with pytest.raises((EntryError, DecodeError)) as caught:
            make_entry(key("ana"), **good | change)
        assert getattr(caught.value, "reason", None) is reason


def test_annexes_are_made_with_one_salt_and_within_bounds() -> None:
    """16 bytes of luck, which no word may overwrite."""
    assert encode_annex(SALT, {"note": "b", "title": "a"}) == codec.encode({"note": "b", "salt": SALT, "title": "a"})
    with pytest.raises(ValueError, match="one salt"):
        encode_annex(SALT[:15], {})
    with pytest.raises(ValueError, match="one salt"):
        encode_annex(SALT, {"salt": "x"})
    with pytest.raises(ValueError, match="at most"):
        encode_annex(SALT, {"note": "x" * ANNEX_SIZE_BYTES_MAX})


def test_typed_values_in_a_body_are_written_plain() -> None:
    """Enumerations and nested structs become what every reader knows."""
    import msgspec

    class Row(msgspec.Struct):
        step: str

    fields = {name: GOOD[name] for name in ("ledger", "device", "seq", "prev", "links", "time", "kind")}
    header = encode_header(**fields, seal=None, body={"rows": [Row("roast")], "id": b"\1"}, annex_hash=None)
    assert read_entry_untrusted(header, bytes(64), None).body == {"rows": [{"step": "roast"}], "id": b"\1"}


def test_an_entry_is_its_header() -> None:
    """Two valid signatures of one header are one entry, and it shows who and what without its body."""
    header = sent({})[0]
    one, other = read_entry_untrusted(header, bytes(64), None), read_entry_untrusted(header, b"\1" * 64, None)
    assert one == other and len({one, other}) == 1
    assert one != "entry" and one != read_entry_untrusted(sent({"seq": 2})[0], bytes(64), None)
    assert repr(one) == f"<Entry {one.id.hex()[:8]} offer seq 1 of {one.device.hex()[:8]}>"
