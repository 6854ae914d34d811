"""How a store stands: its size, who writes, and for each watch how its polls ended. Cheap to ask, however long the log is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from trialsync.errors import STOPPED
from trialsync.model import instant
from trialsync.store.lock import Holder, writing_now
from trialsync.store.rows import POLL_COLUMNS, count, last_change, poll
from trialsync.store.sightings import seen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trialsync.model import Poll
    from trialsync.store.connection import Connection
    from trialsync.store.sightings import Seen

_LAST_GOOD: Final = (
    "SELECT max(coalesce((SELECT max(id) FROM polls WHERE watch = ?1 AND ended = 'complete'), 0), "
    "coalesce((SELECT max(id) FROM polls WHERE watch = ?1 AND ended = 'nothing-new'), 0))"
)


@dataclass(frozen=True, slots=True)
class WatchStanding:
    """What the store says of a watch's polls. ``since`` is the UTC instant of its first poll's beginning.

    ``success`` is the last poll that ended complete or found nothing new, ``last`` the last one that ended at all; ``failures`` counts
    those since ``success`` that failed or stayed partial, but for those that were asked to stop.
    ``seen`` says in which loads its studies were last seen, where one of its polls was complete.
    """

    since: str
    members: int
    success: Poll | None
    last: Poll | None
    failures: int
    seen: Seen | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a store stands. ``bytes`` has the write-ahead log in it; ``made`` is the UTC instant when the store was, where that is known.

    ``heard`` is the last poll to which the registry named its load: what it said, and when. ``last_id`` is the cursor at the log's end.
    """

    path: Path
    bytes: int
    schema: int
    made: str | None
    holder: Holder | None
    heard: Poll | None
    studies: int
    versions: int
    last_id: int
    watches: Mapping[str, WatchStanding]


def standing(connection: Connection) -> Standing:
    """Return how the store stands that a connection reads. Raises StoreDamaged."""
    path = connection.path
    heard = connection.row(
        f"SELECT {POLL_COLUMNS} FROM polls p WHERE p.origin = 'poll' AND p.load IS NOT NULL AND p.ended IN ('complete', 'nothing-new', "  # noqa: S608 - our own columns
        "'partial') ORDER BY p.id DESC LIMIT 1"
    )
    return Standing(
        path=path,
        bytes=size(path),
        schema=connection.value("PRAGMA user_version"),
        made=_made(connection),
        holder=writing_now(path),
        heard=poll(heard) if heard else None,
        studies=count(connection, "studies"),
        versions=count(connection, "versions"),
        last_id=last_change(connection),
        watches={
            name: _watch(connection, name, since, members)
            for name, since, members in list(connection.rows("SELECT name, since, members FROM watches ORDER BY name"))
        },
    )


def size(path: Path) -> int:
    """Return the bytes that a store takes on the disk, its write-ahead log included; 0 where there is none."""
    total = 0
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            total += file.stat().st_size
        except OSError:
            continue  # the last writer took its log away
    return total


def _watch(connection: Connection, name: str, since: str, members: int) -> WatchStanding:
    good = connection.value(_LAST_GOOD, (name,))
    return WatchStanding(
        since=since,
        members=members,
        success=_poll(connection, "p.id = ?", good),
        last=_poll(connection, "p.watch = ? AND p.ended IS NOT NULL", name),
        failures=connection.value(
            "SELECT count(*) FROM polls WHERE watch = ? AND ended IN ('failed', 'partial') AND id > ? AND message IS NOT ?",
            (name, good, STOPPED),
        ),
        seen=seen(connection, name),
    )


def _poll(connection: Connection, condition: str, value: str | int) -> Poll | None:
    row = connection.row(f"SELECT {POLL_COLUMNS} FROM polls p WHERE {condition} ORDER BY p.id DESC LIMIT 1", (value,))  # noqa: S608 - our own conditions
    return poll(row) if row else None


def _made(connection: Connection) -> str | None:
    """Return when the store was made, as its first migration's entry says, in the house's form."""
    if connection.value("SELECT 1 FROM sqlite_schema WHERE name = '_sqlite_migrations'") is None:
        return None
    applied = connection.value("SELECT min(applied_at) FROM _sqlite_migrations")
    try:
        return instant(datetime.fromisoformat(applied))
    except (TypeError, ValueError):
        return None
