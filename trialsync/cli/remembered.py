"""``trialsync changes --since-last NAME``: from where a name left off, and where it leaves off now."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trialsync.cli.app import flush, say
from trialsync.errors import UsageError
from trialsync.model import instant
from trialsync.store import places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trialsync.cli.app import App
    from trialsync.cli.filters import Asked
    from trialsync.store.reader import Reader


@dataclass(slots=True)
class Reading:
    """The log as one name reads it: ``reader`` opened in its turn, and the cursor ``after`` which it reads on.

    ``since`` says from when that is, for a heading. ``begins`` is whether the name only begins here: nothing is to be printed.
    """

    reader: Reader
    after: int
    since: str
    begins: bool
    _turn: places.Turn
    _present: datetime

    def done(self, cut_at: int | None) -> None:
        """Leave off here, now that all was printed; ``cut_at`` is the last id of an answer that a limit cut, ``None`` for a whole one.

        Raises OutputError or BrokenPipeError where the output was not taken, StoreUnwritable: the name then stays where it was.
        """
        flush()
        cursor = self.reader.last_id() if cut_at is None else cut_at
        self._turn.move(places.at(self.reader, cursor, instant(self._present)))

    def heading(self) -> str:
        """Return the line that a digest begins with."""
        return f"Changes since {self.since}, until {_minute(instant(self._present))}:"


@contextmanager
def reading_as(app: App, name: str, asked: Asked, after: int | None, present: datetime) -> Iterator[Reading]:
    """Hold a name's turn, and open the store in it.

    Raises UsageError, StoreBusy while another process reads under the name, PlaceUnusable where its place is none of this log.
    """
    app.reader().close()  # before a folder is made beside a store that is not there
    with places.turn(app.store, name) as turn, app.reader() as reader:
        if after is not None:
            reader.check_cursor(after)
            yield Reading(reader, after, f"change {after}", begins=False, _turn=turn, _present=present)
            return
        place = turn.place()
        if place is not None:
            places.check(reader, name, place)
            since = f"{_minute(place.asked)}, when {name} last asked"
            yield Reading(reader, place.cursor, since, begins=False, _turn=turn, _present=present)
            return
        since = asked.since or asked.seen_since or ""
        yield Reading(reader, 0, since, begins=not since, _turn=turn, _present=present)


def begun(name: str, reader: Reader) -> None:
    """Say what the first time of a name does where nobody said from when."""
    say(
        f"{name} begins here, at change {reader.last_id()}: the next time prints what is new by then",
        f"  trialsync changes --since-last {name} --since 7d     to begin earlier, as long as it has no place",
        f"  trialsync changes --since-last {name} --after 0      to read the log from its beginning",
    )


def ordered(order: str | None, limit: int | None) -> bool:
    """Return whether the newest come first; raise UsageError where a limit would then lose the older ones."""
    if order == "newest" and limit:
        raise UsageError("--since-last with --order newest and --limit would pass over the oldest", hint="leave one of them out")
    return order == "newest"


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"
