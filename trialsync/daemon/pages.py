"""The web pages inside the daemon: the same application as ``trialsync serve``, in a thread, with the daemon's counters."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from trialsync.web.app import make_app
from trialsync.web.listening import listen, server_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.types import ASGIApp, Receive, Scope, Send

    from trialsync.settings import Settings, Web
    from trialsync.web.metrics import Metrics

log = structlog.get_logger()


class Pages:
    """The web application on a port. ``ticking`` says whether the scheduler is well. Raises UsageError where the port can't be had."""

    def __init__(
        self, table: Web, settings: Settings, metrics: Metrics, ticking: Callable[[], bool], *, now: Callable[[], datetime]
    ) -> None:
        self._metrics = metrics
        self._ticking = ticking
        self._now = now
        self._socket = listen(table.host, table.port)
        self.application = self._made(settings)
        self._server = server_of(self._answer)
        self._thread = threading.Thread(target=self._serve, name="pages", daemon=True)

    @property
    def port(self) -> int:
        """Return the port that it listens on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def set(self, settings: Settings) -> None:
        """Answer by these settings from the next request on; the address stays."""
        self.application = self._made(settings)

    def stop(self) -> None:
        """Answer no new request; returns at once."""
        self._server.should_exit = True

    def join(self, seconds: float) -> bool:
        """Wait for the requests under way; return whether they have ended."""
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _made(self, settings: Settings) -> ASGIApp:
        return make_app(settings.store.path, settings, now=self._now, metrics=self._metrics, ticking=self._ticking)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # One step further than uvicorn's own, so that a reload is a new application behind the same socket.
        await self.application(scope, receive, send)

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception:  # without its pages the daemon goes on polling
            log.exception("pages.crashed")
        finally:
            self._socket.close()
