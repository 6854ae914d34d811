"""In which loads the studies of a watch were last seen: what may be called confirmed, and in which load.

A watch that is walked whole is seen in one load. Of a large one a load shows what moved and a share of the rest: of the others nothing is
known since the load that swept them, and nothing may be said of later ones.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.errors import StoreDamaged
from trialsync.store import codec
from trialsync.store.connection import RESTORE_HINT
from trialsync.study.nct_set import NctSet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.store.connection import Connection


_FEW: Final = 1000
_MEMBERS_AT: Final = (
    "SELECT m.nct_id FROM watches w JOIN watch_studies m ON m.watch_id = w.id WHERE w.name = ?1 AND m.joined_load <= ?2 "
    "AND (m.left_load IS NULL OR m.left_load > ?2)"
)
_SOME_MEMBERS_AT: Final = f"{_MEMBERS_AT} AND m.nct_id IN (SELECT value FROM json_each(?3))"
_BROUGHT: Final = (
    "SELECT load, count(*) FROM (SELECT max(v.load) AS load FROM json_each(?1) j JOIN versions v ON v.nct_id = j.value "
    "WHERE v.origin <> 'history' AND v.load <= ?2 GROUP BY v.nct_id) GROUP BY load"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """The loads (ISO days, both included) between which each study of a watch was last seen; equal where one load showed all of it."""

    oldest: str
    newest: str

    @property
    def at_once(self) -> bool:
        """Return whether one load showed all of the watch."""
        return self.oldest == self.newest

    def due(self, sweep_days: int) -> str | None:
        """Return the ISO day by which those last seen longest ago are swept again, ``None`` where one load showed all."""
        return None if self.at_once else (date.fromisoformat(self.oldest) + timedelta(days=sweep_days)).isoformat()


def seen(connection: Connection, watch: str) -> Seen | None:
    """Return between which loads the studies of a watch were last seen, ``None`` where none of its polls was complete.

    Read from the parts of the sweep alone, so that it costs the same for any number of studies.
    """
    newest, is_whole = connection.row(
        "SELECT load, whole FROM polls WHERE watch = ? AND ended = 'complete' ORDER BY id DESC LIMIT 1", (watch,)
    ) or (None, 1)
    if newest is None:
        return None
    if is_whole:
        return Seen(newest, newest)
    parts, swept, oldest = connection.row(
        "SELECT count(*), count(p.swept), min(p.swept) FROM slices p JOIN watches w ON w.id = p.watch_id WHERE w.name = ?", (watch,)
    ) or (0, 0, None)
    if swept < parts or oldest is None:
        # A part that was never swept has the members that a whole walk, or an import, showed before.
        first = connection.value("SELECT min(load) FROM polls WHERE watch = ? AND ended = 'complete' AND whole = 1", (watch,))
        oldest = min(filter(None, (first, oldest)), default=newest)
    return Seen(min(oldest, newest), newest)


def last_loads(connection: Connection, nct_ids: Iterable[str], up_to: str) -> dict[str, int]:
    """Return how many of these studies were last seen in each load, up to an ISO day: by load, the oldest first.

    What never was seen in a load, being known by its history alone, is in none. It is what the export of coverage says study by study, at
    the price of reading what the newest polls covered. Raises StoreDamaged.
    """
    left, found = NctSet(nct_ids), dict[str, int]()
    polls = connection.rows(
        "SELECT id, load, CASE WHEN ended = 'complete' AND whole = 1 THEN watch END, covered, unshown FROM polls "
        "WHERE load <= ? AND (ended = 'complete' OR origin = 'import') ORDER BY load DESC, id DESC",
        (up_to,),
    )
    for number, load, watch, covered, unshown in polls:
        if not left:
            break
        shown = NctSet()
        if watch is not None:
            named = (orjson.dumps(list(left)).decode(),) if len(left) <= _FEW else ()
            members = connection.rows(_SOME_MEMBERS_AT if named else _MEMBERS_AT, (watch, load, *named))
            shown = left.intersection(nct_id for (nct_id,) in members) - _read(number, unshown)
        shown |= left & _read(number, covered)
        left -= shown
        found[load] = found.get(load, 0) + len(shown)
    # A poll that was broken off leaves the versions that it brought, and no list.
    for load, count in connection.rows(_BROUGHT, (orjson.dumps(list(left)).decode(), up_to)):
        found[load] = found.get(load, 0) + count
    return {load: found[load] for load in sorted(found) if found[load]}


def _read(number: int, blob: bytes | None) -> NctSet:
    try:
        return codec.unpack_ids(blob) if blob is not None else NctSet()
    except codec.BadBlob as error:
        raise StoreDamaged(f"poll {number}: {error}", hint=RESTORE_HINT) from error
