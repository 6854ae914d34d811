"""What tells, without reading a study, whether anything that the store knows of it changed since somebody last asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trialsync.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Sealed:
    """The seals of a study's versions, the oldest first, and when the last one was seen (UTC instant, ending in ``Z``).

    A seal is of a version and of the rows of the log that it brought, its baseline rows among them: what of these is altered, by a poll, a
    backfill or a rebuild, alters it. Rows about the study as a whole, its presence and its watches, are not in it.
    """

    seals: tuple[int, ...]
    seen: str


def sealed(connection: Connection, nct_id: str) -> Sealed | None:
    """Return what is sealed of a study, ``None`` where the store does not have it."""
    found = list(connection.rows("SELECT seal, seen FROM versions WHERE nct_id = ? ORDER BY number", (nct_id,)))
    return Sealed(tuple(seal for seal, _ in found), found[-1][1]) if found else None
