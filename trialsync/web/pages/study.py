"""``/studies/NCT…``: a study as it is, or was; its facts, its timeline, its versions and its changes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Final

from trialsync.errors import BadDate
from trialsync.model import Origin, Presence
from trialsync.publish.fact_words import fact_words
from trialsync.publish.privacy import without_contacts
from trialsync.publish.sheets import study_rows
from trialsync.store.filters import ChangeFilter
from trialsync.study import record
from trialsync.study.facts import FACTS, overdue
from trialsync.sync.pages import Sight, look
from trialsync.web.api.parameters import Parameter, read
from trialsync.web.api.values import BadValue, Day, Whole
from trialsync.web.pages import rendering
from trialsync.web.pages.asking import study_of
from trialsync.web.pages.protocol import protocol
from trialsync.web.pages.rendering import in_words
from trialsync.web.pages.rows import ShownChange, ShownLine, cut, is_quiet, shown_change, shown_line, text_of, told
from trialsync.web.pages.timeline import FIELDS, drawing, states
from trialsync.web.problems import not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from starlette.requests import Request

    from trialsync.model import Json, LoggedChange, Study
    from trialsync.store.reader import Reader
    from trialsync.web.answer import Answer
    from trialsync.web.desk import Desk

_ASKED: Final = (
    Parameter("as_of", Day(), "As it was at the end of this day, or a time ago (30d)."),
    Parameter("before", Day(), "Changes dated before this day."),
)
_DAYS: Final = 12
_MOST_ROWS: Final = 60
_MOST_READ: Final = 4_000
"""So many rows of its days are read for a page, the first of them; it says so, and the others are behind its links."""

_MOST_FIRST: Final = 200
_MOST_FACTS: Final = 12
_LONG_RUN: Final = 5
_LONG_FIELD: Final = 700
_LONGEST_FIELD: Final = 6_000
_PRESENCES: Final = {
    Presence.REMOVED: "The registry no longer lists this study.",
    Presence.MERGED: "The registry merged this study into another.",
    Presence.WITHHELD: "The registry withholds this study.",
}


@dataclass(frozen=True, slots=True)
class ShownDay:
    """What happened on a day: its line, the rows that matter, the quiet ones, and how many more there are.

    ``runs`` are rows of sites that all say the same, with what they say. ``read`` of ``count`` rows are what all this is told of.
    """

    date: str
    versions: tuple[int, ...]
    line: ShownLine
    rows: tuple[ShownChange, ...]
    runs: tuple[tuple[str, tuple[ShownChange, ...]], ...]
    quiet: tuple[ShownChange, ...]
    more: int
    read: int
    count: int


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field of a record: ``short`` where it stands in full, ``is_cut`` where JSON has more."""

    name: str
    text: str
    short: bool
    is_cut: bool


@dataclass(frozen=True, slots=True)
class DatedFact:
    """A fact of a study, and of how many rows of that day."""

    date: str
    id: str
    says: str
    count: int


def study(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers a study's page: as it is, or as it was at the end of a day (``as_of``)."""

    def answered(request: Request, reader: Reader) -> Answer:
        number = study_of(reader, request.path_params["nct_id"])
        asked = read(request.scope["query_string"], _ASKED, desk.now())
        as_of = asked.one("as_of")
        if as_of is not None:
            try:
                return _as_it_was(desk, reader, look(reader, number, as_of=as_of), as_of)
            except BadDate as error:
                raise not_found(error.message, word="unknown-version", hint=error.hint) from error
        return _as_it_is(desk, reader, look(reader, number), asked.one("before"))

    return answered


def version(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers the page of a study at a version."""

    def answered(request: Request, reader: Reader) -> Answer:
        number = study_of(reader, request.path_params["nct_id"])
        read(request.scope["query_string"], (), desk.now())
        try:
            wanted = Whole(1, 1_000_000).read("version", request.path_params["version"], desk.now())
        except BadValue:
            wanted = 0
        count = len(reader.versions(number))
        if not 1 <= wanted <= count:
            raise not_found(f"{number} has no such version", word="unknown-version", hint=f"it has 1 to {count}")
        return _as_it_was(desk, reader, look(reader, number, version=wanted), None)

    return answered


def _as_it_is(desk: Desk, reader: Reader, sight: Sight, before: str | None) -> Answer:
    number = sight.version.nct_id
    versions = reader.versions(number)
    known = states(versions, reader.changes(ChangeFilter(studies=(number,), fields=FIELDS)), sight.study)
    days, older = _days(desk, reader, number, before)
    load, origin = reader.last_load(number)
    origin, load = origin or sight.version.origin, load or sight.version.load
    # What is known reaches to the load that showed it, whenever that came to us.
    until = load if origin is Origin.IMPORT else sight.last_seen[:10]
    first, firsts = _first(desk, reader, number) if older is None else ([], 0)
    return rendering.page(
        "study.html",
        number=number,
        headline=_headline(sight),
        sight=sight,
        presence=_PRESENCES.get(sight.presence),
        protocol=protocol(sight.study),
        facts=_facts(reader, number),
        most_facts=_MOST_FACTS,
        overdue=[fact_of_overdue(fact) for fact in overdue(sight.study, date.fromisoformat(until))],
        known=known[::-1],
        drawing=drawing(known, load),
        imported=load if origin is Origin.IMPORT else None,
        days=days,
        dates={day.date for day in days},
        before=before,
        older=older,
        first=first,
        firsts=firsts,
        watches=reader.watches_of(number),
    )


def _as_it_was(desk: Desk, reader: Reader, sight: Sight, as_of: str | None) -> Answer:
    number = sight.version.nct_id
    versions = reader.versions(number)
    of_its_day = ChangeFilter(studies=(number,), since=sight.version.date, until=sight.version.date)
    rows = (row for row in reader.changes(of_its_day) if row.version == sight.version.number)
    own = told(desk, islice(rows, _MOST_READ))
    count = len(own) if len(own) < _MOST_READ else reader.count(of_its_day)
    return rendering.page(
        "version.html",
        number=number,
        headline=_headline(sight),
        sight=sight,
        presence=_PRESENCES.get(sight.presence),
        as_of=as_of,
        count=len(versions),
        following=next((each for each in versions if each.number == sight.version.number + 1), None),
        day=_day(own, count) if own else None,
        modules=_modules(sight.study if desk.shows_contacts else without_contacts(sight.study)),
    )


def _headline(sight: Sight) -> dict[str, Any]:
    """Return what stands at the top of a study, by what the record says."""
    study = sight.study
    sites = record.locations(study)
    phases = [each for each in record.phases(study) if each != "NA"]
    countries = record.countries(study)
    return {
        "title": rendering.in_a_line(record.title(study) or record.official_title(study) or sight.version.nct_id),
        "official": record.official_title(study),
        "status": record.overall_status(study),
        "last_known": record.last_known_status(study),
        "why": _leaf(study, "statusModule", "whyStopped"),
        "phases": ", ".join(
            rendering.in_a_line(each).replace("EARLY_PHASE1", "early phase 1").replace("PHASE", "phase ") for each in phases
        ),
        "type": record.study_type(study),
        "sponsor": record.sponsor(study),
        "class": record.sponsor_class(study),
        "conditions": [rendering.in_a_line(each) for each in record.conditions(study)],
        "enrolment": record.enrollment(study),
        "enrolment_type": record.enrollment_type(study),
        "sites": len(sites),
        "countries": [rendering.in_a_line(each) for each in countries],
        "start": _dated(study, "startDateStruct"),
        "primary": _dated(study, "primaryCompletionDateStruct"),
        "completion": _dated(study, "completionDateStruct"),
        "results": record.has_results(study),
        "first_posted": record.first_posted(study),
        "posted": record.posted(study),
    }


def _leaf(study: Study, *path: str) -> str | None:
    value = record.at(study, "protocolSection", *path)
    return value if isinstance(value, str) else None


def _dated(study: Study, struct: str) -> tuple[str, str] | None:
    """Return a date and its type in words, ``None`` where there is no date."""
    day, kind = _leaf(study, "statusModule", struct, "date"), _leaf(study, "statusModule", struct, "type")
    return (day, (kind or "").lower()) if day else None


def _days(desk: Desk, reader: Reader, number: str, before: str | None) -> tuple[list[ShownDay], str | None]:
    """Return the days on which something changed, the newest first, and the day before which there are more."""
    found = reader.study_days(ChangeFilter(studies=(number,))).days
    dates = sorted({each for _, each in found if before is None or each < before}, reverse=True)
    days: list[ShownDay] = []
    room = _MOST_READ
    for each in dates[:_DAYS]:
        ids = found[number, each]
        if days and len(ids) > room:
            break
        days.append(_day(told(desk, reader.logged(ids[:_MOST_READ])), len(ids)))
        room -= len(ids)
    return days, dates[len(days) - 1] if len(dates) > len(days) else None


def _first(desk: Desk, reader: Reader, number: str) -> tuple[list[ShownChange], int]:
    """Return the first rows of what stood there when a study was first seen, and how many there are."""
    wanted = ChangeFilter(studies=(number,), baseline=True)
    rows = (row for row in reader.changes(wanted) if row.baseline)
    first = list(map(shown_change, told(desk, islice(rows, _MOST_FIRST))))
    firsts = len(first) if len(first) < _MOST_FIRST else reader.count(wanted) - reader.count(replace(wanted, baseline=False))
    return first, firsts


def _day(changes: Sequence[LoggedChange], count: int) -> ShownDay:
    loud = [row for row in changes if not is_quiet(row)]
    quiet = [row for row in changes if is_quiet(row)]
    runs = _runs(loud)
    alone = [row for row in loud if (row.before, row.after) not in runs or not _is_site_status(row)] if runs else loud
    shown = alone[:_MOST_ROWS]
    hushed = quiet[:_MOST_ROWS]
    return ShownDay(
        date=changes[0].date,
        versions=tuple(dict.fromkeys(row.version for row in changes)),
        line=shown_line(loud or changes),
        rows=tuple(map(shown_change, shown)),
        runs=tuple(
            (f"{len(run):,} sites: {in_words(before)} → {in_words(after)}", tuple(map(shown_change, run[:_MOST_ROWS])))
            for (before, after), run in runs.items()
        ),
        quiet=tuple(map(shown_change, hushed)),
        more=count - len(shown) - sum(len(run[:_MOST_ROWS]) for run in runs.values()) - len(hushed),
        read=len(changes),
        count=count,
    )


def _runs(changes: Sequence[LoggedChange]) -> dict[tuple[Json, Json], list[LoggedChange]]:
    """Return the rows of sites whose status changed alike, by what it was and is, where there are so many that they hide the others."""
    found: dict[tuple[Json, Json], list[LoggedChange]] = {}
    for row in changes:
        if _is_site_status(row):
            found.setdefault((row.before, row.after), []).append(row)
    return {key: run for key, run in found.items() if len(run) >= _LONG_RUN}


def _is_site_status(row: LoggedChange) -> bool:
    return (
        row.field == "locations" and row.attribute == "status" and all(isinstance(value, str | None) for value in (row.before, row.after))
    )


def _facts(reader: Reader, number: str) -> list[DatedFact]:
    """Return what was derived from a study's changes, the newest first, the same of one day once."""
    recorded = tuple(rule.id for rule in FACTS if rule.recorded)
    rows = reader.changes(ChangeFilter(studies=(number,), facts=recorded), values=False)
    said = sorted(
        ((row.date, str(fact["id"]), fact_words(fact)) for row in rows for fact in row.facts), key=lambda each: each[0], reverse=True
    )
    found = []
    for since, day in groupby(said, key=lambda each: each[0]):
        counts: dict[tuple[str, str], int] = {}
        for _, fact, says in day:
            counts[fact, says] = counts.get((fact, says), 0) + 1
        found += [DatedFact(since, fact, says, count) for (fact, says), count in counts.items()]
    return found


def fact_of_overdue(fact: dict[str, Json]) -> str:
    """Return what is overdue in words."""
    what, expected, months = str(fact["what"]), str(fact["date"]), fact["months"]
    since = f"{months:,} months" if isinstance(months, int) and months > 1 else "a month" if months == 1 else "less than a month"
    if what == "results":
        return f"No results are posted; primary completion was on {expected}, {since} ago."
    return f"{'Primary completion' if what == 'primary-completion' else 'Completion'} was expected by {expected}, {since} ago."


def _modules(study: Study) -> list[tuple[str, list[ShownField]]]:
    """Return a record field by field, by the vocabulary's modules in their order; what is long is cut."""
    fields = [_field(row["field"], row["value"]) for row in study_rows(study)]
    return [(name, list(found)) for name, found in _grouped(fields)]


def _field(name: str, value: Json) -> ShownField:
    shown, is_cut = cut(text_of(value), _LONGEST_FIELD)
    has_more = is_cut or (isinstance(value, list) and shown.rpartition("\n")[2].startswith("… "))
    return ShownField(name, shown, len(shown) <= _LONG_FIELD and shown.count("\n") < 12, has_more)  # noqa: PLR2004 - lines


def _grouped(fields: Iterable[ShownField]) -> Iterable[tuple[str, Iterable[ShownField]]]:
    found: dict[str, list[ShownField]] = {}
    for field in fields:
        found.setdefault(field.name.partition(".")[0], []).append(field)
    return found.items()
