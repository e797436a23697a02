"""The network: run the node, meet the others, seal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import ask, output
from tallystick.cli.client import Client, wanted_ledger
from tallystick.cli.command import TRIES, argument, command, option
from tallystick.cli.errors import CommandError, UsageError
from tallystick.cli.reads import open_home
from tallystick.node.errors import ExitCode, NodeError

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.cli.progress_line import ProgressLine
    from tallystick.node.home import Home

#: However much there is to be fetched; the node itself stops when nothing comes any more.
_SYNC_S: Final = 86_400.0
_LOOK_S: Final = 0.5


def _node(options: Options, listen: tuple[str, ...], peer: tuple[str, ...], no_mdns: bool) -> int:
    home = open_home(options)
    prefix = wanted_ledger(home, options)
    home.choose_ledger(prefix)
    if Client(home, options).has_node(any_ledger=True):
        # As where the other one has the home and does not answer yet: which of the two it is, is chance.
        raise CommandError("node-running", exit_code=ExitCode.DAMAGED)
    from tallystick.cli.run_node import run

    return run(home, prefix, options, listen=listen, peers=peer, mdns=not no_mdns)


node: Final = command(
    "node",
    "Run the node of this computer, until Ctrl-C.",
    option("--listen", multiple=True, metavar="ADDRESS", about="Listen there, such as /ip4/0.0.0.0/tcp/4001."),
    option("--peer", multiple=True, metavar="ADDRESS", about="Connect to this node too."),
    option("--no-mdns", is_flag=True, about="Do not search the local network, and do not be found there."),
    dry="a node that runs has nothing to try out; `tally doctor` says whether it could",
)(_node)


def _sync(options: Options, address: str | None) -> int:
    home = open_home(options)
    client = Client(home, options)
    from tallystick.cli.progress_line import ProgressLine, slowly

    with slowly(options, "the others are met"), ProgressLine(options) as line:
        if client.has_node():
            answer = _sync_of_node(home, options, {} if address is None else {"address": address}, line)
        else:
            from tallystick.cli.run_node import sync_once

            answer = sync_once(home, wanted_ledger(home, options), address, line.show)
    if options.json:
        output.result_json(answer)
        return 0
    from tallystick.cli.text import plural

    output.result(
        f"met {plural(answer['peers'], 'peer')}: {plural(answer['blocks'], 'new block')}, "
        f"height {answer['height']}, {answer['pending']} pending"
    )
    return 0


def _sync_of_node(home: Home, options: Options, args: dict[str, Any], line: ProgressLine) -> Any:
    """Let the running node do it, and look meanwhile how far it is. Raises NodeError."""
    from threading import Thread

    answers: list[Any] = []
    errors: list[NodeError] = []

    def ask() -> None:
        try:
            answers.append(Client(home, options).ask_node("sync", args, wait_s=_SYNC_S))
        except NodeError as error:
            errors.append(error)

    # Ctrl-C ends the command at once; what the node does, it goes on doing.
    asking = Thread(target=ask, daemon=True)
    asking.start()
    while asking.is_alive():
        asking.join(_LOOK_S)
        if asking.is_alive():
            line.show(Client(home, options).read("status", {}).get("catching_up"))
    if errors:
        raise errors[0]
    return answers[0]


sync: Final = command(
    "sync",
    "Exchange with others now. Without a running node, connect once and leave again.",
    argument("ADDRESS", needed=False),
    dry="what others have is known only when they are met",
)(_sync)


def _seal(options: Options, unmute: bool, accept_loss: bool) -> int:
    home = open_home(options)
    client = Client(home, options)
    if accept_loss and not unmute:
        raise UsageError("--accept-loss goes with --unmute")
    if options.dry_run:
        return _seal_trial(client, options)
    if unmute:
        return _unmute(home, client, options, accept_loss=accept_loss)
    from tallystick.cli.progress_line import slowly

    with slowly(options, "the others are asked for a block"):
        answer = client.unsigned("seal", {"wait_s": 10} if client.has_node() else {})
    _show_seal(answer, options)
    return 0


def _unmute(home: Home, client: Client, options: Options, *, accept_loss: bool) -> int:
    """Let a mute node sign again. The question is the whole point: two copies that sign are a fork."""
    ask.confirm(options, "Is it certain that no other copy of this computer's node runs, here or anywhere?")
    if accept_loss:
        ask.confirm(options, "Give up whatever this computer signed and nobody has seen?")
    if client.has_node():
        answer = client.ask_node("seal", {"unmute": True, "accept_loss": accept_loss}, wait_s=_SYNC_S)
    else:
        from tallystick.cli.run_node import unmute

        answer = unmute(home, wanted_ledger(home, options), accept_loss=accept_loss)
    if options.json:
        output.result_json(answer)
    else:
        output.result("this node signs again")
    return 0


def _show_seal(answer: dict[str, Any], options: Options) -> None:
    if options.json:
        output.result_json(answer)
        return
    from tallystick.cli.render_status import sealing_text

    output.result(sealing_text(answer))


def _seal_trial(client: Client, options: Options) -> int:
    status = client.read("status", {})
    seals = any(row["partner"] == status.get("me") for row in status.get("sealers") or ())
    if options.json:
        output.result_json({key: status.get(key) for key in ("height", "pending", "sealers", "quorum", "waiting_for")})
        return 0
    from tallystick.cli.render_status import sealing_text

    output.result("nothing was asked for\n" + sealing_text({**status, "sealed": 0, "seals": seals}, asked=False))
    return 0


seal: Final = command(
    "seal",
    "Ask for a block now, instead of when the charter's interval is over.",
    option("--unmute", is_flag=True, about="Let a node sign again that is mute; `tally doctor` says why it is."),
    option("--accept-loss", is_flag=True, about="With --unmute: also where nobody can be met."),
    dry=TRIES,
)(_seal)
