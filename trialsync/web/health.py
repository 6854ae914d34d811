"""``/healthz``, ``/readyz`` and ``/metrics``: what supervisors, balancers and Prometheus ask, answered from the store of that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trialsync.errors import StoreError
from trialsync.store.reader import Reader
from trialsync.sync.health import NO_TROUBLE, Word, broken, health
from trialsync.web.metrics import CONTENT_TYPE, store_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from starlette.requests import Request

    from trialsync.settings import Settings
    from trialsync.sync.health import Health
    from trialsync.web.metrics import Metrics

_UNAVAILABLE = 503

LIMIT_SECONDS: Final = 5.0
"""How long the store may take for one answer: half of what Prometheus waits by default."""


def routes(
    store: Path,
    settings: Callable[[], Settings],
    *,
    now: Callable[[], datetime],
    metrics: Metrics | None = None,
    ticking: Callable[[], bool] | None = None,
) -> list[Route]:
    """Return the three routes. ``settings`` gives those in force, asked anew each time so that a reload holds at once.

    ``/healthz``: JSON of the health; 200 where it is ok, 503 otherwise. ``/readyz``: 200 where the store can be read and ``ticking``, the
    daemon's scheduler with its worker, is well. ``/metrics``: the counters of ``metrics`` and the store's gauges. A store that can't be
    read, or not within five seconds, is 503 with the sentence as JSON in the first two, and ``trialsync_store_readable`` 0 in the third.
    ``now`` returns an aware UTC datetime.
    """

    def look() -> Health:
        with Reader.open(store, limit_seconds=LIMIT_SECONDS) as reader:
            # Whoever polls nothing need not be able to write.
            return health(reader, settings(), now(), troubles=metrics.troubles if metrics else NO_TROUBLE, writes=metrics is not None)

    def told(value: dict[str, Any], *, well: bool) -> JSONResponse:
        backup = settings().backup
        return _json(placeless(value, [store, *([backup.dir] if backup else ())]), well=well)

    def healthz(_: Request) -> Response:
        try:
            found = look()
        except StoreError as error:
            return told(broken(error, metrics.troubles if metrics else NO_TROUBLE), well=False)
        return told(found.json(), well=found.word is Word.OK)

    def readyz(_: Request) -> Response:
        try:
            look()
        except StoreError as error:
            return told({"ready": False, "say": [str(error)]}, well=False)
        if ticking is not None and not ticking():
            return _json({"ready": False, "say": ["the scheduler or the worker hangs; the log says which"]}, well=False)
        return _json({"ready": True, "say": []}, well=True)

    def exposed(_: Request) -> Response:
        found: Health | None
        try:
            found = look()
        except StoreError:
            found = None  # its gauge says so; the counters and the process are known all the same
        return Response(store_text(found) if metrics is None else metrics.text(found), media_type=CONTENT_TYPE, headers=_FRESH)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposed)]


_FRESH = {"Cache-Control": "no-store"}


def placeless(value: Any, places: Sequence[Path]) -> Any:
    """Return a value with the names alone of files and folders, whose places are nobody's business on the network."""
    if isinstance(value, dict):
        return {name: placeless(inside, places) for name, inside in value.items()}
    if isinstance(value, list):
        return [placeless(each, places) for each in value]
    if not isinstance(value, str):
        return value
    for place in places:
        value = value.replace(str(place), place.name)
        if place.is_absolute() and place.parent != place.parent.parent:
            value = value.replace(str(place.parent), "its folder")
    return value


def _json(value: dict[str, Any], *, well: bool) -> JSONResponse:
    return JSONResponse(value, status_code=200 if well else _UNAVAILABLE, headers=_FRESH)
