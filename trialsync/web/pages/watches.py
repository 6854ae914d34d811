"""``/watches`` and ``/watches/NAME``: what is followed, who is in it, who joined and left, what changed since a day."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from trialsync.errors import TrialsyncError
from trialsync.model import Watch
from trialsync.publish.between import summary
from trialsync.publish.confirmed import confirmed, in_loads
from trialsync.store.filters import ChangeFilter
from trialsync.store.study_filters import StudyFilter
from trialsync.study.fields import WATCH_PREFIX
from trialsync.sync.between import watch_between
from trialsync.sync.health import health
from trialsync.web.api.parameters import Parameter, read
from trialsync.web.api.values import NCT_ID, STATUS, WORDS, Day
from trialsync.web.pages import rendering
from trialsync.web.pages.asking import linked, watch_in_words
from trialsync.web.pages.recent import lines
from trialsync.web.problems import not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from trialsync.store.reader import Reader, WatchRow
    from trialsync.web.answer import Answer
    from trialsync.web.desk import Desk

_MEMBERS: Final = 50
_MOVES: Final = 30
_COMPARED: Final = 2_000
_LINES: Final = 60
_LOOKED: Final = 20_000
_POLLS: Final = 5
_ASKED: Final = (
    Parameter("text", WORDS, "Members of which title or conditions hold these words."),
    Parameter("status", STATUS, "Members of this overall status."),
    Parameter("after", NCT_ID, "Members with a greater number."),
    Parameter("since", Day(), "What changed since the end of this day."),
)


def watches(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers the list of watches."""

    def answered(request: Request, reader: Reader) -> Answer:
        read(request.scope["query_string"], (), desk.now())
        return rendering.page("watches.html", watches=list(_listed(desk, reader)))

    return answered


def watch(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers the page of a watch."""

    def answered(request: Request, reader: Reader) -> Answer:
        name = request.path_params["name"]
        asked = read(request.scope["query_string"], _ASKED, desk.now())
        found = next((each for each in _listed(desk, reader) if each["name"] == name), None)
        if found is None:
            raise not_found("there is no such watch", word="unknown-watch", hint="/watches lists them")
        row: WatchRow | None = found["row"]
        text, status = asked.one("text"), asked.one("status")
        members = []
        if row is not None:
            wanted = StudyFilter(watches=(name,), texts=(text,) if text else (), statuses=(status,) if status else ())
            members = list(reader.find_studies(wanted, after=asked.one("after"), limit=_MEMBERS + 1))
        since = asked.one("since") or _a_week_before(found["load"] or desk.now().date().isoformat())
        of_watch = ChangeFilter(watches=(name,), housekeeping=False)
        return rendering.page(
            "watch.html",
            watch=found,
            members=members[:_MEMBERS],
            next=linked(f"/watches/{rendering.segment(name)}", asked.but(after=members[_MEMBERS - 1].nct_id))
            if len(members) > _MEMBERS
            else None,
            typed=dict(asked.typed),
            moves=list(reader.changes(ChangeFilter(fields=(WATCH_PREFIX + name,)), limit=_MOVES, newest_first=True)) if row else [],
            since=since,
            summary=_summary(desk, reader, row, since) if row and asked.one("since") is not None else [],
            found=lines(desk, reader, _since(of_watch, since), limit=_LINES) if row else None,
            quiet=reader.quiet(_since(of_watch, since), looked=_LOOKED) if row else None,
            polls=reader.polls(limit=_POLLS, watch=name),
        )

    return answered


def _a_week_before(load: str) -> str:
    """Return the ISO day a week before a load: what a watch last showed is news, however long ago that was."""
    return (date.fromisoformat(load) - timedelta(days=7)).isoformat()


def _since(wanted: ChangeFilter, day: str) -> ChangeFilter:
    return ChangeFilter(watches=wanted.watches, since=day, housekeeping=False)


def _summary(desk: Desk, reader: Reader, row: WatchRow, since: str) -> list[str]:
    """Return what differs between the end of a day and now, in sentences, where the watch is not too large for a page."""
    if row.members > _COMPARED:
        return [f"{row.name} has too many studies to be compared on a page: trialsync diff --watch {row.name} --from {since} does it"]
    try:
        return list(summary(watch_between(reader, row.name, since, desk.now().date().isoformat())))
    except TrialsyncError as error:
        return [error.message]


def _swept(desk: Desk, row: WatchRow | None) -> str | None:
    """Return between which loads the studies of a large watch were last seen, and by when again; ``None`` where one load showed all."""
    if row is None or row.seen is None or row.seen.at_once:
        return None
    return f"last seen in {in_loads(row.seen.oldest, row.seen.newest)}, again by {row.seen.due(desk.settings.sync.sweep_days)}"


def _listed(desk: Desk, reader: Reader) -> list[dict[str, Any]]:
    """Return the watches of the settings in their order, then those that only the store knows any more."""
    known = {row.name: row for row in reader.watches()}
    stands = {each.name: each for each in health(reader, desk.settings, desk.now()).watches}
    followed = {each.name: Watch(each.name, each.parameters, tuple(each.nct_ids or ()), each.everything) for each in desk.settings.tables}
    found = []
    for name in dict.fromkeys((*followed, *known)):
        row, stand = known.get(name), stands.get(name)
        words, address = watch_in_words(followed.get(name) or Watch(name))
        complete = row.last_complete if row else None
        found.append(
            {
                "name": name,
                "row": row,
                "words": words,
                "address": address,
                "followed": name in followed,
                "overdue": stand.overdue if stand else False,
                "failures": stand.failures if stand else 0,
                "message": stand.message if stand else None,
                "last_success": stand.last_success if stand else complete.finished if complete else None,
                "load": stand.load if stand and stand.load else complete.load if complete else None,
                "swept": _swept(desk, row),
                "confirmed": confirmed(complete) if complete else None,
            }
        )
    return found
