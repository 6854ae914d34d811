"""Every operation of the API, and the addresses that tell of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from starlette.routing import Route

from trialsync import __version__
from trialsync.web.answer import Answer, respond
from trialsync.web.api import changes, filters, following, openapi, operations, studies
from trialsync.web.api.operations import Operation
from trialsync.web.api.parameters import Parameter, read
from trialsync.web.api.schemas import CURSOR, NEXT, listed, of
from trialsync.web.api.values import Day, Whole

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from trialsync.web.desk import Desk

_CHANGES: Final = listed("changes", "Change", cursor=CURSOR, next=NEXT)

OPERATIONS: Final = (
    Operation(
        "/api/changes", "changes", "The change log, filtered.", changes.changes, _CHANGES, filters.CHANGES, row="Change", problems=(410,)
    ),
    Operation(
        "/api/studies",
        "studies",
        "The studies in the store, by what their latest versions say.",
        studies.studies,
        listed("studies", "StudyRow", next=NEXT),
        filters.STUDIES,
        row="StudyRow",
    ),
    Operation(
        "/api/studies/{nct_id}",
        "study",
        "One study as it is, or as it was on a day or at a version.",
        studies.study,
        of("Study"),
        (
            Parameter("as_of", Day(), "As it was at the end of this day, or a time ago (30d)."),
            Parameter("version", Whole(1, 1_000_000), "As it was at this version."),
        ),
    ),
    Operation(
        "/api/studies/{nct_id}/changes",
        "study-changes",
        "The changes of one study.",
        changes.changes,
        _CHANGES,
        filters.OF_ONE_STUDY,
        row="Change",
        problems=(410,),
    ),
    Operation(
        "/api/studies/{nct_id}/versions",
        "study-versions",
        "The versions of one study, the oldest first.",
        studies.versions,
        listed("versions", "Version"),
        row="Version",
    ),
    Operation(
        "/api/studies/{nct_id}/diff",
        "study-diff",
        "What differs in one study between two days, all in all.",
        studies.difference,
        listed("changes", "NetChange"),
        studies.DIFFERENCE,
        row="NetChange",
    ),
    Operation("/api/watches", "watches", "What is followed.", following.watches, listed("watches", "Watch"), row="Watch"),
    Operation(
        "/api/polls",
        "polls",
        "Past polls and imports, the newest first.",
        following.polls,
        listed("polls", "Poll"),
        following.OF_POLLS,
        row="Poll",
    ),
    Operation(
        "/api/notices",
        "notices",
        "What the registry itself changed in many studies in one load.",
        following.notices,
        listed("notices", "Notice"),
        following.OF_NOTICES,
        row="Notice",
    ),
    Operation(
        "/api/facts",
        "facts",
        "The facts: their rules, and how many rows carry each.",
        following.facts,
        listed("facts", "FactRule"),
        row="FactRule",
    ),
    Operation(
        "/api/fields", "fields", "The vocabulary: every field of a study.", following.vocabulary, listed("fields", "Field"), row="Field"
    ),
)
"""What the API can be asked."""


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the API."""
    described = Answer(orjson.dumps(openapi.document(OPERATIONS)))
    listing = {
        "name": "trialsync",
        "version": __version__,
        "openapi": openapi.ADDRESS,
        "operations": {operation.name: {"address": operation.path, "summary": operation.summary} for operation in OPERATIONS},
    }

    async def document(request: Request) -> Response:
        read(request.scope["query_string"], (), desk.now())
        return respond(request, described)

    async def index(request: Request) -> Response:
        read(request.scope["query_string"], (), desk.now())
        return respond(request, Answer(orjson.dumps(listing)))

    return [Route("/api", index), Route(openapi.ADDRESS, document), *operations.routes(desk, OPERATIONS)]
