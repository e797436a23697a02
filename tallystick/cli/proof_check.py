"""Checks a proof that `tally prove points` wrote, without Tallystick: this one file, Python, and PyNaCl.

    python proof_check.py FILE

It recomputes the chain of blocks from the founding, who was entitled to seal each of them, their votes, and the place
of the row in the state. What it prints was sealed by so many of so many computers; it does not show what came later.

Source: docs/spec/proofs.md; RFC 6962, section 2.1.1
"""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

SMALL = {
    "01" + "00" * 31, "01" + "00" * 30 + "80", "ee" + "ff" * 30 + "7f", "ee" + "ff" * 31, "ec" + "ff" * 30 + "7f",
    "ec" + "ff" * 31, "00" * 32, "ed" + "ff" * 30 + "7f", "00" * 31 + "80", "ed" + "ff" * 31,
    *(head + tail for head, tails in (
        ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc", ("05", "85")),
        ("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03", ("7a", "fa")),
    ) for tail in tails),
}  # fmt: skip
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493


class BadProof(Exception):
    """The proof does not show what it says."""


def need(holds: object, why: str) -> None:
    if not holds:
        raise BadProof(why)


def tagged(tag: str, data: bytes) -> bytes:
    return hashlib.sha256(b"tallystick/1/" + tag.encode() + b"\0" + data).digest()


def unpack(data: bytes, at: int = 0) -> tuple[Any, int]:
    """One MessagePack value and where it ends; the few forms that a ledger uses."""
    first = data[at]
    if first <= 0x7F or first >= 0xE0:
        return (first if first <= 0x7F else first - 256), at + 1
    if first in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[first], at + 1
    if 0xCC <= first <= 0xD3:
        size = 1 << (first & 3)
        return int.from_bytes(data[at + 1 : at + 1 + size], "big", signed=first >= 0xD0), at + 1 + size
    if first in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB) or 0xA0 <= first <= 0xBF:
        width = 0 if first <= 0xBF else 1 << ((first - 0xC4) % 21 if first < 0xC7 else first - 0xD9)
        length = first & 31 if not width else int.from_bytes(data[at + 1 : at + 1 + width], "big")
        start = at + 1 + width
        need(start + length <= len(data), "bytes are missing")
        body = data[start : start + length]
        return (bytes(body) if first in (0xC4, 0xC5, 0xC6) else body.decode()), start + length
    width = 0 if first <= 0x9F else 2 if first in (0xDC, 0xDE) else 4
    is_map = 0x80 <= first <= 0x8F or first in (0xDE, 0xDF)
    need(is_map or 0x90 <= first <= 0x9F or first in (0xDC, 0xDD), "a form that no ledger uses")
    count = first & 15 if not width else int.from_bytes(data[at + 1 : at + 1 + width], "big")
    at, items = at + 1 + width, []
    for _ in range(2 * count if is_map else count):
        item, at = unpack(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2], strict=True)) if is_map else items), at


def whole(data: bytes) -> Any:
    value, end = unpack(data)
    need(end == len(data), "bytes are left over")
    return value


def pack_text(text: str) -> bytes:
    data = text.encode()
    head = bytes([0xA0 | len(data)]) if len(data) < 32 else bytes([0xD9, len(data)])
    return head + data


def pack_int(number: int) -> bytes:
    if number < 128:
        return bytes([number])
    size = next(each for each in (1, 2, 4, 8) if number < 256**each)
    return bytes([0xCC + size.bit_length() - 1]) + number.to_bytes(size, "big")


def pack_bin(data: bytes) -> bytes:
    return b"\xc4" + bytes([len(data)]) + data


def pack_array(items: list[bytes]) -> bytes:
    head = bytes([0x90 | len(items)]) if len(items) < 16 else b"\xdc" + len(items).to_bytes(2, "big")
    return head + b"".join(items)


def verify(public: bytes, message: bytes, signature: bytes) -> None:
    """The strict rule: canonical points, none of small order, then RFC 8032."""
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    for point in (public, signature[:32]):
        need(len(point) == 32 and point.hex() not in SMALL, "a point of small order")
        need(int.from_bytes(point, "little") % 2**255 < P, "a point that is not canonical")
    need(len(signature) == 64 and int.from_bytes(signature[32:], "little") < L, "a signature out of range")
    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError:
        raise BadProof("a vote's signature does not hold") from None


def quorum(count: int) -> int:
    return count if count <= 2 else 2 if count == 3 else 2 * count // 3 + 1


def check_votes(
    ledger: bytes, certificate: bytes, height: int, block: bytes, sealers: list[tuple[bytes, bytes]]
) -> int:
    """How many of the sealers have voted for this block."""
    row = whole(certificate)
    need(row[0] == height and row[2] == block, "a certificate of another block")
    indices = [index for index, _ in row[3]]
    # No place is counted from the end: -1 would give the last sealer a second vote.
    is_ascending = indices == sorted(set(indices)) and 0 <= indices[0] <= indices[-1] < len(sealers)
    need(is_ascending, "votes that are not ascending")
    need(len(indices) >= quorum(len(sealers)), "too few votes")
    payload = pack_array([b"\x01", pack_bin(ledger), b"\x02", pack_int(height), pack_int(row[1]), pack_bin(block)])
    for index, signature in row[3]:
        verify(sealers[index][1], b"tallystick/1/sign/precommit\0" + ledger + payload, signature)
    return len(indices)


def root_of(leaf: bytes, position: int, size: int, path: list[bytes]) -> bytes:
    """The RFC 6962 root to which a leaf leads."""
    need(0 <= position < size, "no such place in the tree")
    digest, last = hashlib.sha256(b"\0" + leaf).digest(), size - 1
    for sibling in path:
        need(last > 0, "the path is too long")
        if position & 1 or position == last:
            digest = hashlib.sha256(b"\1" + sibling + digest).digest()
            while not position & 1:
                position, last = position >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\1" + digest + sibling).digest()
        position, last = position >> 1, last >> 1
    need(last == 0, "the path is too short")
    return digest


def check_row(state_root: bytes, key: str, value: bytes, position: int, size: int, path: list[str]) -> None:
    leaf = b"\x92" + pack_text(key) + value
    root = root_of(leaf, position, size, [bytes.fromhex(each) for each in path])
    need(tagged("state", pack_array([pack_int(size), pack_bin(root)])) == state_root, f"{key} is not in the state")


def check(proof: dict[str, Any]) -> dict[str, Any]:
    """What the proof shows, as a dict. Raises BadProof."""
    need(proof.get("v") == 1, "a version that this program does not know")
    ledger, founding = bytes.fromhex(proof["ledger"]), bytes.fromhex(proof["founding"])
    need("foundings" in proof or tagged("entry", founding) == ledger, "the founding is not that of this ledger")
    sealers = [(tagged("entry", founding), whole(founding)[9]["node_key"])]
    seats = {height: [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in rows] for height, rows in proof["sealers"]}
    certificates = {height: bytes.fromhex(data) for height, data in proof["certificates"]}
    founders = iter(proof.get("founders", []))
    foundings = {whole(data)[9]["line"][-1][1] + 1: data for data in map(bytes.fromhex, proof.get("foundings", []))}
    header: list[Any] = []
    before, votes, now = bytes(32), 0, tagged("entry", founding)
    for height, text in enumerate(proof["headers"], start=1):
        data = bytes.fromhex(text)
        if height in foundings:
            check_refounding(foundings[height], now, before, header)
            need(len(seats[height]) == 1, "founded anew by more than one")
            check_founder(foundings[height], seats[height][0][1], *map(bytes.fromhex, next(founders, ())))
            now = tagged("entry", foundings[height])
        last, header, block = header, whole(data), tagged("block", data)
        need(header[1] == now and header[2] == height and header[3] == before, f"block {height} does not follow")
        sealers = sealers if height == 1 else seats.get(height, sealers)
        named = tagged("sealers", pack_array([pack_array([pack_bin(a), pack_bin(b)]) for a, b in sealers]))
        need(named == header[11], f"block {height} names other sealers")
        # Whoever seals a block was named in the block before, but for a founding.
        need(height == 1 or height in foundings or named == last[12], f"block {height} was not theirs to seal")
        is_end = height == len(proof["headers"]) or height + 1 in foundings or height in foundings
        if header[11] != header[12] or is_end:
            need(height in certificates, f"the votes for block {height} are missing")
            votes = check_votes(now, certificates[height], height, block, sealers)
        before = block
    need(header and now == ledger, "there is no block of this ledger")
    shown: dict[str, Any] = {}
    if foundings:
        value, *place = proof["refounded"]
        row = whole(bytes.fromhex(value))
        check_row(header[10], "refounded", bytes.fromhex(value), *place)
        need(row[0] == ledger and row[2] + 1 in foundings, "it was founded anew otherwise")
        shown["refounded"] = {"ledger": row[1].hex(), "height": row[2], "signed": len(row[7]), "partners": row[8]}
    key = proof["key"]
    if "value" in proof:
        value = bytes.fromhex(proof["value"])
        check_row(header[10], key, value, *proof["inclusion"])
        amount = whole(value)[0]
    else:
        check_absence(header[10], key, proof["absence"])
        amount = 0
    need(key.startswith("acct/POINT/partner/"), "a row that is not of somebody's points")
    return shown | {
        "ledger": ledger.hex(),
        "partner": key.rpartition("/")[2],
        "points": amount,
        "height": len(proof["headers"]),
        "time": header[4],
        "votes": votes,
        "sealers": len(sealers),
    }


def check_refounding(founding: bytes, ledger: bytes, block: bytes, header: list[Any]) -> None:
    """Whether a ledger was founded anew on this block; that its signers were partners is for the ledger to say."""
    row = whole(founding)
    body = row[9]
    need(body["line"][-1] == [ledger, header[2]] and body["block"] == block, "founded anew on another block")
    need(body["state_root"] == header[10], "founded anew on another state")
    payload = [pack_bin(ledger), pack_int(header[2]), pack_bin(block), pack_bin(header[10]), pack_bin(row[2])]
    devices = [device for device, _ in body["signatures"]]
    need(devices == sorted(set(devices)) and row[2] in devices, "not signed by the founder")
    for device, signature in body["signatures"]:
        verify(device, b"tallystick/1/sign/refound\0" + ledger + pack_array(payload), signature)


def check_founder(founding: bytes, node: bytes, said: bytes = b"", signature: bytes = b"") -> None:
    """Whether the node that seals first is that of the founding device, as this has said itself when it came in."""
    need(said, "who founded it anew is not shown")
    device, row = whole(founding)[2], whole(said)
    need(row[9].get("node_key") == node and len(row[1]) == 32, "not sealed by the founder's computer")
    if row[2] == device:
        verify(device, b"tallystick/1/sign/entry\0" + row[1] + tagged("entry", said), signature)
    else:
        # It was added by another one, and agreed.
        need(row[8] == "device.add" and row[9]["device"] == device, "not sealed by the founder's computer")
        payload = pack_array([pack_bin(device), pack_bin(node), pack_bin(row[2])])
        verify(device, b"tallystick/1/sign/possession\0" + row[1] + payload, row[9]["possession"])


def check_absence(state_root: bytes, key: str, rows: list[Any]) -> None:
    left, right = rows
    need(left or right, "nothing is shown")
    for row in rows:
        if row:
            check_row(state_root, row[0], bytes.fromhex(row[1]), *row[2:])
    need(not left or left[0] < key, "the left neighbour lies behind")
    need(not right or key < right[0], "the right neighbour lies before")
    if left and right:
        need(left[2] + 1 == right[2], "they are no neighbours")
    else:
        need((right or left)[2] == (0 if right else left[3] - 1), "something may lie beyond")


def refounded_words(row: dict[str, Any]) -> str:
    return f"re-founded from {row['ledger']} at {row['height']} by {row['signed']} of {row['partners']}"


def main(argv: list[str]) -> int:
    if len(argv) != 2:
        sys.stderr.write("usage: proof_check.py FILE\n")
        return 2
    try:
        shown = check(json.loads(Path(argv[1]).read_text(encoding="utf-8")))
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(shown["time"] / 1000))
    except (
        BadProof,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OSError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        sys.stderr.write(f"NOT shown: {error}\n")
        return 7
    age = (time.time() * 1000 - shown["time"]) / 86_400_000
    seals = f"sealed by {shown['votes']} of {shown['sealers']}"
    sys.stdout.write(
        f"partner {shown['partner']}\nhas {shown['points']} points\nin ledger {shown['ledger']}\n"
        f"at block {shown['height']} of {when}, {age:.1f} days ago, {seals}\n"
        + (f"{refounded_words(shown['refounded'])}\n" if "refounded" in shown else "")
        + "It does not show: what was sealed later, who the partner is, or that these sealers are honest.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
