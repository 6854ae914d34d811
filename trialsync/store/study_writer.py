"""What is recorded about studies: versions, their content, the changes that led to them, and changes of a study as a whole."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import orjson

from trialsync.errors import StoreError
from trialsync.model import Origin, Presence
from trialsync.store import codec, contents
from trialsync.store.baselines import SITES, in_runs
from trialsync.store.page import Pages
from trialsync.store.rows import VERSION_COLUMNS, Known, headline_columns, last_change, sound, version
from trialsync.store.seal import OCCASION_COLUMNS, seal, seal_version, version_columns
from trialsync.store.seal import VERSION_COLUMNS as VERSION_SEALED
from trialsync.store.wording import wording
from trialsync.study import record
from trialsync.study.diff import RULE
from trialsync.study.fields import PRESENCE, WATCH_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from trialsync.model import Change, Json, Study, Version
    from trialsync.store.connection import Connection

    _Row: TypeAlias = tuple[int, str, str | None, str | None, int, str | None, str | None, str | None, str | None, str | None, str | None]


class StudyWriter(Pages):
    """The writer's part for studies."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        super().__init__(connection, now)
        self._remember()

    def _remember(self) -> None:
        """Read from the store what is kept in memory of it."""
        self._fields: dict[str, tuple[int, str]] = {
            name: (number, tier) for number, name, tier in self._db.rows("SELECT id, name, tier FROM fields")
        }
        self._last_id = last_change(self._db)

    def _drop(self) -> None:
        super()._drop()
        self._remember()

    def known(self, nct_ids: Iterable[str]) -> dict[str, Known]:
        """Return what the store knows of these studies; those that it does not have are left out."""
        found = {}
        for *columns, bytes_digest, presence, merged_into, missing_since in self._db.rows(
            f"SELECT {VERSION_COLUMNS}, s.bytes_digest, s.presence, s.merged_into, s.missing_since FROM json_each(?) j "
            "JOIN studies s ON s.nct_id = j.value JOIN versions v ON v.nct_id = s.nct_id AND v.number = s.version",
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

    def studies(self, nct_id: str, *, before: int) -> Iterator[Study]:
        """Yield a study's contents at the versions before a number, the newest first. Raises StoreDamaged where one can't be read."""
        yield from contents.studies(self._db, nct_id, before=before)

    def _latest(self, nct_id: str) -> int:
        number = self._db.value("SELECT version FROM studies WHERE nct_id = ?", (nct_id,))
        if number is None:
            raise StoreError(f"{nct_id} is not in {self.path}")
        return int(number)

    def add_version(
        self,
        version: Version,
        study: Study,
        bytes_digest: bytes | None,
        changes: Sequence[Change],
        *,
        facts: Mapping[int, Sequence[Mapping[str, Json]]] | None = None,
    ) -> None:
        """Record the next version of a study that is known, inside a page: its content, its columns, the changes that led to it.

        ``version.number`` is the latest number plus one. ``facts`` are those of a change, by its place in ``changes``; each has an ``id``
        and a ``rule``. Raises StoreError for a study that is not known or a number out of order, RecordError for a record that is no valid
        JSON.
        """
        self._check_page()
        content = codec.text(study)
        latest = self._latest(version.nct_id)
        if version.number != latest + 1:
            raise StoreError(f"{version.nct_id}: version {version.number} can't follow version {latest}")
        self._write_study(version, study, bytes_digest)
        ordinal = self._ordinal(version.nct_id, version.date)
        rows = [self._row(change, version.date) for change in changes]
        columns = version_columns(version, ordinal, rows)
        version_id = self._db.execute(
            f"INSERT INTO versions ({VERSION_SEALED}, rule, seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*columns, RULE, seal_version(columns, RULE, *rows)),
        )
        self._follow_content(version.nct_id, latest, version_id, content)
        self._write_rows(version_id, rows)
        for place, (row, change) in enumerate(zip(rows, changes, strict=True)):
            self._write_words(row[0], change, (facts or {}).get(place, ()))

    def _ordinal(self, nct_id: str, date: str) -> int:
        """Return which version of its date the next one is; those of the registry's history have a number of their own, and don't count."""
        count = self._db.value("SELECT count(*) FROM versions WHERE nct_id = ? AND date = ? AND origin <> 'history'", (nct_id, date))
        return int(count) + 1

    def _write_study(self, version: Version, study: Study, bytes_digest: bytes | None) -> None:
        columns = {**headline_columns(study), "version": version.number, "bytes_digest": bytes_digest, "nct_id": version.nct_id}
        listed = self._db.value("SELECT countries FROM studies WHERE nct_id = ?", (version.nct_id,))
        left = ((country, version.nct_id) for country in orjson.loads(listed))
        self._db.many("DELETE FROM study_countries WHERE country = ? AND nct_id = ?", left)
        changed = ", ".join(f"{name} = ?" for name in columns if name != "nct_id")
        self._db.execute(f"UPDATE studies SET {changed} WHERE nct_id = ?", tuple(columns.values()))
        countries = ((country, version.nct_id) for country in record.countries(study))
        self._db.many("INSERT INTO study_countries (country, nct_id) VALUES (?, ?)", countries)

    def _follow_content(self, nct_id: str, number: int, version_id: int, newer: bytes) -> None:
        """Write the content of a version behind the one of a number, a study's: it takes that one's row.

        The row keeps about its size; the content that was in it gets a row of its own, as its difference from the new one.
        """
        before_id, content_id, blob = self._content(nct_id, number)
        older = self._difference(nct_id, number, blob, newer)
        self._db.execute("UPDATE contents SET content = ? WHERE id = ?", (codec.pack(newer), content_id))
        self._db.execute("INSERT INTO contents (id, content) VALUES (?, ?)", (version_id, older))
        self._db.many("UPDATE versions SET content_id = ? WHERE id = ?", [(content_id, version_id), (version_id, before_id)])

    def _content(self, nct_id: str, number: int) -> tuple[int, int, bytes]:
        """Return the id of a version, and that of its content with the blob; raise StoreDamaged where it has none."""
        sql = f"SELECT v.id, c.id, c.content FROM versions v JOIN {contents.JOINED} WHERE v.nct_id = ? AND v.number = ?"
        row = self._db.row(sql, (nct_id, number))
        if row is None:
            raise contents.damaged(nct_id, number, "its content is missing")
        return row[0], row[1], row[2]

    def _difference(self, nct_id: str, number: int, blob: bytes, newer: bytes) -> bytes:
        """Return a whole blob of a version as its difference from the content that follows it, where it may be one and that is smaller."""
        if number % codec.KEYFRAME == 0:
            return blob
        try:
            return min(codec.pack_difference(codec.unpack(blob), newer), blob, key=len)
        except codec.BadBlob as error:
            raise contents.damaged(nct_id, number, error) from error

    def _baseline_row(self, field: str, item: str | None, tier: str) -> _Row:
        """Return a row of the log without what the field or the version says already."""
        _, own = self._field(field, tier)
        self._last_id += 1
        return (self._last_id, field, item, None, 1, None, None, None if tier == own else tier, None, None, None)

    def _row(self, change: Change, date: str) -> _Row:
        """Return a row of the log with all that it says."""
        self._field(change.field, change.tier.value)
        self._last_id += 1
        return (
            self._last_id,
            change.field,
            change.item,
            change.attribute,
            0,
            date,
            change.kind.value,
            change.tier.value,
            change.by.value if change.by else None,
            None if change.before is None else _json(change.before),
            None if change.after is None else _json(change.after),
        )

    def _write_rows(self, version_id: int, rows: Sequence[_Row], own: Origin | None = None) -> None:
        """Write rows of the log that hang on a version; ``own`` is their origin where it is not the version's."""
        study_id, origin = self._db.row(
            "SELECT s.id, v.origin FROM versions v JOIN studies s ON s.nct_id = v.nct_id WHERE v.id = ?", (version_id,)
        ) or (None, None)
        origin = own.value if own else origin
        # By these the rows are found.
        keys = (study_id, None if origin == Origin.POLL.value else origin)
        self._db.many(
            'INSERT INTO changes (id, version_id, field_id, item, attribute, date, kind, tier, "by", before, after, study_id, origin) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(row[0], version_id, self._fields[row[1]][0], *row[2:4], *row[5:], *keys) for row in rows],
        )

    def _write_baseline(self, rows: Iterable[tuple[int, int, int, str | None, str | None]]) -> None:
        """Write baseline rows, which come by id: each an id, the ids of its version and its field, its item, and its tier where it has one.

        Their ids are given out by then.
        """
        self._db.many("INSERT INTO baselines (id, version_id, rows) VALUES (?, ?, ?)", in_runs(rows, self._fields[SITES][0]))
        # SQLite counts only what it gives out itself.
        self._db.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'changes'", (self._last_id,))

    def _write_words(self, number: int, change: Change, facts: Sequence[Mapping[str, Json]]) -> None:
        """Make a row of the log searchable, and write the facts that it gives."""
        text = wording(change.before, change.after)
        if text:
            self._db.execute("INSERT INTO change_words (rowid, value) VALUES (?, ?)", (number, text))
        self._write_facts(number, facts)

    def _write_facts(self, number: int, facts: Sequence[Mapping[str, Json]]) -> None:
        """Write the facts that a row of the log gives, in the order of their names: so they are read."""
        self._db.many(
            "INSERT INTO change_facts (change_id, fact, rule, json) VALUES (?, ?, ?, ?)",
            sorted((number, fact["id"], fact["rule"], _json(dict(fact))) for fact in facts),
        )

    def add_whole(
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
        row = self._row(change, date)
        columns = (not_before, load, posted, seen, origin.value)
        self._write_rows(version_id, [row], origin)
        self._write_words(row[0], change, facts)
        self._db.execute(
            f"INSERT INTO occasions (change_id, {OCCASION_COLUMNS}, seal) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (row[0], *columns, seal((version_id, *columns), row)),
        )

    def set_presence(self, nct_id: str, presence: Presence, merged_into: str | None = None) -> None:
        """Write what the registry says of the study as a whole; ``merged_into`` is the number that took its place."""
        self._db.execute("UPDATE studies SET presence = ?, merged_into = ? WHERE nct_id = ?", (presence.value, merged_into, nct_id))

    def is_announced(self, nct_id: str) -> bool:
        """Return whether the log has a row that says that the study was first posted."""
        return (
            self._db.value(
                "SELECT 1 FROM changes c JOIN versions v ON v.id = c.version_id JOIN fields f ON f.id = c.field_id "
                "WHERE v.nct_id = ? AND f.name = ? AND c.kind = 'added'",
                (nct_id, PRESENCE),
            )
            is not None
        )

    def is_first_seen(self, version: Version) -> bool:
        """Return whether nothing of a study was polled or imported before a version; what the registry's history tells was not seen."""
        sql = "SELECT 1 FROM versions WHERE nct_id = ? AND number < ? AND origin <> 'history'"
        return self._db.value(sql, (version.nct_id, version.number)) is None

    def set_missing_since(self, nct_id: str, load: str | None) -> None:
        """Write the load (an ISO day) on which the registry first said that it does not know the study, ``None`` once it does again."""
        self._db.execute("UPDATE studies SET missing_since = ?1 WHERE nct_id = ?2 AND missing_since IS NOT ?1", (load, nct_id))

    def set_bytes_digest(self, nct_id: str, digest: bytes | None) -> None:
        """Write the digest of bytes that turned out to hold the latest content."""
        self._db.execute("UPDATE studies SET bytes_digest = ? WHERE nct_id = ?", (digest, nct_id))

    def _field(self, name: str, tier: str) -> tuple[int, str]:
        """Return a field's id and tier; one that the vocabulary does not have is written, with this tier."""
        found = self._fields.get(name)
        if found is not None:
            return found
        is_known = name.startswith(WATCH_PREFIX)
        number = self._db.execute("INSERT INTO fields (name, tier, core, known) VALUES (?, ?, 0, ?)", (name, tier, int(is_known)))
        self._fields[name] = (number, tier)
        return number, tier

    def _check_page(self) -> None:
        if not self._in_page:
            raise RuntimeError("what changes a study belongs inside page()")


def _json(value: Json) -> str:
    return orjson.dumps(value).decode()
