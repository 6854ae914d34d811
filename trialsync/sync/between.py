"""What changed between two dates, of one study and of a whole watch: what every face that compares dates needs."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from trialsync.errors import BadDate
from trialsync.model import By, Kind, Origin
from trialsync.store.filters import ChangeFilter
from trialsync.study import record
from trialsync.study.fields import PRESENCE, WATCH_PREFIX
from trialsync.study.nct_set import NctSet
from trialsync.study.net import Between, WatchBetween, net
from trialsync.study.seam import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trialsync.model import LoggedChange, Study, Version
    from trialsync.store.reader import Reader

_EVERY: Final = 100
_COMPUTED: Final = ("derived.", "annotation.")
_REFERENCES: Final = "references.references"


def study_between(reader: Reader, nct_id: str, start: str, end: str) -> Between:
    """Return what differs between what a study was at the end of two ISO days, the first not after the second.

    A study that was withheld on one of them is compared as it last was before. What the registry computes is left out where just one of the
    two is a version of its history, which does not hold that. Raises UsageError for a study that the store does not have;
    BadDate for a day before its first version, with the command that would know, and for days the wrong way round; StoreDamaged.
    """
    check_days(start, end)
    versions = reader.versions(nct_id)
    rows = list(reader.changes(ChangeFilter(studies=(nct_id,), since=_next(start), until=end))) if start < end else []
    held = [version for version in versions if version.date <= start]
    is_new = any(row.field == PRESENCE and row.kind is Kind.ADDED for row in rows)
    if versions[0].date > end or (not held and not is_new):
        asked = end if versions[0].date > end else start
        raise BadDate(
            f"{nct_id} is not known as of {asked}: its first known version is of {versions[0].date}",
            hint=f"the registry's own history may know it: trialsync backfill {nct_id}",
        )
    new = [version for version in versions if version.date <= end][-1]
    old = held[-1] if held else None
    headlines = reader.headlines(nct_id)
    contents: tuple[Study | None, Study | None] = (None, None)
    if old is not None and old.number != new.number:
        (was, first), (now, last) = _open(reader, versions, old), _open(reader, versions, new)
        contents = (was, now)
        if (first is Origin.HISTORY) is not (last is Origin.HISTORY):
            contents = (masked(was), masked(now))
            rows = [row for row in rows if not _is_computed(row)]
    elif old is not None:
        # The content is the same; rows of the whole study may lie between all the same.
        contents = ({}, {})
    rows.sort(key=lambda row: (row.version, row.id))
    return Between(nct_id, headlines.title, headlines.sponsor, start, end, old, new, tuple(net(*contents, rows)))


def not_seen_since(reader: Reader, nct_id: str, end: str) -> str | None:
    """Return the last load (ISO day) up to a day that showed a study, where a later one up to then was polled completely; else ``None``.

    What became of the study after that load nobody looked at. Raises StoreDamaged.
    """
    newest = max((poll.load for poll in reader.polls() if poll.load and poll.ended == "complete" and poll.load <= end), default="")
    shown = next(iter(reader.last_loads((nct_id,), end)), newest)
    return shown if shown < newest else None


class WatchComparison:
    """A watch between the ends of two ISO days: each study that was in it on one of them or in between.

    It may be the whole registry: one study is compared at a time, and of the others no more than their numbers are kept. Raises
    UnknownWatch, BadDate, StoreDamaged.
    """

    def __init__(self, reader: Reader, watch: str, start: str, end: str) -> None:
        check_days(start, end)
        self._reader, self._watch, self._start, self._end = reader, watch, start, end
        self.members = reader.members((watch,), on=start) | reader.members((watch,), on=end)
        self._touched = NctSet()
        self._unchanged = NctSet()
        self._told: Counter[Kind | bool] = Counter()
        self._unknown = 0
        self._first_unknown: tuple[str, str] | None = None
        if start < end:
            between = ChangeFilter(watches=(watch,), since=_next(start), until=end)
            self.members |= reader.changed(replace(between, fields=(WATCH_PREFIX + watch,)))
            self._touched = self.members & reader.changed(between)

    def studies(self, told: Callable[[int, int | None], None] | None = None) -> Iterator[Between]:
        """Yield what differs of each study that has anything to tell, by number; ``told`` hears how many are compared, and of how many."""
        for done, nct_id in enumerate(self.members):
            if told is not None and done % _EVERY == 0:
                told(done, len(self.members))
            first = self._reader.versions(nct_id)[0].date
            found = None
            if nct_id in self._touched:
                with suppress(BadDate):
                    found = study_between(self._reader, nct_id, self._start, self._end)
            if found is None and first > self._start:
                self._unknown += 1
                self._first_unknown = self._first_unknown or (nct_id, first)
            elif found is None or not found.changes:
                self._unchanged.add(nct_id)
            else:
                own = next((change for change in found.changes if change.field == WATCH_PREFIX + self._watch), None)
                self._told[own.kind if own is not None and own.kind is not None else found.differs] += 1
                yield found

    def summary(self) -> WatchBetween:
        """Return how many studies differ, and what is known of the others, once all that differ were read."""
        joined = self._told[Kind.ADDED]
        return WatchBetween(
            name=self._watch,
            start=self._start,
            end=self._end,
            changed=self._told[True],
            changed_back=self._told[False],
            joined=joined,
            left=self._told.total() - self._told[True] - self._told[False] - joined,
            unchanged=len(self._unchanged),
            unknown=self._unknown,
            first_unknown=self._first_unknown,
            loads=_loads(self._reader, self._watch, self._start, self._end),
            last_seen=tuple(self._reader.last_loads(self._unchanged, self._end).items()),
        )


def watch_between(reader: Reader, watch: str, start: str, end: str) -> WatchBetween:
    """Return how many studies of a watch differ between the end of two ISO days, and what is known of the others.

    Raises UnknownWatch, BadDate, StoreDamaged.
    """
    comparison = WatchComparison(reader, watch, start, end)
    for _ in comparison.studies():
        pass
    return comparison.summary()


def check_days(start: str, end: str) -> None:
    """Raise BadDate where the first of two ISO days is after the second."""
    if start > end:
        raise BadDate(f"{start} is after {end}", hint="the earlier day first")


def _loads(reader: Reader, watch: str, start: str, end: str) -> tuple[str, ...]:
    loads = sorted({poll.load for poll in reader.polls(watch=watch) if poll.load and poll.ended == "complete" and poll.load <= end})
    before = [load for load in loads if load <= start]
    return (*before[-1:], *(load for load in loads if load > start))


def _open(reader: Reader, versions: list[Version], at: Version) -> tuple[Study, Origin]:
    """Return what a study said at a version, or, where that was withheld, at the last before it that was not; and that one's origin."""
    for version in reversed(versions):
        if version.number <= at.number and not record.is_withheld(study := reader.study(at.nct_id, version=version.number)):
            return study, version.origin
    return reader.study(at.nct_id, version=at.number), at.origin


def _is_computed(row: LoggedChange) -> bool:
    """Return whether a row is of what the registry computes, which its history does not hold."""
    return row.field.startswith(_COMPUTED) or row.attribute == "geoPoint" or (row.field == _REFERENCES and row.by is By.REGISTRY)


def _next(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
