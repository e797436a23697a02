"""What went wrong, in words: one table of every reason there is, each with a sentence and a hint.

A reason is the word by which programs, logs and the protocol know a refusal. The sentence says to a person what it
means here; the hint says what to do, and is empty where nothing can be done. Errors that carry a better sentence of
their own (a path, a number) keep it, and take the hint from here if they bring none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tallystick.node.errors import ANEW

Words = tuple[str, str]

#: A rule refuses the entry: exit code 1.
RULES: Final[Mapping[str, Words]] = {
    "alone": (
        "nothing is paid here before a second partner has joined",
        "invite somebody with `tally invite`",
    ),
    "already-done": ("this has been done already", "`tally log` shows it"),
    "balance": ("there are not enough points or money for it", "`tally points` shows who has what"),
    "budget-exhausted": (
        "the budget of this period is used up",
        "wait for the next period, or propose a larger budget; `tally charter show` has the rule",
    ),
    "deadline": (
        "the deadline is missing, has passed or is too far away",
        "name one that lies ahead, by at most a year: `--deadline 3d`",
    ),
    "deal-closed": ("this deal is closed", "`tally deals` shows what is still open"),
    "device-frozen": (
        "this device has signed two entries with one number, so what it writes no longer counts",
        "add another device of yours; `tally doctor` says how that can happen",
    ),
    "fork": ("this device has signed another entry with the same number before", "`tally doctor` explains"),
    "grade": ("the grade is outside what the step allows", "`tally charter show` has the step's max-grade"),
    "invite-closed": (
        "this invitation has been used up, taken back or has expired",
        "ask for a new one: `tally invite`",
    ),
    "key-used": ("this key has been enrolled before, and a key is enrolled only once", "make a new home: `tally init`"),
    "ledger-full": ("the charter allows no more partners", "`tally charter show` has membership.max-partners"),
    "limit": (
        "that is more than a ledger holds: a number is too large, or there are too many of something",
        "use a smaller number; of your computers, retire or revoke one first: `tally device list`",
    ),
    "max-open": (
        "too many deals and offers of this step are open already",
        "finish or withdraw one first: `tally deals`, `tally offers`",
    ),
    "not-active": (
        "whoever signs this, or whom it is about, has left or is suspended",
        "`tally partners` shows everybody's standing",
    ),
    "not-addressed": ("this offer is addressed to somebody else", ""),
    "not-allowed": ("this is not yours to do", "`tally show ID` says who must act"),
    "not-a-member": ("this device belongs to no member of the ledger yet", "`tally status` says what is waited for"),
    "not-a-partner": (
        "only a partner can do this, and not during probation",
        "`tally partners` shows everybody's standing",
    ),
    "not-joined": (
        "the ledger was founded anew, and whom this is about has not joined it yet",
        "they join with `tally re-found FILE`, and until then nobody touches what is theirs",
    ),
    "not-found": ("there is no such thing in this ledger", "`tally log` lists everything"),
    "offer-closed": ("this offer can no longer be accepted", "`tally offers` shows what is open"),
    "offer-taken": (
        "this offer has been accepted already, as often as it may be",
        "`tally deals` shows by whom, `tally offers` what is open",
    ),
    "own-offer": ("nobody accepts, or endorses, an offer of their own", ""),
    "pair-cap": (
        "these two partners have traded with one another as much as the charter allows in this period",
        "wait for the next period, or trade with somebody else",
    ),
    "pool-empty": ("the pool does not hold that many points any more", "`tally points` shows what is left"),
    "revoked": ("this device has been revoked", "use another device of yours"),
    "role": (
        "a role is missing: one of the two does not hold it, or the charter does not have it",
        "`tally charter show` has the roles",
    ),
    "scope": ("this device may only offer, accept, deliver and claim", "use a device with the scope `all`"),
    "stale": ("this was signed too long before it could be sealed", "sign it again"),
    "state": ("this is not possible in the present state of things", "`tally show ID` says what it is now"),
    "terms-changed": ("the rules have changed since this was signed", "look at `tally charter show` and sign anew"),
    "too-early": ("this is not possible yet", "`tally show ID` has the dates"),
    "too-few-joined": (
        "the ledger was founded anew, and not more than half of its partners have joined it yet",
        "until then only joining, devices and sealers can be written about; `tally partners` shows who is missing",
    ),
    "too-few-signed": (
        "at least half of the partners must sign before a ledger is founded anew",
        "pass the file on: each signs it with `tally re-found FILE`",
    ),
    "too-late": ("the time for this is over", "`tally show ID` has the dates"),
    "cap": (
        "the charter allows less of it: in one deal, of one round, to one member or in one period",
        "`tally charter show` has the limit",
    ),
    "last-partner": ("nobody who is active would remain", "invite somebody first, or sell: `tally propose sale`"),
    "not-an-elector": (
        "others decide this proposal: those who were partners when it was sealed, without the one it is about",
        "`tally proposals` shows who votes",
    ),
    "not-endorsed": (
        "too few partners have endorsed this open offer, which the pool would pay",
        "`tally endorse OFFER`, by partners who are on neither side",
    ),
    "not-on-duty": (
        "somebody else has to do this: whoever is on duty, and not in a case of their own",
        "`tally partners` says who is on duty",
    ),
    "not-on-panel": ("others have been drawn to decide this dispute", "`tally show ID` names them"),
    "proposal-closed": ("this proposal has been decided", "`tally proposals` shows what is open"),
    "sold": ("the whole has been sold: only what settles that is left to do", "`tally settlement` shows what"),
    "still-needed": (
        "these words belong to a deal or proposal that is not closed",
        "wait until it is closed and its time for disputes is over",
    ),
    "trial": ("this is not possible before the charter has been ratified", "`tally propose ratify`"),
    "units": ("the number of units is outside what the deal allows", "`tally show ID` has the numbers"),
}

#: What a refusal means to one operation, where that is another thing than elsewhere.
OF_OPERATION: Final[Mapping[tuple[str, str], Words]] = {
    ("attest", "already-done"): ("you have attested it already", "`tally show ID` says what it still takes"),
    ("attest", "not-found"): (
        "this claim waits for nobody: it was paid, or has lapsed",
        "`tally show ID` says what became of it",
    ),
    ("back", "state"): ("you are not away", "`tally partners` shows who is"),
    ("cash", "balance"): ("less than that is left of the donation", "`tally audit` shows what donations have left"),
    ("endorse", "already-done"): ("you have endorsed it already", "`tally offers` shows what it still takes"),
    ("erase", "already-done"): ("its words are erased already", ""),
    ("paid", "balance"): ("less than that is owed", "`tally settlement` shows who is owed what"),
    ("propose", "already-done"): ("there would be nothing to decide", "`tally charter show` has what is in force"),
    ("propose", "role"): ("the charter has no such role", "`tally charter show` has the roles"),
    ("propose", "state"): (
        "this is not possible in the present state of things",
        "`tally partners` and `tally charter show` say how they stand",
    ),
    ("receipt", "already-done"): ("this counts already", "`tally show ID` has it"),
    ("received", "balance"): ("less than that was paid to you", "`tally settlement` shows who was paid what"),
    ("report", "already-done"): ("you have accounted for this term already", "`tally audit` shows who has not"),
    ("sealer", "already-done"): ("it is so already", "`tally status` says who seals, and who asks to"),
    ("transfer", "not-allowed"): ("points are given to somebody else", ""),
    ("transfer", "balance"): ("so many of your points are not vested", "`tally points` shows who has what"),
    ("use-voucher", "balance"): ("your vouchers are worth less than that", "`tally statement NAME` lists them"),
}

#: Bytes or an entry that no node takes. People meet these in foreign files and in bugs.
STRUCTURE: Final[Mapping[str, Words]] = {
    "bad-utf8": ("a text in it is not UTF-8", ""),
    "duplicate-key": ("it names one field twice", ""),
    "ext": ("it holds a value of a foreign type", ""),
    "float": ("it holds a number with a fraction", ""),
    "integer-range": ("it holds a number beyond 63 bits", ""),
    "key-type": ("a field in it has no name", ""),
    "not-canonical": ("it is not written in the one form that counts", ""),
    "not-shortest": ("a number in it is written longer than it must be", ""),
    "reserved-byte": ("it holds a byte that means nothing", ""),
    "too-deep": ("it is nested too deeply", ""),
    "too-large": ("it is larger than anything of its kind may be", ""),
    "too-long": ("a list in it is longer than any may be", ""),
    "trailing-bytes": ("something follows where it should end", ""),
    "truncated": ("it ends too early", "get it again: a part is missing"),
    "unsorted-keys": ("its fields are not in order", ""),
    "bad-annex": ("the words do not belong to the entry", ""),
    "bad-links": ("the entry cites others in a wrong way", ""),
    "bad-seal": ("the entry cites a block that was never there", ""),
    "bad-seq": ("the entry has a wrong number", ""),
    "bad-signature": ("the signature is wrong", "get it again from somebody you trust"),
    "malformed": ("the entry is not filled in as its kind asks", "`tally COMMAND --help` shows what is allowed"),
    "not-linked": ("the entry does not cite what it refers to", ""),
    "other-branch": ("the entry belongs to another branch of this ledger", "`tally fork` shows both branches"),
    "unknown-device": ("the entry is signed by a device that the ledger does not know", ""),
    "unknown-kind": ("this version does not know entries of this kind", "update this program"),
    "wrong-ledger": ("the entry belongs to another ledger", ""),
}

#: This computer: the home, its keys and settings, the store, the node, the network.
HERE: Final[Mapping[str, Words]] = {
    "ambiguous": ("more than one thing is called so", "use more digits, or the id"),
    "home-exists": ("there is a home already", "choose another folder with --home"),
    "home-in-use": (
        "another process uses this home and does not answer",
        "wait until it has finished, or stop it; `tally doctor` names it",
    ),
    "home-unreadable": ("the home cannot be read", "`tally doctor` says more"),
    "no-home": ("there is no home yet", "`tally init --name NAME` makes one"),
    "home-read-only": ("the home lies on a disk that cannot be written", ""),
    "home-unsafe": ("others can read or change the home", "it must belong to you alone: chmod 700"),
    "store-closed": ("the store is closed", "try again"),
    "store-damaged": (
        "the store is damaged",
        f"keep a copy of the home, and {ANEW}",
    ),
    "disk-full": ("the disk is full", "make room; nothing that was confirmed is lost"),
    "store-exists": ("the ledger is here already", "`tally status` shows it"),
    "disk-error": ("the disk fails", "stop, check the disk, and start again"),
    "store-missing": (
        "the ledger's store is gone",
        f"nothing was created in its place: put the folder back, or {ANEW}",
    ),
    "store-too-new": ("the store was written by a newer version", "update this program"),
    "config-invalid": ("the settings cannot be understood", "edit config.toml in the home"),
    "charter-invalid": ("the charter has errors", "mend what is listed and check again: `tally charter check FILE`"),
    "scenario-invalid": (
        "this is no scenario for a rehearsal",
        "mend what is listed; the guide shows scenarios that work",
    ),
    "key-locked": (
        "the signing key is locked",
        "`tally unlock`, or name a file with the passphrase: TALLY_PASSPHRASE_FILE",
    ),
    "wrong-passphrase": ("the passphrase is wrong", "try again; nothing was changed"),
    "passphrase-unusable": ("this passphrase cannot be used", "choose another one, of 1 to 1024 characters"),
    "passphrases-differ": ("the two passphrases are not the same", "type the same one twice"),
    "cannot-derive": ("this computer could not derive the key from the passphrase", "free some memory and try again"),
    "key-file-cost": ("the key file asks for more memory than any of ours", "restore the file from a copy"),
    "key-file-damaged": ("the key file is damaged", "restore it from a copy, or use the recovery words"),
    "key-file-too-new": ("the key file was written by a newer version", "update this program"),
    "key-label": ("the key file is for something else", "restore the right file from a copy"),
    "words-checksum": (
        "the recovery words do not add up: one is wrong, or two are exchanged",
        "compare with your paper",
    ),
    "words-count": ("there must be 24 recovery words", "compare with your paper"),
    "word-unknown": ("a recovery word is not in the list", "compare with your paper"),
    "name-unusable": ("this name cannot be used", "use letters, 1 to 64"),
    "bad-address": ("this address cannot be used", "`tally status` of that node lists its addresses"),
    "bad-argument": ("an argument is not possible", "`tally COMMAND --help` shows what is allowed"),
    "bad-time": ("this is no date", "write a duration such as 3d, or a date such as 2026-12-24"),
    "unknown-operation": ("the running node does not know this operation", "restart it: it is an older version"),
    "no-peer": ("nobody could be reached", "`tally peers` lists addresses; nothing is lost, try later"),
    "peer": ("the other node did not answer as it should", "try again, or try another partner"),
    "port-in-use": (
        "another program listens on this port already",
        "choose another with --listen, or stop that program",
    ),
    "cannot-listen": ("this address cannot be listened on", "choose another with --listen"),
    "library-unsupported": ("another version of libp2p is installed than the one this needs", "`make setup`"),
    "wrong-key": ("this is not the key of this device", "use the home that the ledger knows this device by"),
    "other-words": ("these are the words of another home", "compare with your paper"),
    "node-running": ("a node is running on this home already", "`tally status` shows it"),
    "no-node": ("no node is running", "`tally node` starts one"),
    "node-gone": (
        "the node stopped before it answered",
        "`tally log` shows whether it was written before you try again",
    ),
    "node-silent": ("the node does not answer", "`tally status` again in a moment, or restart the node"),
    "timeout": ("it took too long", "try again"),
    "clock": ("this computer's clock cannot be right", "set the clock, then try again"),
    "no-dry-run": ("this cannot be tried out first", "leave --dry-run away"),
    "lost-blocks": (
        "blocks that this computer sealed alone are gone, and nobody who was met has them",
        "meet whoever may have them, or add --accept-loss",
    ),
    "sealed-elsewhere": (
        "others know of a block that this computer has sealed, but nobody who was met has what it holds",
        "meet whoever may have it, or found the ledger anew: `tally re-found`",
    ),
    "not-mute": ("this node is not mute: there is nothing to settle", "`tally status` says what is waited for"),
    "ticket-refused": ("the ticket is not accepted", "make another one on the other computer: `tally device add`"),
    "not-added": ("the ledger does not know this computer yet", "`tally device add --reply REPLY` on the other one"),
    "mute": ("this node does not vote, since a copy of it may run elsewhere", "`tally doctor` explains"),
}

#: Tickets and other texts that were typed, scanned or pasted: exit code 7, since nothing in them can be trusted.
TEXTS: Final[Mapping[str, Words]] = {
    "character": ("the text has a character that no such text has", "copy it again, whole"),
    "checksum": ("the text is damaged: its checksum is wrong", "copy it again, whole"),
    "empty": ("the text is empty", "paste the whole ticket; it begins with tally1"),
    "mixed-case": ("the text mixes capital and small letters", "copy it again, whole"),
    "no-prefix": ("this is no such text: it must begin with tally1", "paste the whole ticket"),
    "padding": ("the text is damaged at its end", "copy it again, whole"),
    "not-a-ticket": ("this is no ticket", "a ticket begins with tally1; ask for a new one"),
    "ticket-damaged": ("the ticket is damaged", "ask for it again, and copy it whole"),
    "ticket-too-new": ("the ticket was made by a newer version", "update this program"),
    "invitation-refused": ("the invitation is not accepted", "ask for a new one: `tally invite`"),
    "ticket-foreign": ("this text is for another ledger or another computer", "use it where it was made for"),
    "ticket-expired": ("the ticket has expired", "ask for a new one: `tally invite`"),
}

#: How the command itself was called.
CALLED: Final[Mapping[str, Words]] = {
    "usage": ("this cannot be understood", "`tally --help` lists the commands"),
    "unknown-command": ("there is no such command", "`tally --help` lists the commands"),
    "missing": ("something is missing", "`tally COMMAND --help` shows what is needed"),
    "file-not-found": ("there is no such file", ""),
    "file-unreadable": ("the file cannot be read", ""),
    "file-exists": ("there is such a file already", "choose another name: nothing is overwritten"),
    "not-a-terminal": ("nobody can be asked here", "name the option"),
    "no-demo": ("this installation comes without the demo", "`make demo` in the source shows it"),
    "declined": ("nothing was done", ""),
    "interrupted": ("interrupted", ""),
    "internal-error": (
        "this is a fault of the program",
        "TALLY_DEBUG=1 shows where; please report it",
    ),
}

WORDS: Final[Mapping[str, Words]] = {**TEXTS, **STRUCTURE, **HERE, **CALLED, **RULES}
