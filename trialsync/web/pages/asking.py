"""How a page is asked: its parameters read, its answer made, and what can't be answered told on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response

from trialsync.errors import BadNctId
from trialsync.model import nct_id
from trialsync.publish.asking import asked_in_words, search_address
from trialsync.web.answer import respond
from trialsync.web.pages import rendering
from trialsync.web.problems import not_found, response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.types import Scope

    from trialsync.model import Watch
    from trialsync.store.reader import Reader
    from trialsync.web.desk import Desk, Endpoint, Work
    from trialsync.web.problems import Problem

_MOST_PAIRS: Final = 100
_FOR_MACHINES: Final = ("/api", "/feeds/", "/healthz", "/readyz", "/metrics")


def endpoint(desk: Desk, work: Work) -> Endpoint:
    """Return the endpoint of a page; a form's empty fields are taken out of the address first, so that it can be kept and passed on."""

    async def answered(request: Request) -> Response:
        clean = without_empty(request)
        if clean is not None:
            return RedirectResponse(clean, status_code=302)
        return respond(request, await desk.ask(lambda reader: work(request, reader)))

    return answered


def without_empty(request: Request) -> str | None:
    """Return the address of a request without the parameters that have no value, ``None`` where it has none of those."""
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_PAIRS
        )
    except ValueError:
        return None
    kept = [(name, value.strip()) for name, value in pairs if value.strip()]
    if kept == pairs:
        return None
    return linked(request.scope.get("raw_path", b"/").decode("ascii", "replace"), kept)


def linked(path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return an address of this server from its path, already escaped, and its parameters."""
    query = urlencode(list(pairs))
    # Two slashes at the front would name another server.
    return f"/{path.lstrip('/')}{f'?{query}' if query else ''}"


def study_of(reader: Reader, text: str) -> str:
    """Return the number of a study that an address names. Raises Problem (404) for one that is none, or that the store does not have."""
    try:
        number = nct_id(text)
    except BadNctId as error:
        raise not_found(error.message, hint=error.hint) from None
    if not reader.has(number):
        raise not_found(f"{number} is not in the store", word="unknown-study", hint=f"trialsync sync {number} fetches it")
    return number


def tell(scope: Scope, problem: Problem) -> Response:
    """Return what a client is told of a problem: a page for a browser that asked for one, problem details for everybody else."""
    path = str(scope.get("path", ""))
    if path.startswith(_FOR_MACHINES) or not likes_html(Headers(scope=scope).get("accept")):
        return response(problem)
    headers = {"Cache-Control": "no-store", "Vary": "Accept", **problem.headers}
    return Response(rendering.html("problem.html", problem=problem), status_code=problem.status, media_type=rendering.HTML, headers=headers)


def likes_html(accept: str | None) -> bool:
    """Return whether an ``Accept`` header is a browser's: it names HTML."""
    return accept is not None and "text/html" in accept.lower()


def watch_in_words(watch: Watch) -> tuple[str, str | None]:
    """Return what a watch asks, and the registry's own search for it, where there is one."""
    words = asked_in_words(watch) or "not in the settings any more; what it saw stays"
    return f"{words[:1].upper()}{words[1:]}", search_address(watch)
