"""The server of the web application: where it listens, and how it is set up, alike for ``serve`` and ``run``."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from trialsync.errors import UsageError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

_FAREWELL_SECONDS = 3
_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address; ``port`` 0 takes a free one. Raises UsageError where that can't be."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((place[0], place[1]), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"can't listen on {host} port {port}: {why(error)}",
            hint="[web] port names another, and so does serve --port, where 0 takes a free one",
        ) from error


def why(error: OSError | UnicodeError) -> str:
    """Return why an address can't be listened on, in the system's own words alone: Python adds the address once more, as a tuple."""
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror) and error.errno:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error)


def server_of(application: ASGIApp) -> uvicorn.Server:
    """Return a server of an application, which says nothing by itself; ``run(sockets=[…])`` serves until ``should_exit`` is set."""
    import uvicorn  # noqa: PLC0415 - slow to load, and needed here alone

    from trialsync.web.connections import BoundedProtocol  # noqa: PLC0415 - likewise

    return uvicorn.Server(
        uvicorn.Config(
            application,
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            http=BoundedProtocol,
            # So many are taken before the first of them is looked at.
            backlog=_BACKLOG,
            timeout_graceful_shutdown=_FAREWELL_SECONDS,
        )
    )
