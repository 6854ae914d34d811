"""Notices: that the registry itself changed one field of many studies in one load, told once beside the rows.

The registry computes parts of its records anew from time to time: headings, coordinates, mark-up. Each study has its rows; that they are
one event is said here. A notice counts the studies in the store's own log, so that several watches, and polls that end early, count none
twice.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import By, Kind, Notice, Origin, Presence
from trialsync.store import rows
from trialsync.store.page import Pages

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from trialsync.store.connection import Connection

SHARE: Final = 100
"""A change by the registry is a notice where more than one in so many of all followed studies have it."""

AT_LEAST: Final = 10
"""What fewer studies have is no notice, however few are followed."""

_COLUMNS: Final = "id, load, field, kind, studies, followed, seen, text"

_CHANGED: Final = (
    "FROM versions v JOIN changes c ON c.version_id = v.id JOIN fields f ON f.id = c.field_id WHERE v.load = ? AND v.origin <> ? "
    'AND c."by" = ? AND NOT EXISTS (SELECT 1 FROM occasions o WHERE o.change_id = c.id)'
)
_ATTRIBUTES_NAMED: Final = 3


class NoticeWriter(Pages):
    """The writer's part for notices."""

    def notice(self, load: str, seen: str) -> list[Notice]:
        """Record what the registry changed in more than 1 % of all followed studies in a load (ISO day), as the log has it now.

        Returns the notices that are new; one that is known has its counts brought up to date, and stays ``seen`` when it first was.
        """
        followed = self._db.value(
            "SELECT count(*) FROM studies WHERE presence NOT IN (?, ?)", (Presence.REMOVED.value, Presence.MERGED.value)
        )
        least = max(AT_LEAST, followed // SHARE + 1)
        bound = (load, Origin.HISTORY.value, By.REGISTRY.value)
        found = list(
            self._db.rows(
                f"SELECT f.name, coalesce(c.kind, 'added'), count(DISTINCT v.nct_id) {_CHANGED} "
                "GROUP BY 1, 2 HAVING count(DISTINCT v.nct_id) >= ? ORDER BY min(c.id)",
                (*bound, least),
            )
        )
        new = []
        with self._db.atomic():
            for field, kind, studies in found:
                attributes = self._db.rows(
                    f"SELECT DISTINCT c.attribute {_CHANGED} AND f.name = ? AND coalesce(c.kind, 'added') = ?", (*bound, field, kind)
                )
                text = _text(load, field, kind, {each.partition(".")[0] for (each,) in attributes if each}, studies, followed)
                known = self._db.value("SELECT id FROM notices WHERE load = ? AND field = ? AND kind = ?", (load, field, kind))
                if known is None:
                    number = self._db.execute(
                        "INSERT INTO notices (load, field, kind, studies, followed, seen, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (load, field, kind, studies, followed, seen, text),
                    )
                    new.append(Notice(number, load, field, Kind(kind), studies, followed, seen, text))
                else:
                    self._db.execute(
                        "UPDATE notices SET studies = ?, followed = ?, text = ? WHERE id = ?", (studies, followed, text, known)
                    )
        return new


def _text(load: str, field: str, kind: str, attributes: set[str], studies: int, followed: int) -> str:
    done = {Kind.ADDED.value: "added", Kind.REMOVED.value: "removed"}.get(kind, "changed")
    named = sorted(attributes)
    more = ", …" if len(named) > _ATTRIBUTES_NAMED else ""
    inside = f" ({', '.join(named[:_ATTRIBUTES_NAMED])}{more})" if named else ""
    return f"load {load}: the registry itself {done} {field}{inside} in {studies:,} of {followed:,} followed studies"


def notices(connection: Connection, loads: Iterable[str] | None = None, since: str | None = None) -> list[Notice]:
    """Return the notices of these loads, of all loads from ``since`` on (ISO day), or all, by load and then as they were made."""
    wanted = None if loads is None else set(loads)
    sql = f"SELECT {_COLUMNS} FROM notices WHERE ?1 IS NULL OR load >= ?1 ORDER BY load, id"
    return [_notice(row) for row in connection.rows(sql, (since,)) if wanted is None or row[1] in wanted]


def _notice(row: tuple[Any, ...]) -> Notice:
    number, load, field, kind, studies, followed, seen, text = row
    with rows.sound(f"notice {number}"):
        return Notice(number, load, field, Kind(kind), studies, followed, seen, text)
