"""Coming back: with the recovery words, with other words, or with nothing but partners who know you."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import ask, keys, output
from tallystick.cli.client import Client, choose_ledger
from tallystick.cli.command import LOOKS, TRIES, Group, argument, command, option, write
from tallystick.cli.errors import CommandError
from tallystick.cli.files import read_text, try_new
from tallystick.cli.reads import open_home
from tallystick.cli.text import clean, plural, short
from tallystick.node.clock import now_ms
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.home import Home

recover: Final = Group(
    "recover", help="Come back when computers are lost.", short_help="Come back when computers are lost"
)


def _recovery_key(file: str | None, prompt: str = "Your 24 recovery words: ") -> SecretKey:
    """The recovery key that the words stand for. Raises KeystoreError, CommandError."""
    from tallystick.crypto.keys import SecretKey
    from tallystick.crypto.words import entropy_from_words, recovery_seed

    text = read_text(Path(file)) if file is not None else ask.secret(prompt, "--words-file")
    return SecretKey.from_seed(recovery_seed(entropy_from_words(text)))


_WORDS_FILE: Final = option("--words-file", metavar="FILE", about="The 24 words are in this file.")


def _ticket(options: Options, partner: str) -> int:
    answer = Client(open_home(options), options).unsigned("member_ticket", {"partner": partner})
    if options.json:
        output.result_json(answer)
        return 0
    output.result(answer["ticket"])
    if not answer["addresses"]:
        output.note(options, "it names no address, since no node has run here yet: start `tally node`, make it again")
    output.note(options, "it holds no secret; there: `tally recover words TICKET`, or `tally recover request TICKET`")
    return 0


recover.add_command(
    command(
        "ticket",
        "For somebody who has lost everything: a text that says where this ledger is, and who that was in it.",
        argument("PARTNER"),
        dry=LOOKS,
    )(_ticket)
)


def _words(
    options: Options,
    ticket: str,
    words_file: str | None,
    revoke: tuple[str, ...],
    keep: bool,
    bundle: str | None,
    passphrase_file: str | None,
) -> int:
    from tallystick.node.arriving import check_is_new
    from tallystick.node.device_ticket import read_member_ticket_untrusted

    place = read_member_ticket_untrusted(ticket).place
    home = open_home(options)
    check_is_new(home, place.ledger)
    recovery = _recovery_key(words_file)
    which = list(revoke) if revoke or keep else None
    lost = "keep your other computers" if keep else "cut off " + (", ".join(revoke) or "ALL your other computers")
    ask.confirm(options, f"Make this computer yours, and {clean(lost)}?")
    key = keys.signing_key(home, options)
    if bundle is not None:
        outcome = _claim_from_bundle(home, options, place, recovery, key, which, bundle, passphrase_file)
    else:
        from tallystick.cli.progress_line import slowly

        with slowly(options, "the ledger is fetched from a partner"):
            from tallystick.cli.run_node import come_back

            outcome = come_back(home, place, recovery, key, which)
    from tallystick.cli.writes import show_outcome
    from tallystick.node.identity import use_words

    use_words(home, recovery.public)
    show_outcome(outcome, options)
    if not outcome.get("handed_over", True):
        output.note(options, "nobody has taken it yet: `tally node` hands it on, or `tally bundle out FILE`")
    output.note(options, "your recovery words stay those that you just used; `tally recover change` makes new ones")
    return 0


def _claim_from_bundle(
    home: Home,
    options: Options,
    place: Any,
    recovery: SecretKey,
    key: SecretKey,
    revoke: list[str] | None,
    bundle: str,
    passphrase_file: str | None,
) -> dict[str, Any]:
    from tallystick.cli.commands.bundle import bundle_args
    from tallystick.node.arriving import claim_here, unpacked
    from tallystick.node.desk import Desk
    from tallystick.node.identity import read_node_secret

    now = now_ms()
    with unpacked(home, place, bundle_args(options, bundle, passphrase_file), now) as core:
        entry = claim_here(core, recovery, key, read_node_secret(home), revoke, now)
        return Desk(core).status_of(entry) | {"handed_over": False}


recover.add_command(
    command(
        "words",
        "Come back with the 24 recovery words, on a new computer. All your other computers are cut off.",
        argument("TICKET"),
        _WORDS_FILE,
        option("--revoke", multiple=True, metavar="DEVICE", about="Cut off only this one; may be repeated."),
        option("--keep", is_flag=True, about="Cut off none."),
        option("--bundle", metavar="FILE", about="Read the ledger from this bundle instead of asking a node."),
        option("--passphrase-file", metavar="FILE", about="The bundle's passphrase is its first line."),
        dry="what would be revoked is only known once the ledger is here",
    )(_words)
)


def _change(options: Options, words_file: str | None, new_words_file: str | None) -> int:
    import secrets

    from tallystick.cli.recovery_words import hand_over
    from tallystick.cli.writes import show_outcome
    from tallystick.crypto import words
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.identity import set_recovery

    home = open_home(options)
    ledger = choose_ledger(home, options)
    old = _recovery_key(words_file, "Your 24 recovery words so far: ")
    entropy = secrets.token_bytes(words.ENTROPY_SIZE_BYTES)
    new = SecretKey.from_seed(words.recovery_seed(entropy))
    key = keys.signing_key(home, options)
    args = _change_args(ledger, old, new, key.public)
    client = Client(home, options)
    # Tried out first: words that nobody needs should not be shown.
    trial = client.write("recovery_change", {**args, "dry_run": True}, lambda: key)
    if trial.get("status") == "void":
        raise CommandError(str(trial.get("reason")), str(trial.get("detail") or ""))
    if options.dry_run:
        output.result_json(trial) if options.json else output.result("nothing was signed\nthe words can be changed")
        return 0
    if new_words_file is not None:
        try_new(Path(new_words_file))
    confirmed = hand_over(home, options, words.words_from_entropy(entropy), new_words_file, confirm=False)
    outcome = client.write("recovery_change", args, lambda: key, key)
    set_recovery(home, old.public, new.public, confirmed=confirmed)
    show_outcome(outcome, options)
    output.note(options, "keep the old words until this is sealed; from then on they do nothing")
    return 0


def _change_args(ledger: bytes, old: SecretKey, new: SecretKey, device: bytes) -> dict[str, Any]:
    from tallystick.crypto.signatures import SignType, signed_bytes
    from tallystick.protocol.devices import possession_payload

    payload = possession_payload(old.public, new.public, device)
    return {
        "old": old.public.hex(),
        "recovery": new.public.hex(),
        "consent": old.sign(signed_bytes(SignType.RECOVERY, ledger, payload)).hex(),
        "possession": new.sign(signed_bytes(SignType.POSSESSION, ledger, payload)).hex(),
    }


recover.add_command(
    command(
        "change",
        "Make new recovery words. It takes a computer of yours and the words so far.",
        _WORDS_FILE,
        option("--new-words-file", metavar="FILE", about="Write the new words there; it must not exist yet."),
        dry=TRIES,
    )(_change)
)


def _request(options: Options, ticket: str) -> int:
    from tallystick.node.arriving import check_is_new
    from tallystick.node.device_ticket import read_member_ticket_untrusted

    read = read_member_ticket_untrusted(ticket)
    home = open_home(options)
    check_is_new(home, read.place.ledger)
    ask.confirm(options, "Ask partners to give you new keys? It takes 30 days, and any old computer of yours stops it.")
    key = keys.signing_key(home, options)
    from tallystick.cli.progress_line import slowly
    from tallystick.crypto.words import fingerprint

    with slowly(options, "a partner's node is asked"):
        from tallystick.cli.run_node import ask_for_keys

        entry, answer = ask_for_keys(home, read, key, now_ms())
    row = {"request": entry.id.hex(), "ledger": read.place.ledger.hex(), "fingerprint": fingerprint(key.public)}
    if options.json:
        output.result_json({**row, **answer})
        return 0
    output.result(f"you ask for new keys (request {entry.id.hex()[:8]})\n{_state_text(answer)}")
    output.note(options, f"your six words, to be compared by voice: {row['fingerprint']}")
    output.note(
        options, "`tally recover status` says how it stands; the recovery words of this home count once it works"
    )
    return 0


recover.add_command(
    command(
        "request",
        "Without words: ask the partners for new keys, with a ticket that one of them gives you.",
        argument("TICKET"),
        dry="whether partners agree is only known when they are asked",
    )(_request)
)
recover.add_command(
    write(
        "approve",
        "Say that a request for new keys is that person's. Meet, and compare the six words first.",
        argument("REQUEST"),
        op="recover_approve",
    )
)


def _status(options: Options) -> int:
    home = open_home(options)
    ledger = choose_ledger(home, options)
    answer = _own_request(home, ledger, options)
    if answer is not None:
        if options.json:
            output.result_json([answer])
        else:
            output.result(f"your request {short(answer['request'])}: {_state_text(answer)}")
        return 0
    from tallystick.cli.reads import run

    client = Client(home, options)
    if client.has_node() and not client.read("status", {})["height"]:
        # It runs with nobody who would let it in, and holds what would be asked about.
        raise CommandError(
            "no-ledger-yet",
            "the ledger is not here yet",
            hint="who has asked for new keys: stop the node (Ctrl-C), then `tally recover status` asks the partners",
            exit_code=ExitCode.NOT_FOUND,
        )
    return run("recoveries", {}, options)


def _own_request(home: Home, ledger: bytes, options: Options) -> dict[str, Any] | None:
    """How the request of this home stands, while its ledger is not here. None where there is none."""
    from tallystick.node.archive import Archive
    from tallystick.node.arriving import own_request

    if Client(home, options).has_node():
        return None
    store = home.open_store(ledger)
    try:
        waits = own_request(Archive(store)) is not None
    finally:
        store.close()
    if not waits:
        return None
    from tallystick.cli.progress_line import slowly

    with slowly(options, "a partner's node is asked"):
        from tallystick.cli.run_node import ask_again

        return ask_again(home, ledger)


def _state_text(answer: dict[str, Any]) -> str:
    if answer["state"] == "recovered":
        return "it has worked: `tally node` fetches the ledger"
    if answer["state"] == "over":
        return "it is over, or was not valid: ask your partners, and make another one from a new home"
    if answer["vetoed"] and not answer["overruled"]:
        return "an old computer of yours is at work, which stops it; a vote can overrule that: `tally propose recover`"
    if answer["ready"]:
        from tallystick.cli.text import due

        return f"approved; it works by {due(answer['ready'], now_ms())}, unless an old computer of yours is used"
    return f"{answer['approvals']} of {plural(answer['needed'], 'partner')} approve"


recover.add_command(
    command("status", "Who asks for new keys, who has approved, and when it works.", dry=LOOKS)(_status)
)
