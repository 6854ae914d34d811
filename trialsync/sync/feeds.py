"""What a feed shows: the newest occasions that a filter wants, each of them whole."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from trialsync.model import Origin
from trialsync.publish.feed import MOST_CHANGES, Feed, Occasion, bounded
from trialsync.publish.privacy import change_without_contacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.store.filters import ChangeFilter
    from trialsync.store.reader import Reader

MOST_ENTRIES: Final = 50
"""How many entries a feed has."""

_MOST_ROWS: Final = 5_000
_LOOK_BACK: Final = (200, 1_000, 5_000)


def gathered(
    reader: Reader,
    wanted: ChangeFilter,
    *,
    title: str,
    path: str,
    history: bool = False,
    contacts: bool = False,
    address: str | None = None,
    base_url: str | None = None,
    before: int | None = None,
    web: str | None = None,
) -> Feed:
    """Return the feed of a filter: its newest occasions, the newest first.

    What the registry's history brought is left out unless ``history``, or the filter asks for it by its origin; contact persons are left
    out unless ``contacts``. ``before`` is what ``Feed.older`` said of another page: the occasions behind it. ``path``, ``address``,
    ``base_url`` and ``web`` are as in ``Feed``. Raises what ``reader.changes`` raises.
    """
    if not history and not wanted.origins:
        wanted = replace(wanted, origins=(Origin.POLL, Origin.IMPORT))
    days, older = _newest(reader, wanted, before)
    # More than are shown, so that what says most is chosen among them; all together only so many.
    most = max(MOST_CHANGES, _MOST_ROWS // max(len(days), 1))
    occasions = [_occasion(reader, day, ids, most, contacts=contacts) for day, ids in days.items()]
    polls = reader.polls(limit=1)
    since = (polls[0].finished or polls[0].started) if polls else None
    return Feed(title, path, occasions, address=address, base_url=base_url, web=web, since=since, older=older)


def _newest(reader: Reader, wanted: ChangeFilter, before: int | None) -> tuple[dict[tuple[str, str], list[int]], int | None]:
    """Return the ids of the newest rows by study and day, each day whole, looking further back until there are days enough.

    A day stands where its newest row does, and so on one page alone. Beside them the cursor where one reads on, ``None`` at the end.
    """
    for limit in _LOOK_BACK:
        found = reader.study_days(wanted, up_to=None if before is None else before - 1, limit=limit, newest_first=True)
        own = (each for each in found.days.items() if before is None or not _goes_on(reader, wanted, each[0], before))
        days = list(itertools.islice(own, MOST_ENTRIES + 1))
        if len(days) > MOST_ENTRIES or found.rows < limit:
            break
    shown = days[:MOST_ENTRIES]
    if len(days) > MOST_ENTRIES:
        return dict(shown), max(shown[-1][1])
    # Days of very many rows: there may be more behind them.
    return dict(shown), min(map(max, found.days.values())) if found.rows >= limit else None


def _goes_on(reader: Reader, wanted: ChangeFilter, day: tuple[str, str], before: int) -> bool:
    """Return whether a day has rows from a cursor on: then it stands on a page before."""
    nct_id, date = day
    of_day = replace(wanted, studies=(nct_id,), since=date, until=date)
    return next(reader.changes(of_day, after=before - 1, limit=1, values=False), None) is not None


def _occasion(reader: Reader, day: tuple[str, str], ids: Sequence[int], most: int, *, contacts: bool) -> Occasion:
    # The newest row is among them always: it says when the entry was updated.
    rows = reader.logged(ids if len(ids) <= most else [*ids[: most - 1], ids[-1]])
    return Occasion(*day, [bounded(row if contacts else change_without_contacts(row)) for row in rows], more=len(ids) - len(rows))
