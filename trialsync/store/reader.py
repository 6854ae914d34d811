"""What can be asked. A reader never blocks the writer, is never blocked by it, and never makes a store.

A reader is one moment of the store: whatever it is asked, it answers as of when it was opened, so that counts and rows agree. Open a new
one to see what was recorded since.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Self

from trialsync.errors import BadDate, BadFilter, UsageError
from trialsync.model import Origin, Tier
from trialsync.store import contents, headlines, rows, schema
from trialsync.store.baseline_search import BaselineSearch
from trialsync.store.connection import Connection, check_version, connect
from trialsync.store.coverage import Coverage
from trialsync.store.filters import ChangeFilter, is_in_country
from trialsync.store.logged import LogRows
from trialsync.store.members import members
from trialsync.store.notices import notices
from trialsync.store.ranges import Counted, Range
from trialsync.store.sealed import sealed
from trialsync.store.search import Search
from trialsync.store.shown import Shown
from trialsync.store.sightings import last_loads, seen
from trialsync.store.standing import Standing, standing
from trialsync.store.study_days import BLOCK, StudyDays, changed, study_days, study_days_in_blocks
from trialsync.store.study_filters import walks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from trialsync.model import LoggedChange, Notice, Poll, Study, Version
    from trialsync.store.headlines import Headlines
    from trialsync.store.sealed import Sealed
    from trialsync.store.sightings import Seen
    from trialsync.store.study_filters import StudyFilter
    from trialsync.study.nct_set import NctSet

_MANY: Final = 2_000
_LAST_DAY: Final = "9999-12-31"
_COMPLETE: Final = "AND p.ended = 'complete'"


@dataclass(frozen=True, slots=True)
class WatchRow:
    """A watch as the store knows it: what it asks, since when (UTC instant), how many studies are in it, how many left, its last polls.

    ``seen`` says in which loads its studies were last seen, where one of its polls was complete.
    """

    name: str
    query: str
    since: str
    members: int
    left: int
    last_complete: Poll | None
    last: Poll | None
    seen: Seen | None


@dataclass(frozen=True, slots=True)
class Hidden:
    """How many rows a filter leaves out for their sort alone."""

    housekeeping: Counted
    baseline: Counted


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the store holds. ``changes`` are those that happened, the rows of first known versions left out."""

    studies: int
    versions: int
    changes: int


class Reader:
    """A store opened for reading, as it stood at that moment."""

    def __init__(self, connection: Connection) -> None:
        self.path = connection.path
        self._db = connection
        self._coverage = Coverage(connection)
        self._log = LogRows(connection)
        connection.raw.create_function("is_in_country", 5, is_in_country, deterministic=True)

    @classmethod
    def open(cls, path: Path, *, limit_seconds: float | None = None) -> Reader:
        """Open a store for reading; one of an older schema is brought up first, after a backup beside it.

        With ``limit_seconds`` every answer has to come within so many seconds from now, or raises AnswerTooLong. Raises StoreMissing,
        StoreForeign, StoreTooNew, StoreDamaged; StoreBusy or StoreUnwritable where an older one can't be brought up.
        """
        connection = _opened(path, limit_seconds)
        try:
            if check_version(connection, schema.SCHEMA) < schema.SCHEMA:
                connection.close()
                schema.bring_up(path)
                connection = _opened(path, limit_seconds)
            connection.execute("BEGIN")
            check_version(connection, schema.SCHEMA)
        except BaseException:
            connection.raw.close()
            raise
        return cls(connection)

    def close(self) -> None:
        """Close the store."""
        self._db.raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # The change log

    def changes(
        self,
        wanted: ChangeFilter,
        *,
        after: int | None = None,
        up_to: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
        values: bool = True,
    ) -> Iterator[LoggedChange]:
        """Yield the rows of the change log that a filter wants, by id, one at a time; ``after`` is a cursor: rows with a greater id.

        ``up_to`` is the greatest id that is wanted; ``limit`` None is no limit. Without ``values`` baseline rows have none, which saves
        reading their versions. Raises BadFilter, UnknownWatch, StoreDamaged.
        """
        many = limit is None or limit > _MANY
        found = islice(Search(self._db, wanted, Range(after, up_to, newest_first), many=many).rows(), limit)
        yield from self._log.changes((number for (number,) in found), values=values)

    def study_days(
        self,
        wanted: ChangeFilter,
        *,
        after: int | None = None,
        up_to: int | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> StudyDays:
        """Return the rows that a filter wants by study and day, in the order of each day's first; see ``study_days``."""
        return study_days(self._db, wanted, after=after, up_to=up_to, limit=limit, newest_first=newest_first)

    def changed(self, wanted: ChangeFilter) -> NctSet:
        """Return the studies of which a filter wants a row of the change log. Raises BadFilter, UnknownWatch."""
        return changed(self._db, wanted)

    def study_days_in_blocks(
        self, wanted: ChangeFilter, *, after: int | None = None, newest_first: bool = False, rows: int = BLOCK
    ) -> Iterator[StudyDays]:
        """Yield all the rows that a filter wants by study and day, the days of so many rows at a time; see ``study_days``."""
        return study_days_in_blocks(self._db, wanted, after=after, newest_first=newest_first, size=rows)

    def logged(self, ids: Iterable[int]) -> list[LoggedChange]:
        """Return rows of the change log by their ids, in that order. Raises StoreDamaged."""
        return list(self._log.changes(ids))

    def changes_of(self, nct_id: str, *, version: int | None = None, baseline: bool = True) -> list[LoggedChange]:
        """Return one study's rows of the change log, by id; those of one version where it is given."""
        found = self.changes(ChangeFilter(studies=(nct_id,), baseline=baseline))
        return [change for change in found if version is None or change.version == version]

    def count(self, wanted: ChangeFilter, *, after: int | None = None) -> int:
        """Return how many rows a filter wants. Raises BadFilter, UnknownWatch."""
        return Search(self._db, wanted, Range(after), many=True).count().rows

    def counted(self, wanted: ChangeFilter, *, after: int | None = None, most: int | None = None, looked: int | None = None) -> Counted:
        """Return how many rows a filter wants, the newest first, as far as they can be counted soon.

        What is past ``most`` rows, or many more than ``looked`` candidates away from the newest, is not counted. Raises BadFilter,
        UnknownWatch.
        """
        return Search(self._db, wanted, Range(after, newest_first=True), many=True).count(most=most, looked=looked)

    def hidden(self, wanted: ChangeFilter, *, after: int | None = None, looked: int | None = None) -> Hidden:
        """Return how many rows a filter leaves out because they are housekeeping, and how many because they are baseline.

        ``looked`` bounds the counting as in ``counted``. Raises BadFilter, UnknownWatch.
        """
        baseline = Counted(0, whole=True)
        if not wanted.baseline:
            baseline = BaselineSearch(self._db, wanted, Range(after), many=True).count(looked=looked)
        return Hidden(self.quiet(wanted, after=after, looked=looked), baseline)

    def quiet(self, wanted: ChangeFilter, *, after: int | None = None, looked: int | None = None) -> Counted:
        """Return how many rows a filter leaves out because they are housekeeping; ``looked`` bounds the counting as in ``counted``."""
        if wanted.housekeeping or (wanted.tiers and Tier.HOUSEKEEPING not in wanted.tiers):
            return Counted(0, whole=True)
        return self.counted(replace(wanted, housekeeping=True, tiers=(Tier.HOUSEKEEPING,)), after=after, looked=looked)

    def fact_counts(self, rules: Mapping[str, int]) -> tuple[dict[str, int], int]:
        """Return how many rows carry each fact, by id, and how many carry one by another rule than these (id to version)."""
        counts: dict[str, int] = {}
        older = 0
        for fact, rule, number in self._db.rows("SELECT fact, rule, rows FROM fact_counts WHERE rows > 0 ORDER BY fact, rule"):
            counts[fact] = counts.get(fact, 0) + number
            older += number if rule != rules.get(fact) else 0
        return counts, older

    def last_id(self) -> int:
        """Return the id of the last change ever recorded, 0 before the first: the cursor at the log's end."""
        return rows.last_change(self._db)

    def check_cursor(self, after: int) -> None:
        """Raise BadFilter for a cursor that this log never gave out."""
        last = self.last_id()
        if not 0 <= after <= last:
            raise BadFilter(
                f"cursor {after} is past the log's end, {last}", hint="it is of another store, or of one restored; read again from 0"
            )

    # Studies

    def has(self, nct_id: str) -> bool:
        """Return whether the store has the study."""
        return self._db.value("SELECT 1 FROM studies WHERE nct_id = ?", (nct_id,)) is not None

    def headlines(self, nct_id: str) -> Headlines:
        """Return a study's row. Raises UsageError where the store does not have it."""
        row = self._db.row(f"SELECT {headlines.COLUMNS} FROM studies WHERE nct_id = ?", (nct_id,))
        if row is None:
            raise self._unknown(nct_id)
        return headlines.headlines(row)

    def studies(self, watch: str | None = None) -> Iterator[Headlines]:
        """Yield the rows of all studies, or of those that are in a watch now, by number."""
        members = (
            "nct_id IN (SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id WHERE w.name = ? AND m.left_load IS NULL)"
        )
        sql = f"SELECT {headlines.COLUMNS} FROM studies WHERE {members if watch is not None else '1'} ORDER BY nct_id"
        for row in self._db.rows(sql, () if watch is None else (watch,)):
            yield headlines.headlines(row)

    def knows_watch(self, name: str) -> bool:
        """Return whether a watch of this name was ever saved."""
        return self._db.value("SELECT 1 FROM watches WHERE name = ?", (name,)) is not None

    def members(self, watches: Sequence[str] = (), *, on: str | None = None, ever: bool = False) -> NctSet:
        """Return the numbers of all studies, or of those in one of these watches.

        In a watch they are now, or were on the load of an ISO day (``on``), or ever. Raises UnknownWatch, StoreDamaged.
        """
        return members(self._db, watches, on=on, ever=ever)

    def watches_of(self, nct_id: str) -> list[str]:
        """Return the names of the watches that a study is in now."""
        sql = (
            "SELECT w.name FROM watch_studies m JOIN watches w ON w.id = m.watch_id WHERE m.nct_id = ? AND m.left_load IS NULL "
            "ORDER BY w.name"
        )
        return [name for (name,) in self._db.rows(sql, (nct_id,))]

    def shown(self) -> Shown:
        """Return which loads showed each study, read once for all of them: for those who ask for many."""
        return Shown(self._db)

    def find_studies(self, wanted: StudyFilter, *, after: str | None = None, limit: int | None = None) -> Iterator[Headlines]:
        """Yield the rows of the studies that a filter wants, by number; ``after`` is a number: those with a greater one.

        ``limit`` None is no limit. Raises BadFilter, UnknownWatch, StoreDamaged.
        """
        found = [
            self._db.rows(f"SELECT {headlines.COLUMNS} FROM {walk.source} ORDER BY s.nct_id", walk.values)
            for walk in walks(self._db, wanted, after)
        ]
        for row in islice(heapq.merge(*found, key=itemgetter(0)), limit):
            yield headlines.headlines(row)

    def study(self, nct_id: str, *, as_of: str | None = None, version: int | None = None) -> Study:
        """Return a study as it is, as it was on an ISO day, or at a version.

        Raises UsageError for a study or version that the store does not have, BadDate for a day before the first version, StoreDamaged.
        """
        if as_of is not None:
            return contents.study(self._db, nct_id, self.version_at(nct_id, as_of).number)
        numbers = [known.number for known in self.versions(nct_id)]
        if version is not None and version not in numbers:
            raise UsageError(f"{nct_id} has no version {version}", hint=f"it has 1 to {len(numbers)}")
        return contents.study(self._db, nct_id, numbers[-1] if version is None else version)

    def version_at(self, nct_id: str, as_of: str) -> Version:
        """Return the version that held at the end of an ISO day. Raises UsageError, or BadDate for a day before the first version."""
        known = self.versions(nct_id)
        held = [version for version in known if version.date <= as_of]
        if not held:
            first = known[0]
            told = f"its first known version is of {first.date}; trialsync backfill {nct_id} may know more"
            if first.registry_version == 0:
                told = f"its first version is of {first.date}: the registry has none before it"
            raise BadDate(f"{nct_id} is not known as of {as_of}", hint=told)
        return held[-1]

    def versions(self, nct_id: str) -> list[Version]:
        """Return a study's versions, oldest first. Raises UsageError where the store does not have it."""
        sql = f"SELECT {rows.VERSION_COLUMNS} FROM versions v WHERE v.nct_id = ? ORDER BY v.number"
        found = [rows.version(row) for row in self._db.rows(sql, (nct_id,))]
        if not found:
            raise self._unknown(nct_id)
        return found

    def sealed(self, nct_id: str) -> Sealed:
        """Return the seals of a study's versions, with the rows of the log that they brought. Raises UsageError for an unknown study."""
        found = sealed(self._db, nct_id)
        if found is None:
            raise self._unknown(nct_id)
        return found

    def last_seen(self, nct_id: str) -> str | None:
        """Return the instant of the last complete poll or import that covered the study (UTC, ending in ``Z``), or ``None``."""
        return self._coverage.last_seen(nct_id)

    def last_load(self, nct_id: str) -> tuple[str | None, Origin | None]:
        """Return the last load (ISO day) known to have shown the study, and whether a poll or an import last covered it, where known."""
        seen = self._coverage.last_seen(nct_id)
        origin = self._coverage.came_from(seen) if seen else None
        return self._coverage.last_shown(nct_id, _LAST_DAY), Origin(origin) if origin else None

    def _unknown(self, nct_id: str) -> UsageError:
        return UsageError(f"{nct_id} is not in {self.path}", hint=f"trialsync sync {nct_id} fetches it")

    # Watches, polls, and the whole

    def watches(self) -> list[WatchRow]:
        """Return the watches that were ever saved, by name."""
        return [
            WatchRow(name, asked, since, now, left, self._poll_of(name, _COMPLETE), self._poll_of(name), seen(self._db, name))
            for name, asked, since, now, left in self._db.rows('SELECT name, "query", since, members, former FROM watches ORDER BY name')
        ]

    def seen_of(self, watch: str) -> Seen | None:
        """Return between which loads the studies of a watch were last seen, ``None`` where none of its polls was complete."""
        return seen(self._db, watch)

    def last_loads(self, nct_ids: Iterable[str], up_to: str) -> dict[str, int]:
        """Return how many of these studies were last seen in each load, up to an ISO day: by load, the oldest first."""
        return last_loads(self._db, nct_ids, up_to)

    def _poll_of(self, watch: str, condition: str = "") -> Poll | None:
        sql = f"SELECT {rows.POLL_COLUMNS} FROM polls p WHERE p.watch = ? {condition} ORDER BY p.id DESC LIMIT 1"
        row = self._db.row(sql, (watch,))
        return rows.poll(row) if row else None

    def polls(self, limit: int | None = None, watch: str | None = None) -> list[Poll]:
        """Return past polls, newest first, those of one watch where it is given."""
        sql = f"SELECT {rows.POLL_COLUMNS} FROM polls p WHERE ?1 IS NULL OR p.watch = ?1 ORDER BY p.id DESC LIMIT ?2"
        return [rows.poll(row) for row in self._db.rows(sql, (watch, -1 if limit is None else limit))]

    def standing(self) -> Standing:
        """Return how the store stands: its size, who writes now, and how each watch's polls ended."""
        return standing(self._db)

    def notices(self, loads: Iterable[str] | None = None, *, since: str | None = None) -> list[Notice]:
        """Return what the registry itself changed in many studies at once: in these loads, from ``since`` on (ISO days), or ever."""
        return notices(self._db, loads, since)

    def study_count(self) -> int:
        """Return how many studies the store has."""
        return rows.count(self._db, "studies")

    def change_count(self, most: int) -> Counted:
        """Return how many changes happened, without counting past ``most``."""
        sql = "SELECT count(*) FROM (SELECT 1 FROM changes LIMIT ?)"
        found = self._db.value(sql, (most + 1,))
        return Counted(min(found, most), whole=found <= most)

    def unknown_fields(self) -> list[str]:
        """Return the names of fields that studies have and the vocabulary does not."""
        return [name for (name,) in self._db.rows("SELECT name FROM fields WHERE known = 0 ORDER BY name")]

    def counts(self) -> Counts:
        """Return how much the store holds."""
        changes = self._db.value("SELECT count(*) FROM changes")
        return Counts(self.study_count(), rows.count(self._db, "versions"), changes)


def _opened(path: Path, limit_seconds: float | None) -> Connection:
    if limit_seconds is None:
        return connect(path, writable=False)
    connection = connect(path, writable=False, wait_seconds=limit_seconds)
    connection.stop_after(limit_seconds)
    return connection
