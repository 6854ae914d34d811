"""``/feeds/…``: the change log as Atom feeds, of everything, a watch, a study, a sponsor, a fact."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from starlette.routing import Route

from trialsync.errors import BadNctId
from trialsync.model import nct_id
from trialsync.publish.feed import MEDIA_TYPE, atom
from trialsync.store.filters import ChangeFilter
from trialsync.study.facts import BY_ID
from trialsync.sync.feeds import gathered
from trialsync.web.answer import Answer, respond
from trialsync.web.api.values import BadValue, Whole
from trialsync.web.problems import bad_parameter, not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from trialsync.store.reader import Reader
    from trialsync.web.desk import Desk

_SWITCHES: Final = {"true": True, "1": True, "false": False, "0": False}
_PARAMETERS: Final = frozenset({"history", "all", "before"})
_BEFORE: Final = Whole(1, 2**63 - 1)


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the feeds.

    ``?history=true`` adds what the registry's history brought, ``?all=true`` housekeeping; ``?before=`` is where a link leads that a feed
    has at its end: to the entries behind the newest fifty.
    """

    def route(path: str, of: Callable[[Reader, str], tuple[str, ChangeFilter]]) -> Route:
        async def feed(request: Request) -> Response:
            # By its tag alone: facts made anew, a rebuilt log or other settings change a feed in which nothing was seen since.
            return respond(request, await desk.ask(lambda reader: _answer(desk, request, reader, of)))

        return Route(path, feed)

    return [
        route("/feeds/changes.atom", lambda _, __: ("Changes of clinical trials", ChangeFilter())),
        route("/feeds/watches/{name}.atom", _of_watch),
        route("/feeds/studies/{name}.atom", _of_study),
        route("/feeds/sponsors/{name:path}.atom", lambda _, name: (f"Changes of {name}'s trials", ChangeFilter(sponsors=(name,)))),
        route("/feeds/facts/{name}.atom", _of_fact),
    ]


def _of_watch(reader: Reader, name: str) -> tuple[str, ChangeFilter]:
    if not reader.knows_watch(name):
        raise not_found("there is no such watch", hint="/api/watches lists them")
    return f"Changes of {name}", ChangeFilter(watches=(name,))


def _of_study(reader: Reader, name: str) -> tuple[str, ChangeFilter]:
    try:
        number = nct_id(name)
    except BadNctId:
        raise not_found("there is no such study") from None
    if not reader.has(number):
        raise not_found(f"{number} is not in the store")
    return f"Changes of {number}", ChangeFilter(studies=(number,))


def _of_fact(reader: Reader, name: str) -> tuple[str, ChangeFilter]:
    del reader
    if name not in BY_ID or not BY_ID[name].recorded:
        raise not_found("there is no such fact", hint="/api/facts lists them")
    return f"Changes: {name}", ChangeFilter(facts=(name,))


def _answer(desk: Desk, request: Request, reader: Reader, of: Callable[[Reader, str], tuple[str, ChangeFilter]]) -> Answer:
    unknown = set(request.query_params) - _PARAMETERS
    if unknown:
        raise bad_parameter(f"{min(unknown)[:40]!r} is no parameter of a feed", hint="history, all and before are")
    title, wanted = of(reader, request.path_params.get("name", ""))
    settings = desk.settings
    base_url = settings.site.base_url
    # As it was asked for, so that a slash in a sponsor's name stays what it is.
    path = quote(request.scope.get("raw_path") or request.url.path, safe="/%").lstrip("/")
    pairs = [pair for pair in request.query_params.multi_items() if pair[0] != "before"]
    query = f"?{urlencode(pairs)}" if pairs else ""
    root = base_url.rstrip("/") if base_url else str(request.base_url).rstrip("/")
    feed = gathered(
        reader,
        _with_housekeeping(wanted, request),
        title=title,
        path=f"{path}{query}",
        history=_switch(request, "history"),
        contacts=settings.web is not None and settings.web.contacts,
        address=f"{root}/{path}{f'?{request.url.query}' if request.url.query else ''}",
        base_url=base_url,
        before=_before(request),
        web=root,
    )
    if feed.older is not None:
        feed = replace(feed, next=f"{root}/{path}?{urlencode([*pairs, ('before', feed.older)])}")
    return Answer(atom(feed).encode(), f"{MEDIA_TYPE}; charset=utf-8")


def _with_housekeeping(wanted: ChangeFilter, request: Request) -> ChangeFilter:
    return replace(wanted, housekeeping=_switch(request, "all"))


def _before(request: Request) -> int | None:
    text = request.query_params.get("before")
    try:
        return None if text is None else _BEFORE.read("before", text, datetime.min.replace(tzinfo=UTC))
    except BadValue as error:
        raise bad_parameter(f"before {error}") from None


def _switch(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in _SWITCHES:
        raise bad_parameter(f"{name} is neither true nor false")
    return _SWITCHES[text]
