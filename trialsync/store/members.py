"""Which studies are in watches, or were: of the whole registry too many for a list of texts."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from trialsync.errors import StoreDamaged, UnknownWatch
from trialsync.store.connection import RESTORE_HINT
from trialsync.study.nct_set import NctSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.store.connection import Connection


def members(connection: Connection, watches: Sequence[str], *, on: str | None, ever: bool) -> NctSet:
    """Return the numbers of all studies, or of those in one of these watches.

    In a watch they are now, or were on the load of an ISO day (``on``), or ever. Raises UnknownWatch, StoreDamaged.
    """
    if not watches:
        return _numbers(connection, "SELECT nct_id FROM studies")
    known = {name for (name,) in connection.rows("SELECT name FROM watches")}
    for name in watches:
        if name not in known:
            raise UnknownWatch(f"no watch {name!r} in {connection.path}", hint="trialsync watches lists them")
    then = "m.joined_load <= ?2 AND (m.left_load IS NULL OR m.left_load > ?2)"
    when = "?2 IS NULL" if ever else then if on else "m.left_load IS NULL AND ?2 IS NULL"
    sql = (
        "SELECT m.nct_id FROM watch_studies m JOIN watches w ON w.id = m.watch_id "
        f"WHERE w.name IN (SELECT value FROM json_each(?1)) AND {when}"
    )
    return _numbers(connection, sql, orjson.dumps(list(watches)).decode(), on)


def _numbers(connection: Connection, sql: str, *values: str | None) -> NctSet:
    try:
        return NctSet(number for (number,) in connection.rows(sql, values))
    except ValueError as error:
        raise StoreDamaged(f"{connection.path} is damaged: {error}", hint=RESTORE_HINT) from error
