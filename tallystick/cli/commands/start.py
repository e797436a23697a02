"""The beginning: this device's keys, a ledger of one's own or a ticket to somebody's, and the lock on the key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import ask, keys, output
from tallystick.cli.command import TRIES, argument, command, option, typed
from tallystick.cli.errors import CommandError, UsageError, warn
from tallystick.cli.files import try_new
from tallystick.cli.reads import home_path, open_home
from tallystick.cli.text import plural
from tallystick.node.errors import ExitCode

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.node.home import Home


_TRIES: Final = 3
_GOOD_LENGTH: Final = 8


def _passphrase(options: Options, file: str | None) -> str:
    """The passphrase of a key that is being made, typed twice. Raises UsageError, CommandError."""
    named = Path(file).expanduser() if file else keys.named_file(None)
    if named is not None:
        words = keys.read_passphrase_file(named, options)
        _warn_of_short(options, words)
        return words
    for tries_left in range(_TRIES - 1, -1, -1):
        first = ask.secret("New passphrase: ", "--passphrase-file")
        if first == ask.secret("The same again: ", "--passphrase-file"):
            _warn_of_short(options, first)
            return first
        if tries_left:
            output.always("that was not the same; once more")
    raise CommandError("passphrases-differ", exit_code=ExitCode.USAGE)


def _warn_of_short(options: Options, passphrase: str) -> None:
    """Nobody is kept from it, but whoever copies the key file tries the short ones first."""
    if 0 < len(passphrase) < _GOOD_LENGTH:
        warn(options, f"this passphrase has {plural(len(passphrase), 'character')}; four words would be safer")


def _init(
    options: Options, name: str | None, passphrase_file: str | None, words_file: str | None, confirm_words: bool
) -> int:
    from tallystick.cli.recovery_words import confirm_later

    if confirm_words:
        return confirm_later(open_home(options), options, words_file)
    from tallystick.node.identity import clean_name

    name = clean_name(typed(name) if name is not None else ask.text("Your name, as others will see it: ", "--name"))
    if options.dry_run:
        path = home_path(options)
        if options.json:
            output.result_json({"home": str(path), "name": name, "dry_run": True})
        else:
            output.result(f"nothing was made; keys for {name} would be in {path}")
        return 0
    if words_file is not None:
        # Once the keys are made it is too late: the words are seen once.
        try_new(Path(words_file))
    return _make(options, name, _passphrase(options, passphrase_file), words_file)


def _make(options: Options, name: str, passphrase: str, words_file: str | None) -> int:
    from tallystick.cli import recovery_words
    from tallystick.crypto.words import fingerprint
    from tallystick.node.identity import create_identity, read_identity, unseal_device_key

    home = _new_home(home_path(options))
    words = create_identity(home, name=name, passphrase=passphrase)
    # Nothing may come between the keys and the words: they are kept nowhere.
    confirmed = recovery_words.hand_over(home, options, words, words_file)
    kept = keys.keep_key(home, unseal_device_key(home, passphrase), home.read_config().unlock_ms)
    device = read_identity(home).device
    if options.json:
        output.result_json(
            {
                "home": str(home.path),
                "name": name,
                "device": device.hex(),
                "fingerprint": fingerprint(device),
                "words_file": words_file,
                "words_confirmed": confirmed,
            }
        )
        return 0
    output.result(f"{name} is ready: the keys are in {home.path}\nyour six words: {fingerprint(device)}")
    if not kept:
        output.note(
            options, "the key is locked: the passphrase is asked for each time, as there is no safe place for it"
        )
    output.note(options, "next: `tally found CHARTER.toml` starts a ledger, `tally join TICKET` joins one")
    return 0


def _new_home(path: Path) -> Home:
    """An empty home; also one whose making was interrupted before it had a key. Raises HomeError."""
    from tallystick.node.errors import HomeError, HomeReason
    from tallystick.node.home import Home

    try:
        return Home.create(path)
    except HomeError as error:
        begun = Home(path.expanduser().absolute())
        if error.reason != HomeReason.EXISTS or begun.has_keys() or begun.ledgers():
            raise
        return Home.open(path)


init: Final = command(
    "init",
    "Make the keys of this device, sealed by a passphrase, and show the recovery words.",
    option("--name", metavar="NAME", about="Your name, as others will see it."),
    option("--passphrase-file", metavar="FILE", about="The passphrase is its first line."),
    option("--words-file", metavar="FILE", about="Write the recovery words there; it must not exist yet."),
    option("--confirm-words", is_flag=True, about="Show that the words of this home are written down: type them in."),
    dry=TRIES,
)(_init)


def _found(options: Options, charter: str) -> int:
    from tallystick.cli.commands.charter import read_charter_file
    from tallystick.cli.text import clean, plural, stamp
    from tallystick.node.clock import now_ms
    from tallystick.node.founding import found as start_ledger
    from tallystick.node.identity import need_words, read_identity
    from tallystick.protocol.charter_lint import lint

    rules = read_charter_file(Path(charter))
    home = open_home(options)
    identity = read_identity(home)
    now = now_ms()
    warnings = [f"{clean(path)}: {clean(message)}" for path, message in lint(rules)]
    for each in warnings if not options.json else ():
        warn(options, each)
    if options.dry_run:
        return _founding_trial(options, rules, identity.name, warnings)
    if here := home.ledgers():
        are = plural(len(here), "ledger is", "ledgers are")
        output.note(options, f"another one begins: {are} in this home already")
    ask.confirm(
        options,
        f"It is {stamp(now)} on this computer. Found {clean(rules.name)}, with {rules.points.pool} points, "
        f"as {clean(identity.name)}?",
    )
    ledger = start_ledger(home, rules, keys.signing_key(home, options), now).hex()
    need_words(home)
    if options.json:
        output.result_json(
            {"entry": ledger, "kind": "found", "status": "sealed", "reason": None, "deal": None, "height": 1}
            | {"waits_for": [], "waits_for_least": 0, "warnings": warnings}
            | {"ledger": ledger, "name": rules.name, "charter": rules.hash.hex()}
        )
        return 0
    output.result(f"{clean(rules.name)} is founded: ledger {ledger[:8]}\nsealed in #1")
    if (count := len(home.ledgers())) > 1:
        output.note(
            options,
            f"{count} ledgers are here now: name one with --ledger {ledger[:8]}, TALLY_LEDGER or in config.toml",
        )
    output.note(options, "next: `tally invite` makes a ticket for a partner, `tally node` runs the node")
    return 0


def _founding_trial(options: Options, rules: Any, name: str, warnings: list[str]) -> int:
    from tallystick.cli.text import clean
    from tallystick.node.currency import POINT, money_text

    pool = rules.points.pool
    start = min(rules.points.start, pool)
    # Whoever founds has no id before the entry is signed.
    moves = [("issued", "pool", pool, "points.pool"), ("pool", "partner/founder", start, "points.start")]
    moves = [move for move in moves if move[2]]
    if options.json:
        postings = [
            {"commodity": "POINT", "from": source, "to": target, "from_name": None, "to_name": None}
            | {"amount": amount, "rule": rule, "formula": f"{amount}"}
            for source, target, amount, rule in moves
        ]
        output.result_json(
            {"kind": "found", "status": "pending", "reason": None, "detail": "", "postings": postings}
            | {"waits_for": [], "waits_for_least": 0, "deadline": None, "silence": None, "next": [], "remarks": []}
            | {"warnings": warnings, "charter": rules.hash.hex()}
        )
    else:
        lines = [
            "nothing was signed",
            f"found would be valid: {clean(rules.name)} by {clean(name)}, charter {rules.hash.hex()[:8]}",
            *(
                f"  {money_text(amount, POINT)}: {source} -> {target} by {rule}"
                for source, target, amount, rule in moves
            ),
        ]
        output.result("\n".join(lines))
    return 0


found: Final = command(
    "found",
    "Start a ledger under a charter. You hold every role until a vote takes it.",
    argument("CHARTER.toml", name="charter"),
    dry=TRIES,
)(_found)


def _unlock(options: Options, passphrase_file: str | None, length: str | None) -> int:
    from tallystick.cli.client import Client
    from tallystick.node.moments import read_duration

    home = open_home(options)
    idle_ms = home.read_config().unlock_ms if length is None else read_duration(length, "--for")
    if idle_ms <= 0:
        raise UsageError("--for must be longer than that")
    key = keys.unsealed_with_passphrase(home, options, Path(passphrase_file).expanduser() if passphrase_file else None)
    client = Client(home, options)
    in_node = client.has_node(any_ledger=True)
    if in_node:
        client.ask_node("unlock", {"idle_ms": idle_ms}, key, any_ledger=True)
    kept = keys.keep_key(home, key, idle_ms)
    if not kept and not in_node:
        raise CommandError(
            "key-locked",
            "there is no safe place on this system where an unlocked key could be left",
            hint="start `tally node` and unlock it, or type the passphrase each time",
            exit_code=ExitCode.LOCKED,
        )
    if options.json:
        output.result_json({"unlocked": True, "idle_ms": idle_ms, "node": in_node, "session": kept})
    else:
        from tallystick.cli.text import span

        output.result(f"unlocked, until it has not been used for {span(idle_ms)}")
    return 0


unlock: Final = command(
    "unlock",
    "Unlock the signing key for a while, also for the running node.",
    option("--passphrase-file", metavar="FILE", about="The passphrase is its first line."),
    option("--for", "length", metavar="TIME", about="Until it has not been used for so long, such as 15m."),
    dry="it signs nothing; `tally lock` locks it again",
)(_unlock)


def _lock(options: Options) -> int:
    from tallystick.cli.client import Client
    from tallystick.node.home import Home

    # Not `open_home`: a key is locked whatever the settings say.
    home = Home.open(home_path(options))
    keys.drop_key(home)
    client = Client(home, options)
    if client.has_node(any_ledger=True):
        client.ask_node("lock", {}, any_ledger=True)
    if options.json:
        output.result_json({"unlocked": False})
    else:
        output.result("locked")
    return 0


lock: Final = command(
    "lock",
    "Lock the signing key again, also in the running node.",
    dry="it signs nothing; `tally unlock` unlocks it again",
)(_lock)
