"""Seals: a digest of what a row says, so that a byte that flipped on the disk is noticed where the value still looks right.

SQLite checks the shape of its file, not its values. Contents have checksums and fingerprints of their own; a version with the rows of the
log that it brought, a row about a study as a whole, and a poll that ended carry a seal each.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Version
    from trialsync.store.connection import Connection

_SEAL_BYTES: Final = 8

FIRST_RULE: Final = 1
"""The rule of comparison of what was recorded before a version's rule was."""

VERSION_COLUMNS: Final = (
    "nct_id, number, registry_version, date, ordinal, not_before, load, posted, seen, origin, fingerprint, first_change, last_change"
)
OCCASION_COLUMNS: Final = "not_before, load, posted, seen, origin"
POLL_COLUMNS: Final = (
    'watch, origin, load, data_timestamp, "query", started, finished, ended, studies, new, updated, unchanged, skipped, changes, requests, '
    "message, whole, etag, never, hex(covered), hex(unshown)"
)
CHANGE_COLUMNS: Final = 'c.id, f.name, c.item, c.attribute, c.baseline, c.date, c.kind, c.tier, c."by", c.before, c.after'
"""What a row of the log says, of ``changes c`` and ``fields f``."""

STORED: Final = {
    "studies": "nct_id",
    "watches": "name",
    "watch_studies": "nct_id",
    "slices": "place",
    "said": "what",
    "notices": "field",
    "histories": "nct_id",
}
"""The tables whose seals SQLite keeps itself, columns that are made of the others and stored; each with the column to name a row by."""


def seal_poll(connection: Connection, number: int) -> None:
    """Seal a poll's row anew, as it stands."""
    columns = connection.row(f"SELECT {POLL_COLUMNS} FROM polls WHERE id = ?", (number,))
    connection.execute("UPDATE polls SET seal = ? WHERE id = ?", (seal(columns or ()), number))


def version_rows(
    connection: Connection, version_id: int, given: tuple[int | None, int | None], *, late: bool = True
) -> list[tuple[Any, ...]]:
    """Return the rows of the log that a version brought, CHANGE_COLUMNS each, by id; rows about the study as a whole left out.

    ``given`` are the version's ``first_change`` and ``last_change``, the ids that it was given when it was recorded: baseline rows are in
    no index and are found by them. A row that came later (a rebuild's) has a later id; baseline rows of that kind are in an index of their
    own, which a store before schema 2 lacks: there ``late`` is false.
    """
    later = "UNION SELECT id FROM changes INDEXED BY changes_late WHERE baseline = 1 AND date IS NOT NULL AND version_id = ?1"
    return list(
        connection.rows(
            f"SELECT {CHANGE_COLUMNS} FROM changes c JOIN fields f ON f.id = c.field_id WHERE c.id IN ("
            "SELECT id FROM changes WHERE id BETWEEN ?2 AND ?3 AND version_id = ?1 "
            "UNION SELECT id FROM changes INDEXED BY changes_by_version WHERE baseline = 0 AND version_id = ?1 "
            f"{later if late else ''}) AND NOT EXISTS (SELECT 1 FROM occasions o WHERE o.change_id = c.id) ORDER BY c.id",
            (version_id, *given),
        )
    )


def version_columns(version: Version, ordinal: int, rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """Return VERSION_COLUMNS of a version that is recorded with these rows of the log, ``ordinal`` among those of its date."""
    return (
        version.nct_id,
        version.number,
        version.registry_version,
        version.date,
        ordinal,
        version.not_before,
        version.load,
        version.posted,
        version.seen,
        version.origin.value,
        version.fingerprint,
        rows[0][0] if rows else None,
        rows[-1][0] if rows else None,
    )


def seal_version(columns: Sequence[Any], rule: int, *rows: Sequence[Any]) -> int:
    """Return the seal of a version and the rows of the log that it brought.

    ``columns`` are VERSION_COLUMNS. The first rule is left out, as it was before versions had one.
    """
    return seal(columns if rule == FIRST_RULE else (*columns, rule), *rows)


def seal(*rows: Sequence[Any]) -> int:
    """Return the seal of these rows: 64 bits, signed as SQLite's integers are."""
    digest = blake2b(digest_size=_SEAL_BYTES)
    for row in rows:
        digest.update(orjson.dumps(row))
    return int.from_bytes(digest.digest(), signed=True)
