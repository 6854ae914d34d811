"""Where each question of the API is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from starlette.routing import Route

from trialsync.publish.sheets import poll_json
from trialsync.web.answer import Answer

if TYPE_CHECKING:
    from starlette.requests import Request

    from trialsync.store.reader import Reader
    from trialsync.web.desk import Desk


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the API."""
    return [Route("/api/polls", desk.endpoint(_polls))]


def _polls(request: Request, reader: Reader) -> Answer:
    del request
    return Answer(orjson.dumps({"polls": [poll_json(poll) for poll in reader.polls(limit=100)]}))
