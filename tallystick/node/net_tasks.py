"""Services of libp2p that outlive an error in one of their tasks."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from libp2p.tools.anyio_service.exceptions import LifecycleError

log = logging.getLogger("tallystick.net")

_AGAIN_S: Final = 1.0

AsyncFunction = Callable[..., Awaitable[Any]]


class CalmManager:
    """Stands before the library's manager of tasks, which ends everything when one task raises."""

    def __init__(self, manager: Any) -> None:
        self.inner = manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run_task(self, function: AsyncFunction, *args: Any, daemon: bool = False, name: str | None = None) -> None:
        """Start a task whose errors are logged. It is not started any more while everything stops."""

        async def guarded() -> None:
            try:
                await function(*args)
            except Exception:
                log.exception("a network task failed")

        self._start(guarded, daemon=daemon, name=name or str(function))

    def run_daemon_task(self, function: AsyncFunction, *args: Any, name: str | None = None) -> None:
        """Start a task that is started again a second after each error."""

        async def guarded() -> None:
            while True:
                try:
                    await function(*args)
                    return
                except Exception:
                    log.exception("a network task failed and is started again")
                await trio.sleep(_AGAIN_S)

        self._start(guarded, daemon=False, name=name or str(function))

    def _start(self, guarded: AsyncFunction, *, daemon: bool, name: str) -> None:
        try:
            if self.inner.is_running and not self.inner.is_cancelled:
                self.inner.run_task(guarded, daemon=daemon, name=name)
        except (LifecycleError, RuntimeError) as error:
            log.debug("task %s was not started: %r", name, error)


class CalmService:
    """To be named before a service of the library in the bases of a class."""

    _manager: Any
    _calm: CalmManager | None = None

    @property
    def manager(self) -> Any:
        if self._calm is None or self._calm.inner is not self._manager:
            self._calm = CalmManager(self._manager)
        return self._calm
