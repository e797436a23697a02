"""Where everything lies in the store: one prefix a noun, in one table. Numbers in keys are big-endian, so they sort.

| prefix | key | value |
|---|---|---|
| `E` | entry id | signature (64 bytes), then the header: a pending entry |
| `A` | entry id | annex bytes: the words, which can be erased |
| `T` | height, number of the page | [signature and header, ...]: sixteen entries of a block, in their order |
| `M` | entry id | [height, at, device, seq, seal height, place, reason, detail]: a sealed entry |
| `B` | height | [header, certificate, READYs, entry ids]: a block |
| `H` | height | [block id, time, state root, charter hash, charter version] |
| `S` | path | a row of the sealed state |
| `C` | deal id | the last state of a closed deal |
| `O` | height, number of the page | [[place, at, cause, what, charter version, postings], ...]: of 64 places a page |
| `X` | member or deal id, height | [place, ...]: where in a block an account of it is touched |
| `V` | name | what this node has signed and seen while sealing |
| `W` | height, hash | a sealing message of somebody else; of a sealed height only late prevotes |
| `G` | name | the head, the log, the format |
| `K` | height | [[member, node key], ...]: who seals from this height on |
| `N` | node key | addresses of a peer, as it or others said |
| `F` | sha-256, entry id | deal id: a delivery that names an evidence file which is here |
| `R` | node key | [address, at, height]: when a peer was connected last, and the address that led to it |

Source: docs/spec/storage.md
"""

from __future__ import annotations

from typing import Final

ENTRY: Final = b"E"
ANNEX: Final = b"A"
CONTENTS: Final = b"T"
SEALED: Final = b"M"
BLOCK: Final = b"B"
HEIGHT: Final = b"H"
STATE: Final = b"S"
CLOSED: Final = b"C"
OUTCOME: Final = b"O"
MEMBER_OUTCOME: Final = b"X"
SEALING: Final = b"V"
MESSAGE: Final = b"W"
META: Final = b"G"
SEATS: Final = b"K"
ADDRESS: Final = b"N"
CONTACT: Final = b"R"
EVIDENCE: Final = b"F"

HEAD_KEY: Final = META + b"head"
LEDGER_KEY: Final = META + b"ledger"
FORMAT_KEY: Final = META + b"format"
JOIN_KEY: Final = META + b"join"
LINE_KEY: Final = META + b"line"
FORMAT: Final = 2

#: A row for each entry costs more than the entry; a page as large as a block would be read whole for one of them.
PAGE_ENTRIES: Final = 16
PAGE_PLACES: Final = 64


def height_key(prefix: bytes, height: int) -> bytes:
    return prefix + height.to_bytes(8, "big")


def page_key(prefix: bytes, height: int, number: int) -> bytes:
    return prefix + height.to_bytes(8, "big") + number.to_bytes(4, "big")


def member_outcome_key(member: bytes, height: int) -> bytes:
    return MEMBER_OUTCOME + member + height.to_bytes(8, "big")
