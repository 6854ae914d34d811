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
) -> Feed:
    """Return the feed of a filter: its newest occasions, the newest first.

    What the registry's history brought is left out unless ``history``, or the filter asks for it by its origin; contact persons are left
    out unless ``contacts``. ``path``, ``address`` and ``base_url`` are as in ``Feed``. Raises what ``reader.changes`` raises.
    """
    if not history and not wanted.origins:
        wanted = replace(wanted, origins=(Origin.POLL, Origin.IMPORT))
    days = _newest(reader, wanted)
    # More than are shown, so that what says most is chosen among them; all together only so many.
    most = max(MOST_CHANGES, _MOST_ROWS // max(len(days), 1))
    occasions = [_occasion(reader, day, ids, most, contacts=contacts) for day, ids in days.items()]
    polls = reader.polls(limit=1)
    since = (polls[0].finished or polls[0].started) if polls else None
    return Feed(title, path, occasions, address=address, base_url=base_url, since=since)


def _newest(reader: Reader, wanted: ChangeFilter) -> dict[tuple[str, str], list[int]]:
    """Return the ids of the newest rows by study and day, each day whole, looking further back until there are days enough."""
    for limit in _LOOK_BACK:
        found = reader.study_days(wanted, limit=limit, newest_first=True)
        if len(found.days) >= MOST_ENTRIES or found.rows < limit:
            break
    return dict(itertools.islice(found.days.items(), MOST_ENTRIES))


def _occasion(reader: Reader, day: tuple[str, str], ids: Sequence[int], most: int, *, contacts: bool) -> Occasion:
    rows = reader.logged(ids[:most])
    return Occasion(*day, [bounded(row if contacts else change_without_contacts(row)) for row in rows], more=len(ids) - len(rows))
