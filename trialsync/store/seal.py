"""Seals: a digest of what a row says, so that a byte that flipped on the disk is noticed where the value still looks right.

SQLite checks the shape of its file, not its values. Contents have checksums and fingerprints of their own; a version with the rows of the
log that it brought, a row about a study as a whole, and a poll that ended carry a seal each.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    columns = connection.row(f"SELECT {POLL_COLUMNS} FROM polls WHERE id = ?", (number,))  # noqa: S608 - constants
    connection.execute("UPDATE polls SET seal = ? WHERE id = ?", (seal(columns or ()), number))


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
