"""Which loads showed each study: the answer for all studies, at the price of reading what the polls covered once.

``coverage`` answers for one study at a time, which is what a poll needs; an export asks for every one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Final
from weakref import finalize

from trialsync.errors import StoreDamaged, StoreUnwritable
from trialsync.store import codec
from trialsync.store.connection import RESTORE_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.store.connection import Connection


_STRETCH_BITS: Final = 16
_SMALL: Final = 8 << 20


class Shown:
    """What the polls and imports of one connection showed, each a bit in a number; a study's polls are then one number.

    What a poll named lies in a temporary file where it is much; of some ten thousand neighbouring numbers it is in memory. So whoever asks
    in the order of the numbers reads everything once.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._polls: list[tuple[str, str]] = []
        self._listed, self._missed = _Named(), _Named()
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
                self._listed.add(bit, self._read("covered", poll_id))
            if has_unshown:
                self._missed.add(bit, self._read("unshown", poll_id))

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
        bits = (bits & ~self._missed.polls(nct_id)) | self._listed.polls(nct_id)
        while bits:
            lowest = bits & -bits
            yield self._polls[lowest.bit_length() - 1]
            bits ^= lowest

    def _read(self, column: str, poll_id: int) -> array[int]:
        blob = self._connection.value(f"SELECT {column} FROM polls WHERE id = ?", (poll_id,))  # noqa: S608 - one of two columns of ours
        try:
            return codec.unpack_numbers(blob)
        except codec.BadBlob as error:
            raise StoreDamaged(f"poll {poll_id}: {error}", hint=RESTORE_HINT) from error


class _Named:
    """The numbers that polls named, each a bit; those of a stretch of neighbouring numbers are in memory at a time."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_SMALL)  # noqa: SIM115 - it is there as long as this is
        finalize(self, self._file.close)
        self._lists: list[tuple[int, int, int, array[int]]] = []
        self._stretch = -1
        self._found: dict[int, int] = {}

    def add(self, bit: int, numbers: array[int]) -> None:
        """Take what a poll named, ascending. Raises StoreUnwritable where there is no room for it."""
        if not numbers:
            return
        first, last = numbers[0] >> _STRETCH_BITS, numbers[-1] >> _STRETCH_BITS
        ends = array("L", (bisect_left(numbers, stretch << _STRETCH_BITS) for stretch in range(first, last + 2)))
        try:
            self._lists.append((bit, self._file.tell(), first, ends))
            self._file.write(numbers.tobytes())
        except OSError as error:
            told = f"a temporary file can't be written: {error.strerror}"
            raise StoreUnwritable(told, hint="TMPDIR names the folder that it is made in") from error

    def polls(self, nct_id: str) -> int:
        """Return the bits of the polls that named a study."""
        if not self._lists:
            return 0
        number = int(nct_id[3:])
        if number >> _STRETCH_BITS != self._stretch:
            self._load(number >> _STRETCH_BITS)
        return self._found.get(number, 0)

    def _load(self, stretch: int) -> None:
        end = self._file.tell()
        found = defaultdict[int, int](int)
        self._stretch, self._found = stretch, found
        for bit, start, first, ends in self._lists:
            if not 0 <= stretch - first < len(ends) - 1:
                continue
            low, high = ends[stretch - first], ends[stretch - first + 1]
            numbers = array("L")
            self._file.seek(start + low * numbers.itemsize)
            numbers.frombytes(self._file.read((high - low) * numbers.itemsize))
            for number in numbers:
                found[number] |= bit
        self._file.seek(end)
