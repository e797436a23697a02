"""Where the event loop begins. The only module of the command line from which trio and libp2p are reached.

What the transport raises becomes words here, so that no other module has to import it to know its errors.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from tallystick.cli import output
from tallystick.cli.errors import CommandError
from tallystick.node import arriving_net, joining, running, service_keys
from tallystick.node.clock import now_ms
from tallystick.node.desk import Desk
from tallystick.node.errors import ExitCode
from tallystick.node.net_address import read_address_untrusted
from tallystick.node.net_listen import read_place
from tallystick.node.transport import DialError, ListenError, TransportError

if TYPE_CHECKING:
    from tallystick.cli.options import Options
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.device_ticket import DeviceTicket, MemberTicket, Place
    from tallystick.node.home import Home
    from tallystick.node.joining import Joining
    from tallystick.node.service import Node
    from tallystick.node.ticket import Ticket
    from tallystick.node.view import CatchingUpFact
    from tallystick.protocol.entry import Entry

T = TypeVar("T")

_TAKEN = "address already in use"


def _check_addresses(listen: Sequence[str], peers: Sequence[str]) -> None:
    """What somebody typed and no network could mend. Raises CommandError: bad-address."""
    try:
        for each in listen:
            read_place(each)
        for each in peers:
            read_address_untrusted(each)
    except ListenError as error:
        raise CommandError(
            "bad-address", str(error), hint="such as /ip4/0.0.0.0/tcp/4001", exit_code=ExitCode.USAGE
        ) from error
    except DialError as error:
        raise CommandError(
            "bad-address",
            error.detail,
            hint="`tally status` of that node lists its addresses",
            exit_code=ExitCode.USAGE,
        ) from error


def run(
    home: Home, prefix: str | None, options: Options, *, listen: Sequence[str], peers: Sequence[str], mdns: bool
) -> int:
    """Run the node until somebody stops it. Raises NodeError."""
    _check_addresses(listen, peers)
    _log_to_stderr(options)

    def ready(node: Node) -> None:
        addresses = list(node.core.sync.addresses)
        if options.json:
            output.result_json({"ledger": node.core.ledger.id.hex(), "addresses": addresses})
        else:
            output.result("\n".join(("the node runs; others reach it at", *(f"  {each}" for each in addresses))))
            output.note(options, "Ctrl-C stops it")
        # It may be read by a program through a pipe, which wants to know now.
        sys.stdout.flush()

    async def work() -> None:
        await running.run_node(home, prefix, listen=listen or None, peers=peers, mdns=mdns, ready=ready)

    _in_loop(work)
    return 0


def sync_once(
    home: Home, prefix: str | None, address: str | None, show: Callable[[dict[str, Any] | None], None]
) -> dict[str, Any]:
    """Meet the others once, without a running node; `show` hears how it goes. Raises NodeError."""

    def told(fact: CatchingUpFact | None) -> None:
        show(None if fact is None else asdict(fact))

    async def work() -> dict[str, Any]:
        return await running.sync_once(home, prefix, address, told)

    return _in_loop(work)


def read_terms(home: Home, ticket: Ticket) -> Joining:
    """Show the invitation to a partner's node and get the charter. Raises NodeError."""

    async def work() -> Joining:
        async with joining.knocking(home, ticket.addresses) as request:
            return await joining.read_terms(home, ticket, request)

    return _in_loop(work)


def agree(home: Home, terms: Joining, key: SecretKey, now_ms: int) -> Entry:
    """Sign the join and hand it in. Raises NodeError."""

    async def work() -> Entry:
        async with joining.knocking(home, terms.ticket.addresses) as request:
            return await joining.agree(terms, key, request, now_ms)

    return _in_loop(work)


def wait_for_device(
    home: Home,
    prefix: str | None,
    options: Options,
    key: SecretKey,
    *,
    scope: str,
    label: str | None,
    ready: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Be a node until a new machine of this member has come. Raises NodeError."""
    _log_to_stderr(options)

    async def work() -> dict[str, Any]:
        return await arriving_net.wait_for_device(home, prefix, key, scope=scope, label=label, ready=ready)

    return _in_loop(work)


def enrol(home: Home, ticket: DeviceTicket, key: SecretKey) -> tuple[Entry, bool]:
    """Have this machine added by another one. Raises NodeError."""

    async def work() -> tuple[Entry, bool]:
        return await arriving_net.enrol(home, ticket, key)

    return _in_loop(work)


def come_back(
    home: Home, place: Place, recovery: SecretKey, key: SecretKey, revoke: Sequence[str] | None
) -> dict[str, Any]:
    """Claim a membership with its recovery words. Raises NodeError."""

    async def work() -> dict[str, Any]:
        return await arriving_net.come_back(home, place, recovery, key, revoke)

    return _in_loop(work)


def ask_for_keys(home: Home, ticket: MemberTicket, key: SecretKey, now_ms: int) -> tuple[Entry, dict[str, Any]]:
    """Ask partners for new keys. Raises NodeError."""

    async def work() -> tuple[Entry, dict[str, Any]]:
        return await arriving_net.ask_for_keys(home, ticket, key, now_ms)

    return _in_loop(work)


def ask_again(home: Home, ledger: bytes) -> dict[str, Any] | None:
    """How the request of this home stands. Raises NodeError."""

    async def work() -> dict[str, Any] | None:
        return await arriving_net.ask_again(home, ledger)

    return _in_loop(work)


def unmute(home: Home, prefix: str | None, *, accept_loss: bool) -> dict[str, Any]:
    """Without a running node: meet the others once, then sign again. Raises NodeError."""

    async def work() -> dict[str, Any]:
        async with running.open_node(home, prefix, listen=arriving_net.LOOPBACK) as node:
            await service_keys.unmute(node, accept_loss=accept_loss)
            return Desk(node.core).sealing(now_ms())

    return _in_loop(work)


def _in_loop(work: Callable[[], Awaitable[T]]) -> T:
    root = logging.getLogger("tallystick")
    is_command = not root.handlers
    if is_command:
        # What a node would note in its log a command says in its own words, or not at all.
        root.addHandler(logging.NullHandler())
        root.propagate = False
    try:
        return trio.run(work)
    except TransportError as error:
        raise _in_words(error) from error
    except BaseExceptionGroup as group:
        for each in _leaves(group):
            if isinstance(each, TransportError):
                raise _in_words(each) from group
        raise
    finally:
        if is_command:
            root.handlers.clear()
            root.propagate = True


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors that tasks of the loop have raised, without the groups that bundle them."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def _in_words(error: TransportError) -> CommandError:
    reason = "library-unsupported"
    if isinstance(error, ListenError):
        reason = "port-in-use" if _TAKEN in str(error).lower() else "cannot-listen"
    elif isinstance(error, DialError):
        reason = "no-peer"
    return CommandError(reason, str(error), exit_code=ExitCode.OFFLINE)


class _JsonLines(logging.Formatter):
    """One JSON object a line, for programs: time in ms, level, part of the node, message."""

    def format(self, record: logging.LogRecord) -> str:
        row = {
            "time": round(record.created * 1000),
            "level": record.levelname.lower(),
            "part": record.name.removeprefix("tallystick."),
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["trace"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False)


def _log_to_stderr(options: Options) -> None:
    level = logging.ERROR if options.quiet else logging.DEBUG if options.verbose else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _JsonLines() if options.json else logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")
    )
    root = logging.getLogger("tallystick")
    root.addHandler(handler)
    root.setLevel(level)
    root.propagate = False
