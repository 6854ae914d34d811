"""Seals: a digest of what a row says, so that a byte that flipped on the disk is noticed where the value still looks right.

SQLite checks the shape of its file, not its values. Contents have checksums and fingerprints of their own; a version with the rows of the
log that it brought, a row about a study as a whole, and a poll that ended carry a seal each.
"""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync.store.baselines import FIELD_ID, ID, ITEM, TIER

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
CHANGE_COLUMNS: Final = 'c.id, f.name, c.item, c.attribute, 0, c.date, c.kind, c.tier, c."by", c.before, c.after'
"""What a row of the log says that is no baseline row, of ``changes c`` and ``fields f``; the number says so."""

_CHANGES: Final = (
    f"SELECT {CHANGE_COLUMNS} FROM changes c INDEXED BY changes_by_version JOIN fields f ON f.id = c.field_id WHERE c.version_id = ? "
    "AND NOT EXISTS (SELECT 1 FROM occasions o WHERE o.change_id = c.id)"
)
_BASELINE: Final = (
    f"SELECT {ID}, f.name, {ITEM}, NULL, 1, iif({ID} BETWEEN v.first_change AND v.last_change, NULL, v.date), NULL, {TIER}, "
    "NULL, NULL, NULL FROM baselines b CROSS JOIN versions v ON v.id = b.version_id "
    # What is no array in JSON is noticed by its absence.
    "CROSS JOIN json_each(iif(b.rows LIKE '[%' AND json_valid(b.rows), b.rows, '[]')) j "
    f"CROSS JOIN fields f ON f.id = {FIELD_ID} WHERE b.version_id = ?"
)

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


def version_rows(connection: Connection, version_id: int) -> list[tuple[Any, ...]]:
    """Return the rows of the log that a version brought, CHANGE_COLUMNS each, by id; rows about the study as a whole left out.

    Baseline rows come with the date of their version where they came later (a rebuild's, a backfill's): when their version was recorded it
    was given other ids.
    """
    happened, stood = connection.rows(_CHANGES, (version_id,)), connection.rows(_BASELINE, (version_id,))
    return sorted((*happened, *stood), key=itemgetter(0))


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
