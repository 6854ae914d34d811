"""What a study said at a version: read from its blob, or, for an older one, through the differences that lead to it from a newer."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.errors import StoreDamaged
from trialsync.store import codec
from trialsync.store.connection import RESTORE_HINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.model import Study
    from trialsync.store.connection import Connection


JOINED: Final = "contents c ON c.id = coalesce(v.content_id, v.id)"
"""The row of ``contents c`` in which a version's content stands, of ``versions v``."""


def damaged(nct_id: str, number: int, reason: object) -> StoreDamaged:
    """Return the error for a version whose content can't be had."""
    return StoreDamaged(f"{nct_id} version {number} can't be read: {reason}", hint=RESTORE_HINT)


def text(connection: Connection, nct_id: str, number: int) -> bytes:
    """Return a version's JSON text; raise StoreDamaged, naming study and version, where it can't be had."""
    blobs: list[tuple[int, bytes]] = []
    for found, blob in connection.rows(
        f"SELECT v.number, c.content FROM versions v LEFT JOIN {JOINED} WHERE v.nct_id = ? AND v.number >= ? ORDER BY v.number",
        (nct_id, number),
    ):
        if blob is None or found != number + len(blobs):
            break
        blobs.append((found, blob))
        if not codec.is_difference(blob):
            break
    if not blobs:
        raise damaged(nct_id, number, "its content is missing")
    content: bytes | None = None
    for found, blob in reversed(blobs):
        try:
            content = codec.unpack(blob, content)
        except codec.BadBlob as error:
            raise damaged(nct_id, found, error) from error
    assert content is not None  # noqa: S101 - there was a blob
    return content


def study(connection: Connection, nct_id: str, number: int) -> Study:
    """Return a study as it was at a version; raise StoreDamaged, naming study and version, where it can't be had."""
    return _study(nct_id, number, text(connection, nct_id, number))


def studies(connection: Connection, nct_id: str, *, before: int) -> Iterator[Study]:
    """Yield a study as it was at each version before a number, the newest first, one in memory at a time.

    Raises StoreDamaged, naming study and version, where one can't be had.
    """
    content: bytes | None = None
    for number in range(before - 1, 0, -1):
        content = text(connection, nct_id, number) if content is None else _unpacked(connection, nct_id, number, content)
        yield _study(nct_id, number, content)


def studies_from_first(connection: Connection, nct_id: str) -> Iterator[tuple[int, Study]]:
    """Yield a study as it was at each version, with its number, the oldest first, as many in memory as hang on one whole blob.

    Raises StoreDamaged, naming study and version, where one can't be had.
    """
    # Listed first: the caller may write to the same tables between two of them.
    sql = "SELECT number, coalesce(content_id, id) FROM versions WHERE nct_id = ? ORDER BY number"
    content = "SELECT content FROM contents WHERE id = ?"
    known = list(connection.rows(sql, (nct_id,)))
    yield from from_first(nct_id, ((number, connection.value(content, (content_id,))) for number, content_id in known))


def from_first(nct_id: str, blobs: Iterable[tuple[int, bytes | None]]) -> Iterator[tuple[int, Study]]:
    """Yield a study as it was at each version, as ``studies_from_first`` does, of their numbers and blobs, the oldest first."""
    waiting: list[tuple[int, bytes]] = []
    for number, blob in blobs:
        if blob is None:
            raise damaged(nct_id, number, "its content is missing")
        waiting.append((number, blob))
        if not codec.is_difference(blob):
            yield from _decoded(nct_id, waiting)
            waiting = []
    if waiting:
        yield from _decoded(nct_id, waiting)


def _decoded(nct_id: str, blobs: list[tuple[int, bytes]]) -> Iterator[tuple[int, Study]]:
    texts: list[tuple[int, bytes]] = []
    content: bytes | None = None
    for number, blob in reversed(blobs):
        try:
            content = codec.unpack(blob, content)
        except codec.BadBlob as error:
            raise damaged(nct_id, number, error) from error
        texts.append((number, content))
    while texts:
        number, content = texts.pop()
        yield number, _study(nct_id, number, content)


def _unpacked(connection: Connection, nct_id: str, number: int, newer: bytes) -> bytes:
    """Return a version's JSON text, where that of the version after it is at hand."""
    blob = connection.value(f"SELECT c.content FROM versions v JOIN {JOINED} WHERE v.nct_id = ? AND v.number = ?", (nct_id, number))
    if blob is None:
        raise damaged(nct_id, number, "its content is missing")
    try:
        return codec.unpack(blob, newer)
    except codec.BadBlob as error:
        raise damaged(nct_id, number, error) from error


def _study(nct_id: str, number: int, content: bytes) -> Study:
    try:
        return codec.study(content)
    except codec.BadBlob as error:
        raise damaged(nct_id, number, error) from error
