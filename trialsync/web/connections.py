"""The connections of the web server: so many at once, and none that only stands there.

A process has so many files to open; connections that nobody ends would leave the daemon none for its store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

MOST: Final = 256
"""So many connections are open at once; a system gives a process 1,024 files or more."""

PATIENCE_SECONDS: Final = 10.0
"""After so long without a whole request, or between once and twice as long after the last one, a connection is closed."""


class BoundedProtocol(H11Protocol):
    """HTTP on one connection, which is closed at once where too many are open, and later where nothing is asked on it."""

    most = MOST
    patience = PATIENCE_SECONDS

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._looking: asyncio.TimerHandle | None = None
        self._seen: object | None = None
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or end it."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._looking = self.loop.call_later(self.patience, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        # Its ``cycle`` is the last request whose head came whole, None before the first.
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        # A long answer is complete when it is handed over; who takes it slowly, but takes it, has not got it yet.
        is_taking = self._unsent > 0 and (before == 0 or self._unsent < before)
        if self.cycle is None or (self.cycle.response_complete and self.cycle is self._seen and not is_taking):
            self.transport.abort()
            return
        self._seen = self.cycle
        self._looking = self.loop.call_later(self.patience, self._look)
