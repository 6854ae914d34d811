"""The log replayed: what each version's rows say must be just what lies between it and the version before."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from trialsync.store import codec
from trialsync.study import record
from trialsync.study.diff import RULE, diff

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.model import Json, Study
    from trialsync.store.connection import Connection

_ROWS = (
    "SELECT f.name, c.item, c.attribute, c.kind, c.before, c.after FROM changes c JOIN fields f ON f.id = c.field_id "
    "WHERE c.version_id = ? AND c.baseline = 0 AND NOT EXISTS (SELECT 1 FROM occasions o WHERE o.change_id = c.id)"
)


def replay_problems(connection: Connection, nct_id: str, rule: str = "v.rule") -> Iterator[str]:
    """Yield which versions of a study have other rows in the log than their contents make. Raises BadBlob for contents that can't be read.

    ``rule`` is the SQL of a version's rule, of ``versions v``: versions that an older rule compared than today's are passed over.

    A study that is withheld says so in one row about its presence, and is compared with its last open version when it comes back.
    """
    versions = list(
        connection.rows(
            f"SELECT v.id, v.number, {rule}, c.content FROM versions v JOIN contents c ON c.version_id = v.id WHERE v.nct_id = ? "
            "ORDER BY v.number",
            (nct_id,),
        )
    )
    if len(versions) < 2:  # noqa: PLR2004 - one version has nothing before it
        return
    studies = _decoded([blob for *_, blob in versions])
    last_open = None if record.is_withheld(studies[0]) else studies[0]
    for (version_id, number, made_by, _), old, new in zip(versions[1:], studies, studies[1:], strict=False):
        was_withheld, is_withheld = record.is_withheld(old), record.is_withheld(new)
        logged = sorted(_row(*row) for row in connection.rows(_ROWS, (version_id,)))
        came_back = was_withheld and not is_withheld
        expected = [] if is_withheld and not was_withheld else list(_expected((last_open if came_back else old) or old, new))
        if made_by == RULE and logged != sorted(expected):
            yield f"{nct_id} version {number}: the log's rows do not lead to it from the version before"
        if not is_withheld:
            last_open = new


def _decoded(blobs: Sequence[bytes]) -> list[Study]:
    """Return the studies of consecutive blobs, oldest first; an older one may be a difference from the newer."""
    newer: bytes | None = None
    found = []
    for blob in reversed(blobs):
        newer = codec.unpack(blob, newer)
        found.append(codec.study(newer))
    return found[::-1]


def _expected(old: Study, new: Study) -> Iterator[tuple[str, ...]]:
    for change in diff(old, new):
        yield _row(change.field, change.item, change.attribute, change.kind.value, _text(change.before), _text(change.after))


def _row(*columns: Any) -> tuple[str, ...]:
    """Return a row so that rows can be compared and sorted: every column as JSON text."""
    return tuple(orjson.dumps(column).decode() for column in columns)


def _text(value: Json) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
