"""The web application: the HTTP API, and the pages and feeds beside it, behind one gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from trialsync.errors import TrialsyncError
from trialsync.web import api, documents, feeds, health, pages, problems
from trialsync.web.desk import LIMIT_SECONDS, Desk
from trialsync.web.problems import Problem
from trialsync.web.security import Gate, allowed_hosts

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from trialsync.settings import Settings
    from trialsync.web.metrics import Metrics

_GONE = 404
_SMALLEST, _LEVEL = 1_024, 2


def make_app(
    store: Path,
    settings: Settings,
    *,
    now: Callable[[], datetime],
    listening: str | None = None,
    metrics: Metrics | None = None,
    ticking: Callable[[], bool] | None = None,
    limit_seconds: float = LIMIT_SECONDS,
) -> Starlette:
    """Return the web application over a store, which is opened anew for each request and need not be there yet.

    ``now`` returns an aware UTC datetime. ``listening`` is the address that the server listens on, where it is not the settings'.
    ``metrics`` are the daemon's counters, ``ticking`` says whether its scheduler is well; without a daemon there is neither.
    ``limit_seconds`` is how long one request may be at work.
    """
    desk = Desk(store, settings, now, limit_seconds)
    routes: list[BaseRoute] = [
        *health.routes(store, lambda: settings, now=now, metrics=metrics, ticking=ticking),
        *api.routes(desk),
        *feeds.routes(desk),
        *documents.routes(desk),
        *pages.routes(desk),
    ]

    async def told(request: Request, error: Exception) -> Response:
        return pages.tell(request.scope, _problem(error, store))

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Gate, hosts=allowed_hosts(settings, listening), tell=pages.tell),
            # Fast rather than small: it is done while others wait.
            Middleware(GZipMiddleware, minimum_size=_SMALLEST, compresslevel=_LEVEL),
        ],
        exception_handlers={Problem: told, TrialsyncError: told, HTTPException: told},
    )
    app.router.redirect_slashes = False
    return app


def _problem(error: Exception, store: Path) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, TrialsyncError):
        return problems.of_error(error, store)
    if isinstance(error, HTTPException) and error.status_code == _GONE:
        return problems.not_found("no page has this address", hint="/api lists what can be asked")
    return problems.failed()
