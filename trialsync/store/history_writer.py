"""What is recorded of the registry's own history: versions put before, or between, those that were polled or imported."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson

from trialsync.errors import StoreDamaged, StoreError
from trialsync.model import Origin
from trialsync.store import codec, contents
from trialsync.store.connection import RESTORE_HINT
from trialsync.store.log_writer import LogWriter
from trialsync.store.rows import VERSION_COLUMNS, version
from trialsync.study.diff import RULE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trialsync.model import Study, Version


@dataclass(frozen=True, slots=True)
class History:
    """How far back the registry's history of a study is recorded, in the registry's own numbers.

    ``listed`` is how many versions it listed, ``oldest`` and ``newest`` the first and last that are accounted for, ``None`` where none is;
    ``fetched`` a UTC instant. ``phrases`` are the texts that look otherwise in history than in the API, each with the API's, as
    ``seam.phrases`` names them.
    """

    nct_id: str
    listed: int
    oldest: int | None
    newest: int | None
    complete: bool
    fetched: str
    phrases: Mapping[str, str] = field(default_factory=dict)


class HistoryWriter(LogWriter):
    """The writer's part for the registry's history."""

    def versions(self, nct_id: str) -> list[Version]:
        """Return a study's versions, oldest first; empty where the store does not have it."""
        sql = f"SELECT {VERSION_COLUMNS} FROM versions v WHERE v.nct_id = ? ORDER BY v.number"
        return [version(row) for row in self._db.rows(sql, (nct_id,))]

    def history(self, nct_id: str) -> History | None:
        """Return how far back the registry's history of a study is recorded, ``None`` where nothing of it is."""
        row = self._db.row("SELECT listed, oldest, newest, complete, fetched, phrases FROM histories WHERE nct_id = ?", (nct_id,))
        if row is None:
            return None
        listed, oldest, newest, complete, fetched, phrases = row
        known = {} if phrases is None else orjson.loads(self._unpacked(nct_id, phrases))
        return History(nct_id, listed, oldest, newest, bool(complete), fetched, known)

    def set_history(self, history: History) -> None:
        """Write how far back the history of a study is recorded, inside the page that recorded it."""
        self._check_page()
        phrases = codec.pack(orjson.dumps(dict(history.phrases))) if history.phrases else None
        self._db.execute(
            "INSERT OR REPLACE INTO histories (nct_id, listed, oldest, newest, complete, fetched, phrases) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (history.nct_id, history.listed, history.oldest, history.newest, int(history.complete), history.fetched, phrases),
        )

    def keep_answer(self, nct_id: str, number: int, answer: bytes) -> None:
        """Keep the registry's answer for a version until the study's history is recorded, so that it is never asked for twice."""
        with self._db.atomic():
            self._db.execute(
                "INSERT OR REPLACE INTO history_pages (nct_id, registry_version, content) VALUES (?, ?, ?)",
                (nct_id, number, codec.pack(answer)),
            )

    def kept_answers(self, nct_id: str) -> set[int]:
        """Return the registry's numbers of the versions whose answers are kept."""
        return {number for (number,) in self._db.rows("SELECT registry_version FROM history_pages WHERE nct_id = ?", (nct_id,))}

    def answer(self, nct_id: str, number: int) -> bytes:
        """Return an answer that was kept. Raises StoreDamaged where it can't be read."""
        blob = self._db.value("SELECT content FROM history_pages WHERE nct_id = ? AND registry_version = ?", (nct_id, number))
        if blob is None:
            raise StoreError(f"{nct_id}: the answer for version {number} of its history is not kept")
        return self._unpacked(nct_id, blob)

    def forget_answers(self, nct_id: str, numbers: Iterable[int] | None = None) -> None:
        """Forget what was kept of these versions, by the registry's numbers, or of all, inside the page that recorded it."""
        self._check_page()
        if numbers is None:
            self._db.execute("DELETE FROM history_pages WHERE nct_id = ?", (nct_id,))
        else:
            gone = ((nct_id, number) for number in numbers)
            self._db.many("DELETE FROM history_pages WHERE nct_id = ? AND registry_version = ?", gone)

    def _unpacked(self, nct_id: str, blob: bytes) -> bytes:
        try:
            return codec.unpack(blob)
        except codec.BadBlob as error:
            raise StoreDamaged(f"{nct_id}: what was fetched of its history can't be read: {error}", hint=RESTORE_HINT) from error

    def shift(self, nct_id: str, place: int, count: int) -> None:
        """Make room for ``count`` versions at ``place``, a number: the versions from there on get greater numbers. Inside a page.

        What has to be read of them later is by their new numbers; ``insert`` fills the room, all of it, before the page ends.
        """
        self._check_page()
        # The version before the room is a difference from the one behind it, which it will not stand before any more.
        if place > 1:
            _, content_id, _ = self._content(nct_id, place - 1)
            self._write_blob(content_id, codec.pack(contents.text(self._db, nct_id, place - 1)))
        # By way of negative numbers, since two versions may never have the same one.
        self._db.execute("UPDATE versions SET number = -number WHERE nct_id = ? AND number >= ?", (nct_id, place))
        self._db.execute("UPDATE versions SET number = ? - number WHERE nct_id = ? AND number < 0", (count, nct_id))
        self._db.execute("UPDATE studies SET version = version + ? WHERE nct_id = ?", (count, nct_id))

    def insert(self, fresh: Version, study: Study) -> None:
        """Record a version in the room that ``shift`` made, and its content; its rows are made when all the room is filled.

        Raises RecordError for a record that is no valid JSON.
        """
        self._check_page()
        content = codec.text(study)
        columns = (
            fresh.nct_id,
            fresh.number,
            fresh.registry_version,
            fresh.date,
            fresh.not_before,
            fresh.load,
            fresh.posted,
            fresh.seen,
            fresh.origin.value,
            fresh.fingerprint,
            RULE,
        )
        # Without an ordinal: versions of history are told apart by the registry's number.
        version_id = self._db.execute(
            "INSERT INTO versions (nct_id, number, registry_version, date, ordinal, not_before, load, posted, seen, origin, fingerprint, "
            "rule, seal) VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, 0)",
            columns,
        )
        if fresh.number > 1:
            self._follow_content(fresh.nct_id, fresh.number - 1, version_id, content)
        else:
            self._db.execute("INSERT INTO contents (id, content) VALUES (?, ?)", (version_id, codec.pack(content)))

    def join_up(self, nct_id: str, number: int) -> None:
        """Rewrite the content before a number as its difference from the content at it, once all room before it is filled."""
        _, content_id, blob = self._content(nct_id, number - 1)
        self._write_blob(content_id, self._difference(nct_id, number - 1, blob, contents.text(self._db, nct_id, number)))

    def follow(self, now: Version) -> None:
        """Write the new dates of what was the first known version and follows others now; its baseline is due to be made anew.

        Versions of that date which were told of already keep their ordinals, which are in their refs: it counts after them where its own
        is taken.
        """
        self._check_page()
        sql = "SELECT ordinal FROM versions WHERE nct_id = ? AND date = ? AND number <> ? AND origin <> 'history'"
        taken = {ordinal for (ordinal,) in self._db.rows(sql, (now.nct_id, now.date, now.number))}
        ordinal = max(taken) + 1 if 1 in taken and now.origin is not Origin.HISTORY else 1
        self._db.execute(
            "UPDATE versions SET date = ?, ordinal = ?, not_before = ?, rule = ? WHERE nct_id = ? AND number = ?",
            (now.date, ordinal, now.not_before, RULE, now.nct_id, now.number),
        )

    def set_registry_version(self, known: Version, registry_version: int) -> None:
        """Write which of the registry's versions one is that was polled or imported, inside a page."""
        self._check_page()
        self._db.execute(
            "UPDATE versions SET registry_version = ? WHERE nct_id = ? AND number = ?", (registry_version, known.nct_id, known.number)
        )

    def reseal(self, nct_id: str) -> None:
        """Seal all versions of a study anew, as they stand, after what moved them and before their rows are made. Inside a page.

        Whoever moves them asks ``check_seals`` before: sealed anew, nobody would notice what was altered.
        """
        for version_id, rule in list(self._db.rows("SELECT id, rule FROM versions WHERE nct_id = ?", (nct_id,))):
            self.seal_rows(version_id, rule)

    def _write_blob(self, content_id: int, blob: bytes) -> None:
        self._db.execute("UPDATE contents SET content = ? WHERE id = ?", (blob, content_id))
