"""Every page, and the two files that belong to them."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse
from starlette.routing import Route

from trialsync.web.answer import Answer, respond
from trialsync.web.pages import lists, study, watches
from trialsync.web.pages.asking import endpoint
from trialsync.web.pages.recent import recent

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from trialsync.web.desk import Desk, Endpoint

_FILES: Final = {"style.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}

_ROBOTS: Final = b"User-agent: *\nDisallow: /api/\nDisallow: /*?\nAllow: /\n"
"""Pages may be read and listed; the endless combinations of filters, and what is there for programs, need not be."""


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the pages."""
    return [
        Route("/", recent(desk)),
        Route("/changes", _moved_to("/")),
        Route("/sponsors", _moved_to("/studies")),
        Route("/studies", endpoint(desk, lists.studies(desk))),
        Route("/studies/{nct_id}", endpoint(desk, study.study(desk))),
        Route("/studies/{nct_id}/versions/{version}", endpoint(desk, study.version(desk))),
        Route("/watches", endpoint(desk, watches.watches(desk))),
        Route("/watches/{name}", endpoint(desk, watches.watch(desk))),
        Route("/sponsors/{name:path}", endpoint(desk, lists.sponsor(desk))),
        Route("/fields", endpoint(desk, lists.fields(desk))),
        Route("/facts", endpoint(desk, lists.facts(desk))),
        Route("/about", endpoint(desk, lists.about(desk))),
        Route("/robots.txt", _held(Answer(_ROBOTS, "text/plain; charset=utf-8"))),
        *(Route(f"/static/{name}", _file(name, media_type)) for name, media_type in _FILES.items()),
    ]


def _moved_to(path: str) -> Endpoint:
    """Return the endpoint of an address that people guess by its neighbours', which leads to where that is, with what was asked."""

    async def answered(request: Request) -> Response:
        query = request.url.query
        return RedirectResponse(f"{path}?{query}" if query else path, status_code=302)

    return answered


def _file(name: str, media_type: str) -> Endpoint:
    return _held(Answer(resources.files("trialsync.web").joinpath("static", name).read_bytes(), media_type))


def _held(held: Answer) -> Endpoint:
    async def answered(request: Request) -> Response:
        return respond(request, held)

    return answered
