"""Stores of older schemas, proved as they are: what today's questions find elsewhere in them, and what they alone can have wrong.

Before baseline rows had a table of their own, they stood among the others in ``changes``.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trialsync.store.seal import FIRST_RULE, version_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.store.connection import Connection

WITH_HISTORY: Final = 2
WITH_COUNTS: Final = 3
WITH_BASELINES: Final = 4
"""The schemas that brought what older ones are looked at without."""

COLUMNS: Final = 'c.id, f.name, c.item, c.attribute, c.baseline, c.date, c.kind, c.tier, c."by", c.before, c.after'
"""What a row of the log said, of ``changes c`` and ``fields f``."""

_LATER: Final = "UNION SELECT id FROM main.changes INDEXED BY changes_late WHERE baseline = 1 AND date IS NOT NULL AND version_id = ?1"


def see_as_newest(connection: Connection, number: int) -> None:
    """Have questions find what a store of a schema holds as they find it in one of today; nothing of the file is changed."""
    if number < WITH_COUNTS:
        rule = f"{FIRST_RULE} AS rule, " if number < WITH_HISTORY else ""
        connection.execute(f"CREATE TEMP VIEW versions AS SELECT *, {rule}id AS content_id FROM main.versions")
        connection.execute("CREATE TEMP VIEW contents AS SELECT version_id AS id, content FROM main.contents")
    if number < WITH_BASELINES:
        connection.execute("CREATE TEMP VIEW changes AS SELECT * FROM main.changes WHERE baseline = 0")


def rows_of_version(connection: Connection, number: int, version_id: int, given: tuple[int | None, int | None]) -> list[tuple[Any, ...]]:
    """Return the rows of the log that a version brought, as ``version_rows`` does, from a store of a schema.

    ``given`` are the version's ``first_change`` and ``last_change``, the ids that it was given when it was recorded: by them its baseline
    rows are found where they are in no index. Those that came later are in one of their own from schema 2 on.
    """
    if number >= WITH_BASELINES:
        return version_rows(connection, version_id)
    return list(
        connection.rows(
            f"SELECT {COLUMNS} FROM main.changes c JOIN fields f ON f.id = c.field_id WHERE c.id IN ("
            "SELECT id FROM main.changes WHERE id BETWEEN ?2 AND ?3 AND version_id = ?1 "
            "UNION SELECT id FROM main.changes INDEXED BY changes_by_version WHERE baseline = 0 AND version_id = ?1 "
            f"{_LATER if number >= WITH_HISTORY else ''}) AND NOT EXISTS (SELECT 1 FROM occasions o WHERE o.change_id = c.id) "
            "ORDER BY c.id",
            (version_id, *given),
        )
    )


def older_problems(connection: Connection) -> Iterator[str]:
    """Yield what is wrong with baseline rows that stand in ``changes``, as far as counting shows it."""
    for sentence, sql in _COUNTED:
        number = connection.value(sql)
        if number:
            yield f"{number} {sentence}"


_COUNTED: Final = (
    ("baseline rows stand where nobody finds them", """
        SELECT count(*) FROM main.changes c JOIN versions v ON v.id = c.version_id
        WHERE c.baseline = 1 AND c.date IS NULL AND (v.first_change IS NULL OR c.id NOT BETWEEN v.first_change AND v.last_change)"""),
    ("baseline rows stand past the first version", """
        SELECT count(*) FROM main.changes c JOIN versions v ON v.id = c.version_id WHERE c.baseline = 1 AND v.number > 1"""),
    ("baseline rows are of an id that was never given out", """
        SELECT count(*) FROM main.changes
        WHERE baseline = 1 AND id > coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)"""),
)  # fmt: skip
