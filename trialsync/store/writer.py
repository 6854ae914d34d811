"""What is recorded. One process at a time holds the store for writing; readers see whole pages only.

The store is in WAL mode with ``synchronous = NORMAL``: a power cut can take the last pages that were written, never tear one or damage the
file; the next poll records them again. A killed process loses nothing but the page it was in.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Self

import orjson

from trialsync.errors import StoreError, StoreUnwritable, UnknownWatch
from trialsync.model import Ended, Kind, Presence, instant
from trialsync.store import codec, contents, schema
from trialsync.store.connection import Connection, check_file, connect
from trialsync.store.coverage import Coverage
from trialsync.store.lock import Lock
from trialsync.store.rows import POLL_COLUMNS, VERSION_COLUMNS, CompletePoll, Known, poll, sound, version
from trialsync.study import record
from trialsync.study.fields import WATCH_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from trialsync.model import Change, Json, Origin, Poll, Study, Version, Watch

BaselineFields = Literal["core", "all", "none"]


class Writer:
    """A store held for writing, from ``Writer.open`` to the end of its ``with`` block.

    Whatever changes studies belongs in a ``page``: one transaction, kept whole or not at all.
    """

    def __init__(self, connection: Connection, lock: Lock, *, baseline: BaselineFields, now: Callable[[], datetime]) -> None:
        self.path = connection.path
        self.baseline = baseline
        self._db = connection
        self._lock = lock
        self._now = now
        self._coverage = Coverage(connection)
        self._covered: dict[int, set[str]] = {}
        self._page_covered: dict[int, set[str]] = {}
        self._new_fields: list[str] = []
        self._page_new_fields: list[str] = []
        self._in_page = False
        self._remember()

    @classmethod
    def open(cls, path: Path, *, baseline: BaselineFields = "core", now: Callable[[], datetime], command: str) -> Writer:
        """Take a store for writing, without waiting; bring it to the newest schema, after a backup beside it.

        ``command`` is what others are told while they are refused. Raises StoreMissing, StoreForeign, StoreBusy, StoreTooNew, StoreUnwritable,
        StoreDamaged.
        """
        check_file(path)
        lock = Lock(path)
        lock.acquire()
        connection = None
        try:
            connection = connect(path, writable=True)
            schema.migrate(connection)
            with connection.atomic():
                schema.name_fields(connection)
                connection.execute(
                    "INSERT OR REPLACE INTO holder (one, pid, host, command, since) VALUES (1, ?, ?, ?, ?)",
                    (os.getpid(), socket.gethostname(), command, instant(now())),
                )
                connection.execute(
                    "UPDATE polls SET ended = ?, message = 'the process ended before the poll did' WHERE ended IS NULL",
                    (Ended.FAILED.value,),
                )
            return cls(connection, lock, baseline=baseline, now=now)
        except BaseException:
            if connection is not None:
                connection.raw.close()
            lock.release()
            raise

    def close(self) -> None:
        """Give the store back. What stood in no page, or in a page that failed, is not kept."""
        try:
            self._db.execute("DELETE FROM holder")
        except StoreUnwritable:
            pass  # a full disk: the lock decides, the row is only a name
        finally:
            self._db.raw.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def page(self) -> Iterator[None]:
        """Hold one transaction: after an error nothing of it is kept. Pages never nest.

        Raises StoreUnwritable where the disk is full or read-only; the store then stands as before the page.
        """
        if self._in_page:
            raise RuntimeError("a page within a page")
        self._in_page = True
        try:
            with self._db.atomic():
                yield
            for poll_id, nct_ids in self._page_covered.items():
                self._covered.setdefault(poll_id, set()).update(nct_ids)
            self._new_fields += self._page_new_fields
        except BaseException:
            self._remember()
            raise
        finally:
            self._page_covered = {}
            self._page_new_fields = []
            self._in_page = False

    def _remember(self) -> None:
        """Read what is kept in memory from the store again."""
        self._fields: dict[str, tuple[int, str]] = {
            name: (number, tier) for number, name, tier in self._db.rows("SELECT id, name, tier FROM fields")
        }
        self._last_id: int = self._db.value("SELECT seq FROM sqlite_sequence WHERE name = 'changes'") or 0
        self._coverage.forget()

    # Polls

    def begin_poll(
        self, *, watch: str | None, origin: Origin, load: str | None, data_timestamp: str | None, query: str | None, started: str
    ) -> int:
        """Write down that a poll began; return its id. One that never ends is called failed by the next writer."""
        return self._db.execute(
            'INSERT INTO polls (watch, origin, load, data_timestamp, "query", started) VALUES (?, ?, ?, ?, ?, ?)',
            (watch, origin.value, load, data_timestamp, query, started),
        )

    def end_poll(self, poll: Poll) -> None:
        """Write down how a poll ended, its counts, and what it covered."""
        with self._db.atomic():
            self._db.execute(
                "UPDATE polls SET watch = ?, origin = ?, load = ?, data_timestamp = ?, started = ?, finished = ?, ended = ?, studies = ?, new = ?, "
                "updated = ?, unchanged = ?, skipped = ?, changes = ?, requests = ?, message = ? WHERE id = ?",
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
                    poll.id,
                ),
            )
            covered = self._covered.get(poll.id, set()) | self._page_covered.get(poll.id, set())
            if covered:
                self._write_covered(poll.id, covered)
        self._covered.pop(poll.id, None)

    def cover(self, poll_id: int, nct_ids: Iterable[str]) -> None:
        """Note that a poll or import confirmed these studies; written when the poll ends, and only for pages that were kept.

        A complete poll of a watch covers its members and needs none of this.
        """
        kept = self._page_covered if self._in_page else self._covered
        kept.setdefault(poll_id, set()).update(nct_ids)

    def _write_covered(self, poll_id: int, nct_ids: set[str]) -> None:
        earlier = self._db.value("SELECT covered FROM polls WHERE id = ?", (poll_id,))
        if earlier is not None:
            nct_ids = nct_ids | codec.unpack_ids(earlier)
        self._db.execute("UPDATE polls SET covered = ? WHERE id = ?", (codec.pack_ids(nct_ids), poll_id))
        self._coverage.forget()

    def last_complete(self, watch: str | None, query: str | None = None) -> CompletePoll | None:
        """Return the last poll of a watch (``None``: of no watch) that ended complete, with the query that it asked, or ``None``.

        Where a ``query`` is named, only polls that asked just that count.
        """
        row = self._db.row(
            f"SELECT {POLL_COLUMNS}, p.\"query\" FROM polls p WHERE p.watch IS ?1 AND p.ended = 'complete' AND p.origin = 'poll' "  # noqa: S608
            'AND (?2 IS NULL OR p."query" = ?2) ORDER BY p.id DESC LIMIT 1',
            (watch, query),
        )
        return CompletePoll(poll(row[:-1]), row[-1]) if row else None

    def last_shown(self, nct_id: str, before_load: str) -> str | None:
        """Return the last load before ``before_load`` of which we know that the study's latest content still held, or ``None``."""
        return self._coverage.last_shown(nct_id, before_load)

    # Studies

    def known(self, nct_ids: Iterable[str]) -> dict[str, Known]:
        """Return what the store knows of these studies; those that it does not have are left out."""
        found = {}
        for *columns, bytes_digest, presence, merged_into, missing_since in self._db.rows(
            f"SELECT {VERSION_COLUMNS}, s.bytes_digest, s.presence, s.merged_into, s.missing_since FROM json_each(?) j JOIN studies s ON s.nct_id = j.value "  # noqa: S608
            "JOIN versions v ON v.nct_id = s.nct_id AND v.number = s.version",
            (orjson.dumps(list(nct_ids)).decode(),),
        ):
            latest = version(tuple(columns))
            with sound(f"the row of {latest.nct_id}"):
                found[latest.nct_id] = Known(latest.nct_id, latest, bytes_digest, Presence(presence), merged_into, missing_since)
        return found

    def study(self, nct_id: str, *, version: int | None = None) -> Study:
        """Return a study's content, the latest where no version is named.

        Raises StoreError where there is no such study, StoreDamaged where it can't be read.
        """
        return contents.study(self._db, nct_id, self._latest(nct_id) if version is None else version)

    def _latest(self, nct_id: str) -> int:
        number = self._db.value("SELECT version FROM studies WHERE nct_id = ?", (nct_id,))
        if number is None:
            raise StoreError(f"{nct_id} is not in {self.path}")
        return int(number)

    def add_version(  # noqa: PLR0913 - all of it is one fact
        self,
        version: Version,
        study: Study,
        bytes_digest: bytes | None,
        changes: Sequence[Change],
        *,
        baseline: bool,
        facts: Mapping[int, Sequence[Mapping[str, Json]]] | None = None,
    ) -> None:
        """Record a study's next version, inside a page: its content, its headline columns, and the changes that led to it.

        ``version.number`` is the latest number plus one. ``facts`` are those of a change, by its place in ``changes``; each has an ``id`` and a
        ``rule``. Baseline rows keep no values: the reader takes them from the version. Raises StoreError for a number out of order, RecordError
        for a record that is no valid JSON.
        """
        self._check_page()
        content = codec.text(study)
        latest = self._db.value("SELECT version FROM studies WHERE nct_id = ?", (version.nct_id,)) or 0
        if version.number != latest + 1:
            raise StoreError(f"{version.nct_id}: version {version.number} can't follow version {latest}")
        self._write_study(version, study, bytes_digest, is_new=latest == 0)
        if latest:
            self._make_difference(version.nct_id, latest, content)
        ordinal = self._db.value("SELECT count(*) FROM versions WHERE nct_id = ? AND date = ?", (version.nct_id, version.date)) + 1
        first, last = (self._last_id + 1, self._last_id + len(changes)) if changes else (None, None)
        version_id = self._db.execute(
            "INSERT INTO versions (nct_id, number, registry_version, date, ordinal, not_before, load, posted, seen, origin, fingerprint, "
            "first_change, last_change) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                version.nct_id,
                version.number,
                version.registry_version,
                version.date,
                ordinal,
                version.not_before,
                version.load,
                version.posted,
                version.seen,
                version.origin.value,
                version.fingerprint,
                first,
                last,
            ),
        )
        self._db.execute("INSERT INTO contents (version_id, content) VALUES (?, ?)", (version_id, codec.pack(content)))
        if baseline:
            self._write_baseline(version_id, changes)
        else:
            for place, change in enumerate(changes):
                self._write_change(version_id, change, version.date, (facts or {}).get(place, ()))

    def _write_study(self, version: Version, study: Study, bytes_digest: bytes | None, *, is_new: bool) -> None:
        countries = record.countries(study)
        columns = (
            record.title(study),
            record.overall_status(study),
            _json(record.phases(study)),
            record.study_type(study),
            record.sponsor(study),
            _json(record.conditions(study)),
            _json(countries),
            record.enrollment(study),
            record.start_date(study),
            record.primary_completion_date(study),
            record.completion_date(study),
            int(record.has_results(study)),
            record.first_posted(study),
            record.posted(study),
            version.number,
            bytes_digest,
            version.nct_id,
        )
        if is_new:
            self._db.execute(
                "INSERT INTO studies (title, overall_status, phases, study_type, sponsor, conditions, countries, enrollment, start_date, "
                "primary_completion_date, completion_date, has_results, first_posted, posted, version, bytes_digest, nct_id) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                columns,
            )
        else:
            self._db.execute(
                "DELETE FROM study_countries WHERE nct_id = ? AND country IN "
                "(SELECT j.value FROM studies s, json_each(s.countries) j WHERE s.nct_id = ?)",
                (version.nct_id, version.nct_id),
            )
            self._db.execute(
                "UPDATE studies SET title = ?, overall_status = ?, phases = ?, study_type = ?, sponsor = ?, conditions = ?, countries = ?, "
                "enrollment = ?, start_date = ?, primary_completion_date = ?, completion_date = ?, has_results = ?, first_posted = ?, "
                "posted = ?, version = ?, bytes_digest = ? WHERE nct_id = ?",
                columns,
            )
        self._db.many("INSERT INTO study_countries (country, nct_id) VALUES (?, ?)", ((country, version.nct_id) for country in countries))

    def _make_difference(self, nct_id: str, number: int, newer: bytes) -> None:
        """Rewrite what was the latest content as its difference from the content that follows it, where that is smaller."""
        if number % codec.KEYFRAME == 0:
            return
        version_id, blob = self._db.row(
            "SELECT v.id, c.content FROM versions v LEFT JOIN contents c ON c.version_id = v.id WHERE v.nct_id = ? AND v.number = ?",
            (nct_id, number),
        ) or (None, None)
        if blob is None:
            raise contents.damaged(nct_id, number, "its content is missing")
        try:
            difference = codec.pack_difference(codec.unpack(blob), newer)
        except codec.BadBlob as error:
            raise contents.damaged(nct_id, number, error) from error
        if len(difference) < len(blob):
            self._db.execute("UPDATE contents SET content = ? WHERE version_id = ?", (difference, version_id))

    def _write_baseline(self, version_id: int, changes: Sequence[Change]) -> None:
        rows = []
        for change in changes:
            field_id, tier = self._field(change)
            self._last_id += 1
            rows.append(
                (
                    self._last_id,
                    version_id,
                    field_id,
                    change.item,
                    change.attribute,
                    None if change.kind is Kind.ADDED else change.kind.value,
                    None if change.tier == tier else change.tier.value,
                )
            )
        self._db.many(
            "INSERT INTO changes (id, version_id, field_id, item, attribute, baseline, kind, tier) VALUES (?, ?, ?, ?, ?, 1, ?, ?)", rows
        )

    def _write_change(self, version_id: int, change: Change, date: str, facts: Sequence[Mapping[str, Json]]) -> None:
        field_id, _ = self._field(change)
        self._last_id += 1
        self._db.execute(
            'INSERT INTO changes (id, version_id, field_id, item, attribute, baseline, date, kind, tier, "by", before, after) '
            "VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?)",
            (
                self._last_id,
                version_id,
                field_id,
                change.item,
                change.attribute,
                date,
                change.kind.value,
                change.tier.value,
                change.by.value if change.by else None,
                None if change.before is None else _json(change.before),
                None if change.after is None else _json(change.after),
            ),
        )
        words = "\n".join((*_words(change.before), *_words(change.after)))
        if words:
            self._db.execute("INSERT INTO change_words (rowid, value) VALUES (?, ?)", (self._last_id, words))
        self._db.many(
            "INSERT INTO change_facts (change_id, fact, rule, json) VALUES (?, ?, ?, ?)",
            [(self._last_id, fact["id"], fact["rule"], _json(dict(fact))) for fact in facts],
        )

    def add_whole(  # noqa: PLR0913 - all of it is one fact
        self,
        change: Change,
        *,
        nct_id: str,
        date: str,
        not_before: str | None,
        load: str,
        posted: str | None,
        seen: str,
        origin: Origin,
        facts: Sequence[Mapping[str, Json]] = (),
    ) -> None:
        """Record a change of a study as a whole (``registry.presence``, ``watch.<name>``), inside a page, with dates of its own.

        Raises StoreError where there is no such study.
        """
        self._check_page()
        version_id = self._db.value("SELECT id FROM versions WHERE nct_id = ? AND number = ?", (nct_id, self._latest(nct_id)))
        self._write_change(version_id, change, date, facts)
        self._db.execute(
            "INSERT INTO occasions (change_id, not_before, load, posted, seen, origin) VALUES (?, ?, ?, ?, ?, ?)",
            (self._last_id, not_before, load, posted, seen, origin.value),
        )

    def set_presence(self, nct_id: str, presence: Presence, merged_into: str | None = None) -> None:
        """Write what the registry says of the study as a whole; ``merged_into`` is the number that took its place."""
        self._db.execute("UPDATE studies SET presence = ?, merged_into = ? WHERE nct_id = ?", (presence.value, merged_into, nct_id))

    def set_missing_since(self, nct_id: str, load: str | None) -> None:
        """Write the load (an ISO day) on which the registry first said that it does not know the study, ``None`` once it does again."""
        self._db.execute("UPDATE studies SET missing_since = ?1 WHERE nct_id = ?2 AND missing_since IS NOT ?1", (load, nct_id))

    def set_bytes_digest(self, nct_id: str, digest: bytes | None) -> None:
        """Write the digest of bytes that turned out to hold the latest content."""
        self._db.execute("UPDATE studies SET bytes_digest = ? WHERE nct_id = ?", (digest, nct_id))

    def take_new_fields(self) -> list[str]:
        """Return the names, in kept pages, of fields that the vocabulary does not have and the store had never met; each once."""
        taken, self._new_fields = self._new_fields, []
        return taken

    def _field(self, change: Change) -> tuple[int, str]:
        found = self._fields.get(change.field)
        if found is None:
            is_watch = change.field.startswith(WATCH_PREFIX)
            number = self._db.execute(
                "INSERT INTO fields (name, tier, core, known) VALUES (?, ?, 0, ?)", (change.field, change.tier.value, int(is_watch))
            )
            found = self._fields[change.field] = (number, change.tier.value)
            if not is_watch:
                self._page_new_fields.append(change.field)
        return found

    def _check_page(self) -> None:
        if not self._in_page:
            raise RuntimeError("what changes a study belongs inside page()")

    # Watches

    def save_watch(self, watch: Watch, query: str) -> None:
        """Write a watch down under its name, with the text of what it asks."""
        self._db.execute(
            'INSERT INTO watches (name, "query", since) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "query" = excluded."query"',
            (watch.name, query, instant(self._now())),
        )

    def members(self, name: str) -> set[str]:
        """Return the numbers of the studies that are in a watch now; of a watch that was never saved, none."""
        return {
            nct_id
            for (nct_id,) in self._db.rows(
                "SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id WHERE w.name = ? AND m.left_load IS NULL", (name,)
            )
        }

    def left(self, name: str) -> set[str]:
        """Return the numbers of the studies that were in a watch and are in it no more; they stay followed."""
        return {
            nct_id
            for (nct_id,) in self._db.rows(
                "SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id WHERE w.name = ? "
                "GROUP BY m.nct_id HAVING count(m.left_load) = count(*)",
                (name,),
            )
        }

    def join(self, name: str, nct_ids: Iterable[str], load: str) -> None:
        """Write that these studies are in a watch from this load on; those that are in it already stay as they are.

        Raises UnknownWatch for a watch that was never saved.
        """
        self._db.execute(
            "INSERT INTO watch_studies (watch_id, nct_id, joined_load) SELECT ?1, j.value, ?3 FROM json_each(?2) j WHERE NOT EXISTS "
            "(SELECT 1 FROM watch_studies m WHERE m.watch_id = ?1 AND m.nct_id = j.value AND m.left_load IS NULL) "
            "ON CONFLICT (watch_id, nct_id, joined_load) DO UPDATE SET left_load = NULL",
            (self._watch_id(name), _json(list(nct_ids)), load),
        )

    def leave(self, name: str, nct_ids: Iterable[str], load: str) -> None:
        """Write that these studies are in a watch no more, from this load on. Raises UnknownWatch for a watch that was never saved."""
        self._db.execute(
            "UPDATE watch_studies SET left_load = ? WHERE watch_id = ? AND left_load IS NULL AND nct_id IN (SELECT value FROM json_each(?))",
            (load, self._watch_id(name), _json(list(nct_ids))),
        )

    def _watch_id(self, name: str) -> int:
        number = self._db.value("SELECT id FROM watches WHERE name = ?", (name,))
        if number is None:
            raise UnknownWatch(f"no watch {name!r} in {self.path}", hint="trialsync watches lists them")
        return int(number)


def _json(value: Json) -> str:
    return orjson.dumps(value).decode()


def _words(value: Json) -> Iterator[str]:
    """Yield the texts and numbers inside a value, for full-text search."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _words(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _words(part)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
