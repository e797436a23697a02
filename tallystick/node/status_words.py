"""What a ledger's finality means for its people, in sentences.

Only numbers and names come in, so that a command which answers from a few rows can say the same as a running node.

Source: docs/spec/finality.md#words
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tallystick.protocol.quorum import culprits_least, quorum

#: Names that one sentence lists.
_NAMES_MAX: Final = 5

MUTE: Final = "the database is older than what this device has signed: it neither votes nor signs"
#: A key that has asked once is no good for a second request.
AGAIN: Final = "whoever was not let in asks again with new keys: `tally --home DIR init`, then `tally join`"
ALONE: Final = f"this device is no member's in this ledger; {AGAIN}"
REFUSED: Final = f"a partner has refused your request to come in; {AGAIN}"
ASKED: Final = "you have asked to come in: partners vouch for you with `tally admit`"
SOLD: Final = "the whole has been sold: only what settles that is left to do; `tally settlement` shows what"
BENCHED: Final = "this computer was away, and rests from sealing: what you sign next brings it back"
EMPTY_ASKING: Final = "you have asked for new keys: `tally recover status` says how it stands, while no node runs here"
EMPTY: Final = "the ledger is not here yet: `tally node` fetches it from a partner"


#: The rules that this program knows (finality, rules).
RULES_KNOWN: Final = 1


def standing_words(my_status: str | None) -> str | None:
    """What somebody is told who is no member, or not yet; None of a member."""
    if my_status is None:
        return ALONE
    return {"applicant": ASKED, "refused": REFUSED}.get(my_status)


def update_words(version: int) -> str | None:
    """That the ledger goes by rules which this program does not know; None where it knows them."""
    if version <= RULES_KNOWN:
        return None
    return f"update needed: the ledger goes by version {version} of the rules, and this program knows {RULES_KNOWN}"


class Missing(NamedTuple):
    """A sealer that is not there."""

    partner: bytes
    called: str
    away_ms: int
    """Since it was last seen."""


def away_words(count: int) -> str:
    """How many sealers may be away."""
    if count == 1:
        return "one computer seals this ledger: what it has is final at once"
    if count == 2:
        return "two computers seal this ledger, and both are needed for a block"
    need = quorum(count)
    return f"{need} of the {count} computers that seal are needed for a block: {count - need} may be away"


def fork_words(count: int) -> str:
    """How many cheaters a fork needs."""
    if count == 1:
        return "whoever seals alone could show two people different ledgers, and would be convicted by the two"
    least = culprits_least(count)
    if least == 1:
        return "one sealer that cheats could fork this ledger, and would be named by it"
    return f"{least} sealers would have to cheat together to fork this ledger, and would be named by it"


def finality_words(pending: int, is_due: bool, need: int, missing: Sequence[Missing]) -> str | None:
    """What everything that is not final waits for; None when nothing waits."""
    if not pending and not is_due:
        return None
    what = f"{pending} pending {'entry' if pending == 1 else 'entries'}" if pending else "what has fallen due"
    if need <= 0 or not missing:
        return f"the next block seals {what}"
    names = ", ".join(f"{each.called} ({span(each.away_ms)})" for each in missing[:_NAMES_MAX])
    more = f" and {len(missing) - _NAMES_MAX} more" if len(missing) > _NAMES_MAX else ""
    verb = "are" if pending > 1 else "is"
    return f"finality waits for {need} of: {names}{more}; {what} {verb} not final before"


def device_words(status: str, others: int) -> str:
    """That this computer signs nothing more, and who can instead. `status` is not `active`."""
    what = f"this computer is {status}: it signs nothing more in your name"
    if others:
        return f"{what}; {others} other {'computer' if others == 1 else 'computers'} of yours can"
    return f"{what}, and you have no other: come back with your recovery words, or through partners (`tally recover`)"


def mine_words(deals: int, points: int, missing: Sequence[Missing]) -> str | None:
    """What waiting costs the person who asks; None where nothing of theirs waits."""
    if not deals:
        return None
    which = "one of your deals" if deals == 1 else f"{deals} of your deals"
    verb = "waits" if deals == 1 else "wait"
    amount = "1 point" if points == 1 else f"{points} points"
    names = [f"{each.called}'s" for each in missing[:_NAMES_MAX]]
    for_whom = f"for {' or '.join(names)} computer" if names else "for the next block"
    return f"{which}, {amount}, {verb} {for_whom}; nothing is lost"


def sealer_words(
    who: str,
    *,
    is_me: bool,
    role: str,
    lacks_role: bool,
    waits: bool,
    agreed: Sequence[str],
    missing: Sequence[str],
    needed: int,
) -> str:
    """What a wish to seal waits for: `you have asked to seal: Ana has agreed, Cy has not`."""
    head = "you have asked to seal" if is_me else f"{who} has asked to seal"
    if lacks_role:
        return f"{head}: that takes the role {role} (`tally propose role {who} {role}`)"
    if waits:
        return f"{head}: it begins when {'you are' if is_me else 'it is'} back and off probation"
    if not needed:
        return f"{head}: it begins with one of the next blocks"
    have = f"{named(agreed)} {'has' if len(agreed) == 1 else 'have'} agreed, " if agreed else ""
    if needed == len(missing):
        lack = "has" if len(missing) == 1 else "have"
        rest = f"{named(missing)} {lack} not" if agreed else f"{named(missing)} {lack} to agree"
    else:
        rest = f"{needed} of {named(missing)} have to agree{' too' if agreed else ''}"
    return f"{head}: {have}{rest} (`tally admit {who} --sealer`)"


def named(names: Sequence[str]) -> str:
    """`Ana, Bo and Cy`, or the first few and how many more."""
    shown = list(names[:_NAMES_MAX])
    if len(names) > _NAMES_MAX:
        shown.append(f"{len(names) - _NAMES_MAX} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def span(ms: int) -> str:
    """A length of time as people say it: the largest unit, rounded down."""
    for size, one, many in (
        (86_400_000, "day", "days"),
        (3_600_000, "h", "h"),
        (60_000, "min", "min"),
        (1_000, "s", "s"),
    ):
        if ms >= size:
            count = ms // size
            return f"{count} {one if count == 1 else many}"
    return "now"
