"""A study through time: what each version said of status, enrolment and dates, and that as a drawing's coordinates.

The states are had from the rows of the log and the latest row of the study, without decoding a version.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeGuard

from trialsync.study import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trialsync.model import Json, LoggedChange, Study, Version

STATUS: Final = "status.overallStatus"
ENROLMENT: Final = "design.enrollmentCount"
ENROLMENT_TYPE: Final = "design.enrollmentType"
PRIMARY: Final = "status.primaryCompletionDate"
COMPLETION: Final = "status.completionDate"
FIELDS: Final = (STATUS, ENROLMENT, ENROLMENT_TYPE, PRIMARY, COMPLETION)
"""The fields of which the timeline tells."""

WIDTH: Final = 960
_LEFT: Final = 132
_RIGHT: Final = 84
_BAND: Final = 28
_PANEL: Final = 96
_FLAT: Final = 40
_GAP: Final = 26
_TOP: Final = 8
_AXIS: Final = 34
_LETTER: Final = 7.2
_LABEL_ROOM: Final = 46
_PLACEHOLDER: Final = 10_000_000
_DATE: Final = re.compile(r"([12]\d{3})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_STEPS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240)
_MOST_TICKS: Final = 9
_KINDS: Final = {
    "RECRUITING": "open",
    "ENROLLING_BY_INVITATION": "open",
    "NOT_YET_RECRUITING": "coming",
    "ACTIVE_NOT_RECRUITING": "active",
    "COMPLETED": "done",
    "TERMINATED": "stopped",
    "SUSPENDED": "stopped",
    "WITHDRAWN": "stopped",
}
_SHORT: Final = {
    "RECRUITING": "Recruiting",
    "NOT_YET_RECRUITING": "Not yet",
    "ACTIVE_NOT_RECRUITING": "Active",
    "ENROLLING_BY_INVITATION": "Invited",
    "COMPLETED": "Done",
    "TERMINATED": "Term.",
    "SUSPENDED": "Susp.",
    "WITHDRAWN": "Withdr.",
    "UNKNOWN": "Unkn.",
}


@dataclass(frozen=True, slots=True)
class State:
    """What a version said. ``since`` is the ISO day from which it held; ``changed`` names those of FIELDS that it changed."""

    version: Version
    status: str | None
    enrolment: int | None
    enrolment_type: str | None
    primary: str | None
    completion: str | None
    changed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Band:
    """One status from one place to another: ``kind`` is how it is drawn, ``label`` what fits into it."""

    x: float
    width: float
    kind: str
    status: str
    label: str
    says: str


@dataclass(frozen=True, slots=True)
class Label:
    """A text at a place; ``anchor`` is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Line:
    """A stepped line: its SVG path, a dot for each value, a label for those that have room."""

    name: str
    path: str
    dots: tuple[tuple[float, float], ...]
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A part of the drawing: a title at its left, lines in it, between ``top`` and ``bottom``."""

    title: str
    top: float
    bottom: float
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """The whole drawing in units of its own, ``width`` by ``height``."""

    width: float
    height: float
    left: float
    right: float
    bands: tuple[Band, ...]
    band_height: float
    band_top: float
    panels: tuple[Panel, ...]
    ticks: tuple[Label, ...]
    versions: tuple[tuple[float, str], ...]
    axis: float
    describes: str


def states(versions: Sequence[Version], rows: Iterable[LoggedChange], latest: Study) -> list[State]:
    """Return what each version said, the oldest first, from the rows of FIELDS and the latest record."""
    now: dict[str, Json] = {
        STATUS: record.overall_status(latest),
        ENROLMENT: record.enrollment(latest),
        ENROLMENT_TYPE: record.enrollment_type(latest),
        PRIMARY: record.primary_completion_date(latest),
        COMPLETION: record.completion_date(latest),
    }
    moved: dict[int, list[LoggedChange]] = {}
    for row in rows:
        if not row.baseline and row.field in now and row.item is None and row.attribute is None:
            moved.setdefault(row.version, []).append(row)
    found = []
    for version in reversed(versions):
        own = moved.get(version.number, [])
        found.append(
            State(
                version=version,
                status=_text(now[STATUS]),
                enrolment=now[ENROLMENT] if _is_count(now[ENROLMENT]) else None,
                enrolment_type=_text(now[ENROLMENT_TYPE]),
                primary=_text(now[PRIMARY]),
                completion=_text(now[COMPLETION]),
                changed=frozenset(row.field for row in own),
            )
        )
        for row in reversed(own):
            now[row.field] = row.before
    return found[::-1]


def drawing(known: Sequence[State], until: str) -> Drawing | None:
    """Return the drawing of what the versions said up to an ISO day, ``None`` where there are not two different days to draw."""
    days = [day for day in (_day(state.version.date) for state in known) if day is not None]
    end = _day(until)
    if len(days) != len(known) or len(known) < 2 or end is None or max(end, days[-1]) <= days[0]:  # noqa: PLR2004 - two versions
        return None
    first, last = days[0], max(end, days[-1])
    span = (last - first).days

    def at(day: date) -> float:
        return round(_LEFT + (day - first).days / span * (WIDTH - _LEFT - _RIGHT), 1)

    places = [at(day) for day in days]
    stop = at(last)
    top = _TOP + _BAND + _GAP
    panels = []
    for title, drawn, moves in (
        ("Enrolment", _counts, len({state.enrolment for state in known}) > 1),
        ("Completion", _dates, True),
    ):
        height = _PANEL if moves else _FLAT
        lines = drawn(known, places, stop, top, height)
        if lines:
            panels.append(Panel(title, top, top + height, lines))
            top += height + _GAP
    axis = top
    return Drawing(
        width=WIDTH,
        height=axis + _AXIS,
        left=_LEFT,
        right=WIDTH - _RIGHT,
        bands=tuple(_bands(known, places, stop)),
        band_height=_BAND,
        band_top=_TOP,
        panels=tuple(panels),
        ticks=tuple(_ticks(first, last, at, axis)),
        versions=tuple(
            (place, f"version {state.version.number}, {state.version.date}") for place, state in zip(places, known, strict=True)
        ),
        axis=axis,
        describes=_described(known),
    )


def _described(known: Sequence[State]) -> str:
    """Return in sentences what the drawing shows."""
    first, last = known[0], known[-1]
    parts = [f"{len(known)} versions from {first.version.date} to {last.version.date}."]
    statuses = [state.status for state in known if state.status]
    runs = [each for place, each in enumerate(statuses) if place == 0 or statuses[place - 1] != each]
    if runs:
        parts.append(f"Status: {', then '.join(word.replace('_', ' ').lower() for word in runs)}.")
    for name, before, after in (
        ("Enrolment", first.enrolment, last.enrolment),
        ("Primary completion date", first.primary, last.primary),
        ("Completion date", first.completion, last.completion),
    ):
        if before != after:
            parts.append(f"{name}: from {before or 'nothing'} to {after or 'nothing'}.")
    return " ".join(parts)


def _bands(known: Sequence[State], places: Sequence[float], stop: float) -> list[Band]:
    found: list[tuple[float, str | None, str]] = []
    for place, state in zip(places, known, strict=True):
        if not found or found[-1][1] != state.status:
            found.append((place, state.status, state.version.date))
    bands = []
    for (start, status, since), (end, _, _) in pairwise([*found, (stop, None, "")]):
        word = (status or "no status").replace("_", " ").lower()
        width = round(end - start, 1)
        names = (word.capitalize(), _SHORT.get(status or "", ""))
        label = next((name for name in names if name and len(name) * _LETTER + 10 <= width), "")
        bands.append(Band(start, max(width, 1.5), _KINDS.get(status or "", "unknown"), status or "", label, f"{word} from {since}"))
    return bands


def _counts(known: Sequence[State], places: Sequence[float], stop: float, top: float, height: float) -> tuple[Line, ...]:
    values = [(place, state.enrolment) for place, state in zip(places, known, strict=True)]
    counts = [value for _, value in values if value is not None and value < _PLACEHOLDER]
    if not counts:
        return ()
    highest = max(counts) or 1
    texts = {value: f"{value:,}" for value in counts}
    points = [(place, value, texts[value]) for place, value in values if value in texts and value is not None]
    return (_stepped("enrolment", [(place, top + height - value / highest * (height - 16), text) for place, value, text in points], stop),)


def _dates(known: Sequence[State], places: Sequence[float], stop: float, top: float, height: float) -> tuple[Line, ...]:
    named = {
        "primary": [(place, state.primary) for place, state in zip(places, known, strict=True)],
        "completion": [(place, state.completion) for place, state in zip(places, known, strict=True)],
    }
    days = [day for line in named.values() for _, text in line if (day := _day(text)) is not None]
    if not days:
        return ()
    first, span = min(days), max((max(days) - min(days)).days, 1)
    flat = min(days) == max(days)
    lines = []
    for name, values in named.items():
        points = []
        for place, text in values:
            day = _day(text)
            if day is not None and text is not None:
                share = 0.5 if flat else (day - first).days / span
                points.append((place, top + height - share * (height - 16), text))
        if points:
            lines.append(_stepped(name, points, stop))
    return tuple(lines)


def _stepped(name: str, points: Sequence[tuple[float, float, str]], stop: float) -> Line:
    """Return a line that holds each value until the next."""
    path = f"M{points[0][0]:g},{points[0][1]:.1f}"
    dots, labels = [], []
    last_text, free_from = "", 0.0
    for place, y, text in points:
        path += f"H{place:g}V{y:.1f}"
        if text != last_text:
            dots.append((place, round(y, 1)))
            if place >= free_from and place + _LABEL_ROOM < stop:
                labels.append(Label(place + 3, round(y - 5, 1), text))
                free_from = place + len(text) * _LETTER + 8
        last_text = text
    path += f"H{stop:g}"
    labels.append(Label(stop + 5, round(points[-1][1] + 4, 1), points[-1][2]))
    return Line(name, path, tuple(dots), tuple(labels))


def _ticks(first: date, last: date, at: Callable[[date], float], axis: float) -> list[Label]:
    """Return the dates below the axis: at the first of a month, as many as there is room for."""
    months = (last.year - first.year) * 12 + last.month - first.month
    step = next((each for each in _STEPS if months / each <= _MOST_TICKS), _STEPS[-1])
    found = []
    month = first.year * 12 + first.month  # the month after the first, counted from 0
    while (day := date(month // 12, month % 12 + 1, 1)) <= last:
        if month % step == 0:
            found.append(Label(at(day), axis + 26, f"{day:%Y-%m}" if step < 12 else f"{day:%Y}", "middle"))  # noqa: PLR2004 - a year
        month += 1
    return found or [
        Label(at(first), axis + 26, first.isoformat(), "middle"),
        Label(at(last), axis + 26, last.isoformat(), "middle"),
    ]


def _day(text: str | None) -> date | None:
    """Return the first day that a date of the registry (a day, a month or a year) can mean, ``None`` for what no calendar has."""
    found = _DATE.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        return None


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _is_count(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
