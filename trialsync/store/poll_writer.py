"""What is recorded about polls: what each covered and how it ended."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from trialsync.model import Ended
from trialsync.store import codec
from trialsync.store.coverage import Coverage
from trialsync.store.page import Pages
from trialsync.store.rows import POLL_COLUMNS, CompletePoll, poll
from trialsync.store.seal import seal_poll
from trialsync.study.fields import PRESENCE
from trialsync.study.nct_set import NctSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from trialsync.model import Origin, Poll
    from trialsync.store.connection import Connection


FORGOTTEN: Final = "the process ended before the poll did"


NOBODY: Final[Mapping[str, str]] = MappingProxyType({})
"""No watch of which anything is known."""


def end_forgotten_polls(
    connection: Connection, message: str = FORGOTTEN, *, unended: Mapping[str, str] = NOBODY, stopped: str | None = None
) -> None:
    """End the polls that never ended, inside a transaction: who holds the store for writing knows that nobody is at them.

    They failed; those that were stopped at an instant (UTC, ending in ``Z``) are partial where they recorded something. Counted are the
    versions that they brought: of studies that they saw unchanged nothing is known. ``unended`` has, by watch, a reason that is known
    better than ``message``.
    """
    for number, watch, origin, started in list(connection.rows("SELECT id, watch, origin, started FROM polls WHERE ended IS NULL")):
        new, updated = connection.row(
            "SELECT count(*) FILTER (WHERE number = 1), count(*) FILTER (WHERE number > 1) FROM versions WHERE seen = ? AND origin = ?",
            (started, origin),
        ) or (0, 0)
        ended = Ended.PARTIAL if stopped is not None and new + updated else Ended.FAILED
        connection.execute(
            "UPDATE polls SET ended = ?, finished = ?, message = ?, studies = ?, new = ?, updated = ? WHERE id = ?",
            (ended.value, stopped, unended.get(watch, message), new + updated, new, updated, number),
        )
        seal_poll(connection, number)


class PollWriter(Pages):
    """The writer's part for polls."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        super().__init__(connection, now)
        self._coverage = Coverage(connection)
        self._covered: dict[int, NctSet] = {}
        self._page_covered: dict[int, NctSet] = {}

    def _keep(self) -> None:
        super()._keep()
        for poll_id, nct_ids in self._page_covered.items():
            self._covered.setdefault(poll_id, NctSet()).update(nct_ids)
        self._page_covered = {}

    def _drop(self) -> None:
        super()._drop()
        self._page_covered = {}
        self._coverage.forget()

    def begin_poll(
        self, *, watch: str | None, origin: Origin, load: str | None, data_timestamp: str | None, query: str | None, started: str
    ) -> int:
        """Write down that a poll began; return its id. One that never ends is called failed by the next writer."""
        with self._db.atomic():
            number = self._db.execute(
                'INSERT INTO polls (watch, origin, load, data_timestamp, "query", started) VALUES (?, ?, ?, ?, ?, ?)',
                (watch, origin.value, load, data_timestamp, query, started),
            )
            seal_poll(self._db, number)
        return number

    def end_poll(self, poll: Poll) -> None:
        """Write down how a poll ended, its counts, and what it covered."""
        with self._db.atomic():
            self._db.execute(
                "UPDATE polls SET watch = ?, origin = ?, load = ?, data_timestamp = ?, started = ?, finished = ?, ended = ?, studies = ?, "
                "new = ?, updated = ?, unchanged = ?, skipped = ?, changes = ?, requests = ?, message = ?, whole = ?, etag = ?, never = ? "
                "WHERE id = ?",
                (
                    poll.watch,
                    poll.origin.value,
                    poll.load,
                    poll.data_timestamp,
                    poll.started,
                    poll.finished,
                    poll.ended.value if poll.ended else None,
                    poll.studies,
                    poll.new,
                    poll.updated,
                    poll.unchanged,
                    poll.skipped,
                    poll.changes,
                    poll.requests,
                    poll.message,
                    int(poll.whole),
                    poll.etag,
                    poll.never,
                    poll.id,
                ),
            )
            covered = self._covered.get(poll.id, NctSet()) | self._page_covered.get(poll.id, NctSet())
            if covered:
                self._write_covered(poll.id, covered)
            seal_poll(self._db, poll.id)
        self._covered.pop(poll.id, None)

    def cover(self, poll_id: int, nct_ids: Iterable[str]) -> None:
        """Note that a poll or import confirmed these studies; written when the poll ends, and only for pages that were kept.

        A complete poll of a whole watch covers its members and needs none of this.
        """
        kept = self._page_covered if self._in_page else self._covered
        kept.setdefault(poll_id, NctSet()).update(nct_ids)

    def unshown(self, poll_id: int, nct_ids: Iterable[str]) -> None:
        """Note, before a poll of a whole watch ends complete, which members it did not show: it confirms nothing of them."""
        numbers = NctSet(nct_ids)
        if numbers:
            with self._db.atomic():
                self._db.execute("UPDATE polls SET unshown = ? WHERE id = ?", (codec.pack_ids(numbers), poll_id))
                seal_poll(self._db, poll_id)

    def _write_covered(self, poll_id: int, nct_ids: NctSet) -> None:
        earlier = self._db.value("SELECT covered FROM polls WHERE id = ?", (poll_id,))
        if earlier is not None:
            nct_ids = nct_ids | codec.unpack_ids(earlier)
        self._db.execute("UPDATE polls SET covered = ? WHERE id = ?", (codec.pack_ids(nct_ids), poll_id))
        self._coverage.forget()

    def last_complete(self, watch: str | None, query: str | None = None) -> CompletePoll | None:
        """Return the last poll of a watch (``None``: of no watch) that ended complete, with the query that it asked, or ``None``.

        An import of files that hold all of a watch is one too.

        Where a ``query`` is named, only polls that asked just that count.
        """
        row = self._db.row(
            f"SELECT {POLL_COLUMNS}, p.\"query\" FROM polls p WHERE p.watch IS ?1 AND p.ended = 'complete' "
            "AND (p.origin = 'poll' OR p.watch IS NOT NULL) "
            'AND (?2 IS NULL OR p."query" = ?2) ORDER BY p.id DESC LIMIT 1',
            (watch, query),
        )
        return CompletePoll(poll(row[:-1]), row[-1]) if row else None

    def begun_by_import(self, watch: str, query: str) -> str | None:
        """Return the load (ISO day) of the files that a watch was begun with, ``None`` where the registry itself has shown all of it since.

        It has when a poll that asked just this walked it whole, or when every part of it was swept by a later load.
        """
        first = self._db.row(
            "SELECT min(id) FILTER (WHERE whole = 1), min(id) FROM polls WHERE watch = ?1 AND \"query\" = ?2 AND origin = 'poll' "
            "AND ended = 'complete'",
            (watch, query),
        ) or (None, None)
        if first[0] is not None:
            return None
        begun: str | None = self._db.value(
            "SELECT max(load) FROM polls WHERE watch = ?1 AND \"query\" = ?2 AND origin = 'import' AND ended = 'complete' "
            "AND (?3 IS NULL OR id < ?3)",
            (watch, query, first[1]),
        )
        swept = self._db.value(
            "SELECT min(coalesce(p.swept, '')) FROM slices p JOIN watches w ON w.id = p.watch_id WHERE w.name = ?", (watch,)
        )
        return None if begun is None or (swept is not None and swept > begun) else begun

    def skipped_before(self, watch: str | None, query: str) -> int:
        """Return how many records the last poll of a watch (``None``: of no watch) skipped that walked this query, 0 where none did."""
        return int(
            self._db.value(
                "SELECT skipped FROM polls WHERE watch IS ? AND \"query\" = ? AND origin = 'poll' "
                "AND ended IN ('complete', 'partial') ORDER BY id DESC LIMIT 1",
                (watch, query),
            )
            or 0
        )

    def last_there(self, nct_id: str) -> str | None:
        """Return the last load of which we know that the registry had the study: it showed the latest content, or that it came back.

        For a study that is gone it is the last one before that. ``None`` for a study that the store does not have.
        """
        shown = self.last_shown(nct_id, "9999-12-31")
        came_back = self._db.value(
            "SELECT max(o.load) FROM studies s JOIN versions v ON v.nct_id = s.nct_id "
            "JOIN changes c INDEXED BY changes_by_version ON c.version_id = v.id JOIN occasions o ON o.change_id = c.id "
            "JOIN fields f ON f.id = c.field_id AND f.name = ? WHERE s.nct_id = ? AND s.presence NOT IN ('removed', 'merged')",
            (PRESENCE, nct_id),
        )
        return max((load for load in (shown, came_back) if load is not None), default=None)

    def last_gone(self, nct_id: str, before_load: str) -> str | None:
        """Return the last load before ``before_load`` on which a study that is gone was looked for, ``None`` where none was."""
        return self._coverage.last_gone(nct_id, before_load)

    def last_shown(self, nct_id: str, before_load: str) -> str | None:
        """Return the last load before ``before_load`` of which we know that the study's latest content still held, or ``None``."""
        return self._coverage.last_shown(nct_id, before_load)
