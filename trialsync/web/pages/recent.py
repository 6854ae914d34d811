"""``/``: what changed lately, a line a study and day or every row, by filters that stand in the address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from starlette.responses import Response

from trialsync.errors import TrialsyncError
from trialsync.model import By, Kind, Origin, Tier
from trialsync.store.filters import ChangeFilter
from trialsync.study.facts import FACTS
from trialsync.study.fields import FIELDS
from trialsync.sync.discreet import discreet, looks_inside
from trialsync.sync.health import advice, health
from trialsync.web.answer import Answer, respond
from trialsync.web.api.changes import told
from trialsync.web.api.filters import CHANGES, change_filter, check_known
from trialsync.web.api.following import watch_rows
from trialsync.web.api.parameters import Parameter, read
from trialsync.web.api.values import Choice, Flag, Whole
from trialsync.web.health import placeless
from trialsync.web.pages import rendering
from trialsync.web.pages.asking import linked, without_empty
from trialsync.web.pages.rows import ShownChange, ShownLine, by_day, shown_change, shown_line
from trialsync.web.problems import Problem, of_error

if TYPE_CHECKING:
    from starlette.requests import Request

    from trialsync.model import LoggedChange
    from trialsync.store.reader import Reader
    from trialsync.sync.health import Health
    from trialsync.web.api.parameters import Asked
    from trialsync.web.desk import Desk, Endpoint

LIMIT: Final = 100
"""How many rows a page has at most where nobody says; days of a study are not torn apart for it."""

_MOST: Final = 300
_COUNTED: Final = 20_000
_TORN: Final = 400
_NOTICES: Final = 5
_OWN: Final = (
    Parameter("view", Choice(("lines", "rows")), "A line a study and day, or every row."),
    Parameter("history", Flag(), "What the registry's own history brought too."),
    Parameter("limit", Whole(1, _MOST), "At most so many rows."),
)
_LEFT_OUT: Final = frozenset({"after", "order", "limit"})
ASKED: Final = (*(each for each in CHANGES if each.name not in _LEFT_OUT), *_OWN)
"""What the page can be asked: the filters of the change log under the same names, and how it shows the rows."""

_SEEN: Final = (Origin.POLL, Origin.IMPORT)
_FEEDS: Final = {"watch": "watches", "study": "studies", "sponsor": "sponsors", "fact": "facts"}


@dataclass(frozen=True, slots=True)
class Found:
    """Rows for a page: ``days`` are lines or rows by day, ``rows`` how many, ``before`` the cursor where one reads on, None at the end."""

    days: list[tuple[str, list[Any]]]
    rows: int
    before: int | None

    @property
    def occasions(self) -> int:
        """Return how many lines, or rows, there are."""
        return sum(len(found) for _, found in self.days)


def recent(desk: Desk) -> Endpoint:
    """Return the endpoint of the page. What can't be asked is told on the page itself, above the form as it was filled in."""

    async def answered(request: Request) -> Response:
        clean = without_empty(request)
        if clean is not None:
            return Response(status_code=302, headers={"Location": clean})
        try:
            return respond(request, await desk.ask(lambda reader: _answer(desk, request, reader)))
        except (Problem, TrialsyncError) as error:
            problem = error if isinstance(error, Problem) else of_error(error, desk.store)
            if problem.status not in {400, 404, 422}:
                raise
            body = await desk.ask(lambda reader: _refused(desk, request, reader, problem))
            return Response(body, status_code=problem.status, media_type=rendering.HTML, headers={"Cache-Control": "no-store"})

    return answered


def _answer(desk: Desk, request: Request, reader: Reader) -> Answer:
    asked = read(request.scope["query_string"], ASKED, desk.now())
    wanted = filter_of(asked)
    check_known(reader, asked.many("study"))
    view = asked.one("view") or "lines"
    found = (rows if view == "rows" else lines)(desk, reader, wanted, before=asked.one("before"), limit=asked.one("limit") or LIMIT)
    total = _total(desk, reader, wanted, found, first=asked.one("before") is None)
    first = not asked.typed
    return rendering.page(
        "recent.html",
        **_form(desk, reader, dict(asked.typed), _repeated(asked)),
        problem=None,
        found=found,
        total=total,
        hidden=_hidden(desk, reader, wanted, total),
        view=view,
        asked=asked,
        older=linked("/", asked.but(before=found.before)) if found.before is not None else None,
        newest=linked("/", asked.but(before=None)) if asked.one("before") is not None else None,
        elsewhere=elsewhere(asked),
        empty=None if found.rows else _empty(reader),
        everything=linked("/", asked.but(all="true")),
        first=first,
    )


def _refused(desk: Desk, request: Request, reader: Reader, problem: Problem) -> str:
    try:
        typed = dict(parse_qsl(request.scope["query_string"].decode("ascii", "replace"), errors="replace", max_num_fields=100))
    except ValueError:  # so many that nobody typed them
        typed = {}
    return rendering.html(
        "recent.html",
        **_form(desk, reader, {name: value[:200] for name, value in typed.items()}, {}),
        problem=problem,
        found=Found([], 0, None),
        total=0,
        hidden=0,
        view="lines",
        asked=None,
        older=None,
        newest=None,
        elsewhere=None,
        empty=None,
        everything="/",
        first=False,
    )


def filter_of(asked: Asked) -> ChangeFilter:
    """Return which rows are asked for: without housekeeping and the registry's history, unless they are asked for too."""
    wanted = change_filter(asked, housekeeping=False)
    if wanted.origins or asked.one("history"):
        return wanted
    return replace(wanted, origins=_SEEN)


def lines(desk: Desk, reader: Reader, wanted: ChangeFilter, *, before: int | None = None, limit: int = LIMIT) -> Found:
    """Return the newest rows below a cursor by study and day, so many of them and what else belongs to their days."""
    while True:
        found = reader.study_days(wanted, up_to=None if before is None else before - 1, limit=limit, newest_first=True)
        days = [_told(desk, reader, wanted, reader.logged(ids)) for ids in found.days.values()]
        ids = sorted((number for each in found.days.values() for number in each), reverse=True)
        following = None
        if len(ids) >= limit:
            torn = {key for key, each in found.days.items() if ids[limit - 1] in each}
            following = _behind(desk, reader, wanted, ids[limit - 1], torn)
        if any(days) or following is None:
            break
        # Nothing of it may be told: one reads on.
        before = following
    shown: list[ShownLine] = [shown_line(rows) for rows in days if rows]
    return Found(by_day(shown), sum(map(len, days)), following)


def _told(desk: Desk, reader: Reader, wanted: ChangeFilter, rows: list[LoggedChange]) -> list[LoggedChange]:
    return rows if desk.shows_contacts else list(discreet(reader, wanted, rows))


def _behind(desk: Desk, reader: Reader, wanted: ChangeFilter, last: int, days: set[tuple[str, str]]) -> int | None:
    """Return the cursor for what comes behind the row that filled the page, past the rest of its day; ``None`` where nothing does."""
    at = last
    for row in told(desk, reader, wanted, _TORN, up_to=last - 1, newest_first=True, values=False):
        if (row.nct_id, row.date) not in days:
            return at
        at = row.id
    return at if next(told(desk, reader, wanted, 1, up_to=at - 1, newest_first=True, values=False), None) else None


def rows(desk: Desk, reader: Reader, wanted: ChangeFilter, *, before: int | None = None, limit: int = LIMIT) -> Found:
    """Return the newest rows below a cursor, each by itself."""
    found = list(told(desk, reader, wanted, limit + 1, up_to=None if before is None else before - 1, newest_first=True))
    shown: list[ShownChange] = list(map(shown_change, found[:limit]))
    return Found(by_day(shown), len(shown), found[limit - 1].id if len(found) > limit else None)


def elsewhere(asked: Asked) -> dict[str, str]:
    """Return where the same question is answered as JSON and CSV, and the feed that comes nearest to it."""
    pairs = [pair for pair in asked.typed if pair[0] not in {"view", "history", "limit", "before"}]
    if asked.one("all") is None and Tier.HOUSEKEEPING.value not in asked.many("tier"):
        pairs.append(("all", "false"))
    if not asked.many("origin") and not asked.one("history"):
        pairs += [("origin", origin.value) for origin in _SEEN]
    feed = "/feeds/changes.atom"
    named = [pair for pair in asked.typed if pair[0] not in {"view", "all", "history", "limit", "before"}]
    if len(named) == 1 and named[0][0] in _FEEDS:
        feed = f"/feeds/{_FEEDS[named[0][0]]}/{rendering.segment(named[0][1])}.atom"
    return {"json": linked("/api/changes", pairs), "csv": linked("/api/changes.csv", pairs), "feed": feed}


def _total(desk: Desk, reader: Reader, wanted: ChangeFilter, found: Found, *, first: bool) -> int | None:
    """Return how many rows there are in all; None in a long log, where counting them could take longer than a page may."""
    if first and found.before is None:
        return found.rows
    if not desk.shows_contacts and (wanted.texts or (wanted.fields and wanted.housekeeping)):
        return None  # a count would tell of rows that are not told
    return reader.count(wanted) if reader.last_id() <= _COUNTED else None


def _hidden(desk: Desk, reader: Reader, wanted: ChangeFilter, total: int | None) -> int:
    """Return how many rows are left out as housekeeping; none where the log is too long to count them."""
    if not desk.shows_contacts and looks_inside(wanted):
        return 0
    if wanted.housekeeping or total is None or reader.last_id() > _COUNTED:
        return 0
    return reader.count(replace(wanted, housekeeping=True)) - total


def _form(desk: Desk, reader: Reader, typed: dict[str, str], repeated: dict[str, list[str]]) -> dict[str, Any]:
    """Return what the form offers, and what is filled in."""
    watches = list(watch_rows(desk, reader))
    return {
        "typed": typed,
        "repeated": repeated,
        "watches": watches,
        "advice": advised(desk, health(reader, desk.settings, desk.now())),
        "notices": reader.notices()[-_NOTICES:][::-1],
        "kinds": [each.value for each in Kind],
        "tiers": [each.value for each in Tier],
        "bys": [each.value for each in By],
        "facts": [rule.id for rule in FACTS if rule.recorded],
        "fields": [field.name for field in FIELDS if field.tier is Tier.HEADLINE],
    }


def advised(desk: Desk, stands: Health) -> list[str]:
    """Return a sentence for each thing that is wrong, without the places of files."""
    backup = desk.settings.backup
    found: list[str] = placeless(list(advice(stands)), [desk.store, *([backup.dir] if backup else ())])
    return found


def _repeated(asked: Asked) -> dict[str, list[str]]:
    """Return the values that the form has no room for: of a parameter given more than once, all but the last."""
    found: dict[str, list[str]] = {}
    last = dict(asked.typed)
    left = list(asked.typed)
    for pair in last.items():
        left.remove(pair)
    for name, value in left:
        found.setdefault(name, []).append(value)
    return found


def _empty(reader: Reader) -> dict[str, Any]:
    """Return what explains an empty page: how much the store holds, and the newest day."""
    changes = reader.change_count(_COUNTED)
    newest = next(reader.changes(ChangeFilter(), limit=1, newest_first=True, values=False), None)
    return {"studies": reader.study_count(), "changes": changes.rows, "counted": str(changes), "newest": newest.date if newest else None}
