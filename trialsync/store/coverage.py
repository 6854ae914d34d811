"""When a study was last confirmed: by a complete poll of a watch that it belonged to, or by a poll or import that named what it covered."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING

from trialsync.errors import StoreDamaged
from trialsync.store import codec
from trialsync.store.connection import RESTORE_HINT

if TYPE_CHECKING:
    from trialsync.store.connection import Connection
    from trialsync.study.nct_set import NctSet

_MEMBER_AT = """
    FROM polls p JOIN watches w ON w.name = p.watch JOIN watch_studies m ON m.watch_id = w.id
    WHERE p.ended = 'complete' AND p.whole = 1 AND m.nct_id = ?
    AND m.joined_load <= p.load AND (m.left_load IS NULL OR m.left_load > p.load)
"""


class Coverage:
    """Answers from one connection; the lists of studies that polls covered are read once each and a few are kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._listed = lru_cache(maxsize=8)(partial(self._read, "covered"))
        self._missed = lru_cache(maxsize=8)(partial(self._read, "unshown"))

    def last_shown(self, nct_id: str, before_load: str) -> str | None:
        """Return the last load before ``before_load`` of which we know that the study's latest content still held, or ``None``.

        Both are ISO days. It is the load that brought the latest version, or a later one that confirmed it unchanged.
        """
        shown: str | None = self._connection.value(
            "SELECT max(load) FROM versions WHERE nct_id = ? AND number = (SELECT max(number) FROM versions WHERE nct_id = ?) AND load < ?",
            (nct_id, nct_id, before_load),
        )
        if shown is None:
            return None
        confirmed: str | None = self._connection.value(
            f"SELECT max(p.load) {_MEMBER_AT} AND p.unshown IS NULL AND p.load < ?", (nct_id, before_load)
        )
        shown = max(shown, confirmed or shown)
        for poll_id, load in self._connection.rows(
            f"SELECT p.id, p.load {_MEMBER_AT} AND p.unshown IS NOT NULL AND p.load > ? AND p.load < ? ORDER BY p.load DESC",
            (nct_id, shown, before_load),
        ):
            if nct_id not in self._missed(poll_id):
                shown = str(load)
                break
        for poll_id, load in self._connection.rows(
            "SELECT id, load FROM polls WHERE covered IS NOT NULL AND load > ? AND load < ? ORDER BY load DESC", (shown, before_load)
        ):
            if nct_id in self._listed(poll_id):
                return str(load)
        return shown

    def last_gone(self, nct_id: str, before_load: str) -> str | None:
        """Return the last load before ``before_load`` on which a watch that the study had left looked for it, or ``None``.

        A whole poll of a watch asks for each of its former members by number.
        """
        load: str | None = self._connection.value(
            "SELECT max(p.load) FROM polls p JOIN watches w ON w.name = p.watch JOIN watch_studies m ON m.watch_id = w.id "
            "WHERE p.ended = 'complete' AND p.whole = 1 AND m.nct_id = ? AND m.left_load <= p.load AND p.load < ?",
            (nct_id, before_load),
        )
        return load

    def last_seen(self, nct_id: str) -> str | None:
        """Return the instant of the last complete poll or import that covered the study (UTC, ending in ``Z``), or ``None``."""
        seen: str | None = self._connection.value(
            f"SELECT max(coalesce(p.finished, p.started)) {_MEMBER_AT} AND p.unshown IS NULL", (nct_id,)
        )
        for poll_id, instant in self._connection.rows(
            f"SELECT p.id, coalesce(p.finished, p.started) {_MEMBER_AT} AND p.unshown IS NOT NULL "
            "AND coalesce(p.finished, p.started) > ? ORDER BY 2 DESC",
            (nct_id, seen or ""),
        ):
            if nct_id not in self._missed(poll_id):
                seen = str(instant)
                break
        for poll_id, instant in self._connection.rows(
            "SELECT id, coalesce(finished, started) FROM polls WHERE covered IS NOT NULL AND (ended = 'complete' OR origin = 'import') "
            "AND coalesce(finished, started) > ? ORDER BY 2 DESC",
            (seen or "",),
        ):
            if nct_id in self._listed(poll_id):
                return str(instant)
        return seen

    def came_from(self, instant: str) -> str | None:
        """Return the origin of the poll or import that ended at an instant (UTC, as ``last_seen`` gives it), ``None`` where none did."""
        origin: str | None = self._connection.value(
            "SELECT origin FROM polls WHERE coalesce(finished, started) = ? ORDER BY id DESC LIMIT 1", (instant,)
        )
        return origin

    def _read(self, column: str, poll_id: int) -> NctSet:
        blob = self._connection.value(f"SELECT {column} FROM polls WHERE id = ?", (poll_id,))  # noqa: S608 - one of two columns of ours
        try:
            return codec.unpack_ids(blob)
        except codec.BadBlob as error:
            raise StoreDamaged(f"poll {poll_id}: {error}", hint=RESTORE_HINT) from error

    def forget(self) -> None:
        """Forget the lists read so far, since one of them was written."""
        self._listed.cache_clear()
        self._missed.cache_clear()
