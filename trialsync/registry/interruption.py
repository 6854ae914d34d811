"""A way out of requests that are under way: another thread cuts the connections, and no request begins any more."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from trialsync.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping


class Interruption:
    """Says whether a client was interrupted, and knows the sockets that it has open.

    ``trace`` is what the HTTP library calls with each step of a request (its extension ``trace``).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._set = False
        self._sockets: list[socket.socket] = []

    def trace(self, step: str, info: Mapping[str, Any]) -> None:
        """Keep the socket of a connection that was made; one that is made too late is cut at once."""
        if step not in {"connection.connect_tcp.complete", "connection.start_tls.complete"}:
            return
        made = info["return_value"].get_extra_info("socket")
        if made is None:
            return
        with self._lock:
            self._sockets = [*(known for known in self._sockets if known.fileno() >= 0), made]
            if self._set:
                _cut(made)

    def set(self) -> None:
        """Cut every connection; safe to call from any thread, and again."""
        with self._lock:
            self._set = True
            for each in self._sockets:
                _cut(each)

    def check(self) -> None:
        """Raise Stopped once the client was interrupted."""
        if self._set:
            raise Stopped


def _cut(connection: socket.socket) -> None:
    # Closing a socket does not wake the thread that waits for it, shutting it down does; by a duplicate, so that TLS above it is let be.
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
