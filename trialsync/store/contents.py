"""What a study said at a version: read from its blob, or, for an older one, through the differences that lead to it from a newer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trialsync.errors import StoreDamaged
from trialsync.store import codec
from trialsync.store.connection import RESTORE_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Study
    from trialsync.store.connection import Connection


def damaged(nct_id: str, number: int, reason: object) -> StoreDamaged:
    """Return the error for a version whose content can't be had."""
    return StoreDamaged(f"{nct_id} version {number} can't be read: {reason}", hint=RESTORE_HINT)


def text(connection: Connection, nct_id: str, number: int) -> bytes:
    """Return a version's JSON text; raise StoreDamaged, naming study and version, where it can't be had."""
    blobs: list[tuple[int, bytes]] = []
    for found, blob in connection.rows(
        "SELECT v.number, c.content FROM versions v LEFT JOIN contents c ON c.version_id = v.id WHERE v.nct_id = ? AND v.number >= ? "
        "ORDER BY v.number",
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
    try:
        return codec.study(text(connection, nct_id, number))
    except codec.BadBlob as error:
        raise damaged(nct_id, number, error) from error


def studies(connection: Connection, nct_id: str, before: int) -> Iterator[Study]:
    """Yield a study as it was at each version before a number, the newest first, one in memory at a time.

    Raises StoreDamaged, naming study and version, where one can't be had.
    """
    number = before - 1
    if number < 1:
        return
    content = text(connection, nct_id, number)
    while True:
        try:
            yield codec.study(content)
            number -= 1
            if number < 1:
                return
            blob = connection.value(
                "SELECT c.content FROM versions v JOIN contents c ON c.version_id = v.id WHERE v.nct_id = ? AND v.number = ?",
                (nct_id, number),
            )
            if blob is None:
                raise damaged(nct_id, number, "its content is missing")
            content = codec.unpack(blob, content)
        except codec.BadBlob as error:
            raise damaged(nct_id, number, error) from error
