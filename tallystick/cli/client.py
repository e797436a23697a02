"""One operation, wherever the ledger is: asked of the running node, or done here.

A running node has the store to itself and answers through its local interface: see `line`. Without a node the store is
opened here, for this one operation. A node that starts or stops in this very moment is waited for shortly.

Source: docs/spec/cli.md#without-a-node
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from tallystick.cli import output
from tallystick.cli.errors import CommandError
from tallystick.cli.line import ANSWER_S, connect
from tallystick.node.clock import now_ms
from tallystick.node.errors import ExitCode, HomeError, HomeReason, NodeError
from tallystick.node.settings import named_ledger

if TYPE_CHECKING:
    from tallystick.cli.line import Line
    from tallystick.cli.options import Options
    from tallystick.crypto.keys import SecretKey
    from tallystick.node.home import Home

#: How long a home that is in use, but where no node answers, is tried again.
BUSY_S: Final = 15.0
_BUSY_STEP_S: Final = 0.05

#: What can be answered at a glance.
GLANCES: Final = frozenset({"points", "status"})

KeyFor = Callable[[], "SecretKey"]
"""Gets the signing key, asking for the passphrase if need be."""


class Client:
    """What `tally` asks, and of whom. Nothing is opened before `call`."""

    def __init__(self, home: Home, options: Options, *, busy_s: float = BUSY_S) -> None:
        self.home = home
        self.options = options
        self.busy_s = busy_s

    # -- operations ------------------------------------------------------------------------------------------------

    def read(self, op: str, args: Mapping[str, Any]) -> Any:
        """The answer to a question. Raises NodeError."""
        return self._somewhere(
            lambda line: self._ask(line, "GET", op, args, None),
            lambda: self._here(op, args, None),
        )

    def write(self, op: str, args: Mapping[str, Any], key_for: KeyFor, held: SecretKey | None = None) -> Any:
        """Do something that is signed. `held` is the key if it is at hand already; it is asked for only if needed.

        Raises NodeError, KeystoreError.
        """
        try:
            return self._signed(op, args, held)
        except NodeError as error:
            if error.reason != "key-locked" or held is not None:
                raise
        # Nobody is asked for a passphrase while the store is open: other commands would wait for the person.
        return self._signed(op, args, key_for())

    def unsigned(self, op: str, args: Mapping[str, Any]) -> Any:
        """Do something that needs no signing key, such as `seal`. Raises NodeError."""
        return self._somewhere(
            lambda line: self._ask(line, "POST", op, args, None),
            lambda: self._here(op, args, None),
        )

    def with_key(self, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        """Do something with the key if it is at hand, and without where it is not. Raises NodeError."""
        return self._somewhere(
            lambda line: self._ask(line, "POST", op, args, key),
            lambda: self._here(op, args, key),
        )

    def ask_node(
        self,
        op: str,
        args: Mapping[str, Any],
        key: SecretKey | None = None,
        *,
        method: str = "POST",
        wait_s: float = ANSWER_S,
        any_ledger: bool = False,
    ) -> Any:
        """Ask the running node and nobody else. Raises NodeError: no-node, also where it has another ledger.

        `any_ledger` is for what is about this computer, whatever ledger its node has.
        """
        line = connect(self.home) if any_ledger else self._node()
        if line is None:
            raise CommandError("no-node", exit_code=ExitCode.OFFLINE)
        line.wait_at_most(wait_s)
        return self._ask(line, method, op, args, key)

    def has_node(self, *, any_ledger: bool = False) -> bool:
        """Whether a node answers on this home, and has the ledger that is meant. Raises HomeError: NOT_FOUND."""
        line = connect(self.home) if any_ledger else self._node()
        if line is None:
            return False
        line.close()
        return True

    # -- inside ----------------------------------------------------------------------------------------------------

    def _signed(self, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        return self._somewhere(
            lambda line: self._ask(line, "POST", op, args, key),
            lambda: self._here(op, args, _needed(key, args)),
        )

    def _somewhere(self, there: Callable[[Line], Any], here: Callable[[], Any]) -> Any:
        """Ask the node if one listens, else do it here; while somebody else has the home, try both again."""
        until = time.monotonic() + self.busy_s
        while True:
            line = self._node()
            if line is not None:
                output.detail(self.options, "asking the running node")
                return there(line)
            try:
                output.detail(self.options, "no node runs: opening the ledger here")
                return here()
            except HomeError as error:
                if error.reason != HomeReason.IN_USE:
                    raise
                if time.monotonic() >= until:
                    raise _busy(error) from error
            time.sleep(_BUSY_STEP_S)

    def _node(self) -> Line | None:
        """A connection to the node of the ledger that is meant: a node has one ledger, a home may have several.

        Raises ConfigError; HomeError: NOT_FOUND, AMBIGUOUS. A mistyped name must not end in the one ledger that is
        there.
        """
        named = wanted_ledger(self.home, self.options)
        line = connect(self.home)
        if line is None:
            return None
        several = len(self.home.ledgers()) > 1
        if not several and named is None:
            return line
        try:
            wanted = self.home.choose_ledger(named)
        except HomeError:
            line.close()
            raise
        if not several:
            return line
        status = self._ask(line, "GET", "status", {}, None)
        is_same = isinstance(status, dict) and status.get("ledger") == wanted.hex()
        return connect(self.home) if is_same else None

    def _here(self, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        now = now_ms()
        answer = self._glance(op, args, now)
        if answer is not None:
            return answer
        from tallystick.node.local import open_local

        with open_local(self.home, wanted_ledger(self.home, self.options), now=now) as local:
            return local.do(op, dict(args), key, now)

    def _glance(self, op: str, args: Mapping[str, Any], now: int) -> Any:
        """The answer where a few rows of the store are enough: then the rules need not be loaded. None elsewhere."""
        if op not in GLANCES or args:
            return None
        from tallystick.node.glance import glance

        store = self.home.open_store(choose_ledger(self.home, self.options))
        try:
            return glance(store, op, args, now, b"" if op == "points" else self._device())
        finally:
            store.close()

    def _device(self) -> bytes:
        from tallystick.node.identity import read_identity

        return read_identity(self.home).device

    def _ask(self, line: Line, method: str, op: str, args: Mapping[str, Any], key: SecretKey | None) -> Any:
        with line:
            return line.exchange(method, op, args, key)


def wanted_ledger(home: Home, options: Options) -> str | None:
    """The prefix that somebody named: on the line, in the environment or in the settings.

    Raises ConfigError, HomeError: settings with a fault are told of, whatever is asked.
    """
    import os

    in_settings = named_ledger(home)
    return options.ledger or os.environ.get("TALLY_LEDGER") or in_settings


def choose_ledger(home: Home, options: Options) -> bytes:
    """The ledger this command is about. Raises HomeError: NOT_FOUND, AMBIGUOUS."""
    return home.choose_ledger(wanted_ledger(home, options))


def _busy(error: HomeError) -> NodeError:
    who = "another process" if error.pid is None else f"process {error.pid}"
    return HomeError(
        f"{who} uses this home, and no node answers on its socket",
        reason=HomeReason.IN_USE,
        pid=error.pid,
        hint="wait until it has finished, or stop it; `tally doctor` says more",
    )


def _needed(key: SecretKey | None, args: Mapping[str, Any]) -> SecretKey | None:
    """The key, unless nothing is to be signed. Raises NodeError key-locked, so that it is fetched."""
    if key is None and not args.get("dry_run"):
        raise CommandError("key-locked", exit_code=ExitCode.LOCKED)
    return key
