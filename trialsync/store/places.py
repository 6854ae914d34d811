"""Where a reader of the log left off: a small file a name, in ``<store>.places/`` beside the store.

They lie outside the store, since it has one writer, which may be at work for long; and a copy of the store (``backup``) leaves them out,
since they belong to those who read it. A place remembers, with the cursor, when the last change up to it was seen: a store that was
restored from an older copy gives the same ids to other changes, and would otherwise pass over some without a word.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.errors import PlaceUnusable, StoreBusy, StoreUnwritable, UsageError
from trialsync.store.filters import ChangeFilter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trialsync.model import Json
    from trialsync.store.reader import Reader

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a reader of the log came: ``cursor``, and when it asked (UTC instant).

    ``change`` is the id of the last change that happened up to there, ``seen`` the UTC instant of it; ``None`` before the first.
    """

    cursor: int
    asked: str
    change: int | None
    seen: str | None


class Turn:
    """One reader's turn at a named place, from ``turn`` until it ends: nobody else reads under this name meanwhile."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path

    def place(self) -> Place | None:
        """Return where the name left off, or ``None`` at its first time. Raises PlaceUnusable for a file that holds no place."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PlaceUnusable(f"{self.path} can't be read: {error.strerror}") from error
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = None
        place = _place(value)
        if place is None:
            raise PlaceUnusable(
                f"{self.path} is damaged: it holds no place in the log",
                hint=f"--since-last {self.name} --after CURSOR goes on from the id of the last change that was read, 0 for all",
            )
        return place

    def move(self, place: Place) -> None:
        """Remember a place; the file is replaced whole. Raises StoreUnwritable, and the old place then stands."""
        value = {"cursor": place.cursor, "asked": place.asked, "change": place.change, "seen": place.seen}
        partial = self.path.with_name(self.path.name + ".partial")
        try:
            with partial.open("wb") as file:
                file.write(orjson.dumps(value) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            raise StoreUnwritable(f"{self.path} can't be written: {error.strerror}", hint="the next time reads the same again") from error


@contextmanager
def turn(store: Path, name: str) -> Iterator[Turn]:
    """Hold the turn at a place. Raises UsageError for a name that can't be a file's, StoreBusy while another process has it."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be the name of a place", hint='up to 64 of a-z, 0-9, ".", "_" and "-", the first a letter or digit'
        )
    folder = store.with_name(store.name + ".places")
    try:
        folder.mkdir(exist_ok=True)
        file = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreUnwritable(f"{folder} can't be written: {error.strerror}", hint="places in the log are kept beside the store") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreBusy(f"another process reads the log as {name!r}", hint="wait for it to end, or take another name") from None
        yield Turn(name, folder / f"{name}.json")
    finally:
        os.close(file)


def at(reader: Reader, cursor: int, asked: str) -> Place:
    """Return the place behind a cursor, as a name remembers it; ``asked`` is the present instant (UTC, ending in ``Z``)."""
    last = next(reader.changes(ChangeFilter(), limit=1, newest_first=True, up_to=cursor), None)
    return Place(cursor, asked, None if last is None else last.id, None if last is None else last.seen)


def check(reader: Reader, name: str, place: Place) -> None:
    """Raise PlaceUnusable for a place that is not of this log: past its end, or one at which another change stands now."""
    last = reader.last_id()
    again = f"the store was restored from an older copy, or is another; --since-last {name} --after CURSOR says where to go on, 0 for all"
    if place.cursor > last:
        raise PlaceUnusable(f"{name!r} left off at {place.cursor}, past the log's end, {last}", hint=again)
    # The last change up to the cursor may be gone by now, as a rebuild takes rows away; a later one can't have come below it.
    stands = next(reader.changes(ChangeFilter(), after=(place.change or 1) - 1, up_to=place.cursor, limit=1, newest_first=True), None)
    if stands is None or (stands.id, stands.seen) == (place.change, place.seen):
        return
    before = f"change {place.change}, seen {place.seen}" if place.change else f"{place.cursor}, before any change"
    raise PlaceUnusable(f"{name!r} left off at {before}; the log has another one there, change {stands.id}, seen {stands.seen}", hint=again)


def _place(value: Json) -> Place | None:
    match value:
        case {"cursor": int(cursor), "asked": str(asked), "change": int() | None as change, "seen": str() | None as seen} if cursor >= 0:
            return Place(cursor, asked, change, seen)
        case _:
            return None
