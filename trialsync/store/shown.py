"""Which loads showed each study: the answer for all studies, at the price of reading what the polls covered once.

``coverage`` answers for one study at a time, which is what a poll needs; an export asks for every one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING

from trialsync.errors import StoreDamaged
from trialsync.store import codec
from trialsync.store.connection import RESTORE_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.store.connection import Connection


class Shown:
    """What the polls and imports of one connection showed, each a bit in a number; a study's polls are then one number."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._polls: list[tuple[str, str]] = []
        self._listed: dict[str, int] = defaultdict(int)
        self._missed: dict[str, int] = defaultdict(int)
        self._newest: str | None = None
        self._watches: dict[str, list[tuple[str, int]]] = defaultdict(list)
        found = connection.rows(
            "SELECT id, watch, load, coalesce(finished, started), ended = 'complete' AND whole = 1, "
            "ended = 'complete' OR origin = 'import', covered IS NOT NULL, "
            "unshown IS NOT NULL, ended = 'complete' FROM polls WHERE load IS NOT NULL ORDER BY load, id"
        )
        for poll_id, watch, load, instant, is_whole, counts, has_covered, has_unshown, is_complete in list(found):
            bit = 1 << len(self._polls)
            self._polls.append((load, instant))
            if watch is not None and is_complete:
                self._newest = load
            if is_whole and watch is not None:
                self._watches[watch].append((load, bit))
            if has_covered and counts:
                for nct_id in self._read("covered", poll_id):
                    self._listed[nct_id] |= bit
            if has_unshown:
                for nct_id in self._read("unshown", poll_id):
                    self._missed[nct_id] |= bit

    def loads(self, nct_id: str) -> list[str]:
        """Return the loads (ISO days, oldest first) in which a complete poll or an import showed the study."""
        return list(dict.fromkeys(load for load, _ in self._of(nct_id)))

    @property
    def newest(self) -> str | None:
        """Return the newest load (ISO day) that a complete poll, or an import of all of a watch, showed, ``None`` where there is none."""
        return self._newest

    def last_seen(self, nct_id: str) -> str | None:
        """Return the instant of the last complete poll or import that covered the study (UTC, ending in ``Z``), or ``None``."""
        return max((instant for _, instant in self._of(nct_id)), default=None)

    def _of(self, nct_id: str) -> Iterator[tuple[str, str]]:
        """Yield load and instant of each poll that showed a study, by load."""
        bits = 0
        for watch, joined, left in self._connection.rows(
            "SELECT w.name, m.joined_load, m.left_load FROM watches w CROSS JOIN watch_studies m ON m.watch_id = w.id AND m.nct_id = ?",
            (nct_id,),
        ):
            polls = self._watches.get(watch, [])
            first = bisect_left(polls, (joined,))
            last = len(polls) if left is None else bisect_left(polls, (left,))
            for _, bit in polls[first:last]:
                bits |= bit
        bits = (bits & ~self._missed.get(nct_id, 0)) | self._listed.get(nct_id, 0)
        while bits:
            lowest = bits & -bits
            yield self._polls[lowest.bit_length() - 1]
            bits ^= lowest

    def _read(self, column: str, poll_id: int) -> frozenset[str]:
        blob = self._connection.value(f"SELECT {column} FROM polls WHERE id = ?", (poll_id,))  # noqa: S608 - one of two columns of ours
        try:
            return codec.unpack_ids(blob)
        except codec.BadBlob as error:
            raise StoreDamaged(f"poll {poll_id}: {error}", hint=RESTORE_HINT) from error
