"""Large watches, between their whole walks: what moved since the last completed load, and a rolling sweep of the rest.

A sponsor's update carries the load's own date as its posted date (24 of 24 updates seen on consecutive loads, none dated back), so the ids
of the whole registry's range from the last completed load on, inclusive, name every study that a sponsor touched. The watch's own query
with that range would lose the member that stopped matching; it serves to find the studies that entered. About one real change in eight
does not move that date, so everything is swept in turn, in slices by the day of first posting.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from math import ceil
from typing import TYPE_CHECKING, Final

from trialsync.errors import DataChanged, UsageError
from trialsync.model import Slice, Watch
from trialsync.registry import query
from trialsync.registry.query import area_range, narrowed
from trialsync.registry.walk import Walk
from trialsync.study import record
from trialsync.sync.presence import MASS_FROM, Unseen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from trialsync.registry.client import Registry
    from trialsync.sync.arrivals import Receiver

    Take: TypeAlias = Callable[[Walk, Receiver, str], None]
    """Takes a walk to its end, as the part of the work that is named."""

_FRIDAY: Final = 4
_MONDAY: Final = 7

SLICE_STUDIES: Final = 5000
"""A slice holds about so many studies at most: a few pages, so that a load that arrives under way costs little."""

_LACKING: Final = 0.01

_FIRST_POSTED: Final = "StudyFirstPostDate"
_POSTED: Final = "LastUpdatePostDate"


def plan(first_posted: Sequence[str], sweep_days: int) -> list[Slice]:
    """Return slices by the day of first posting, of about equal numbers of studies, that together take in every study.

    ``first_posted`` are the members' days, ISO, in any order; those without one are in the last slice. There is at least a slice a day of
    the sweep. What is no day is left aside: it only serves to find where to cut.
    """
    days = sorted(filter(_is_date, first_posted))
    wanted = max(sweep_days, ceil(len(days) / SLICE_STUDIES))
    starts = sorted({days[len(days) * place // wanted] for place in range(1, wanted)}) if days else []
    edges: list[str | None] = [None, *starts, None]
    slices = [Slice(place, edges[place], _day_before(edges[place + 1]), swept=None) for place in range(len(edges) - 1)]
    return [*slices, Slice(len(slices), None, None, swept=None, undated=True)]


def due(slices: Sequence[Slice], load: str, since: str, sweep_days: int) -> list[Slice]:
    """Return the slices to sweep with a load, those first that waited longest: a share for the days since the load before.

    ``load`` and ``since`` are ISO days of the registry's, so that no clock matters. A slice is due in any case if with the next weekday it
    would have waited for more than ``sweep_days``: there is no load before that.
    """
    today = date.fromisoformat(load)
    elapsed = max(1, (today - date.fromisoformat(since)).days)
    waiting = sorted(slices, key=lambda each: (each.swept or "", each.place))
    share = ceil(len(slices) * elapsed / sweep_days)
    following = today + timedelta(days=max(1, _MONDAY - today.weekday() if today.weekday() >= _FRIDAY else 1))
    late = sum(each.swept is None or (following - date.fromisoformat(each.swept)).days > sweep_days for each in waiting)
    return waiting[: max(share, late)]


def can_be_narrowed(watch: Watch) -> bool:
    """Return whether a watch can be walked in parts: NCT numbers, and a query as long as an address can be, cannot."""
    try:
        narrowed(watch, area_range(_FIRST_POSTED, "2000-01-01", "2000-01-01"))
    except UsageError:
        return False
    return True


def import_lacks(watch: Watch, registry: Registry, members: int, load: str) -> int:
    """Return how many studies the registry has beside those that a watch was begun with by an import, 0 where that was all of them.

    ``members`` are those, and ``load`` is the ISO day of the import's load: what was first posted since then it could not have. Up to a
    hundredth of them is left to the sweep. Raises RegistryError.
    """
    posted_since = area_range(_FIRST_POSTED, date.fromordinal(date.fromisoformat(load).toordinal() + 1), None)
    everything, newer = (
        registry.page({**parameters, "fields": "NCTId"}, size=1).total
        for asked in (watch, narrowed(watch, posted_since))
        for parameters in query.params(asked)
    )
    lacking = (everything or 0) - (newer or 0) - members
    return lacking if lacking > members * _LACKING else 0


def walk_moved(
    watch: Watch,
    *,
    registry: Registry,
    receiver: Receiver,
    load: str,
    since: str,
    sweep_days: int,
    take: Take,
) -> Unseen:
    """Record what moved since the load ``since``, and this load's share of the sweep; return what should have been seen and was not.

    ``take`` takes a walk to its end and records its pages, under the name of its part of the work. Both days are ISO. Raises DataChanged
    where a walk ended in another load, RegistryError where it did not end; what was recorded stays.
    """
    writer, tally, joining = receiver.writer, receiver.tally, receiver.joining
    assert joining is not None  # noqa: S101 - only a followed watch is large
    unseen = Unseen(in_parts=True)

    def within(asked: Watch, not_before: str | None, name: str) -> Walk:
        """Walk a part, which may begin again with a load that arrives under way; conclusions need all of them in one load."""
        walk = Walk(registry, asked, load=load)
        part = replace(receiver, joining=replace(joining, not_before=not_before))
        take(walk, part, name)
        if not walk.distinct:
            # An empty answer carries no label of its load; one that a server left behind gave looks just like it.
            walk = Walk(registry, asked, load=load)
            take(walk, part, name)
        if walk.load != load:
            raise DataChanged(f"load {walk.load} arrived while load {load} was walked", hint="what was seen is kept; ask again later")
        return walk

    posted_since = area_range(_POSTED, since, None)
    within(narrowed(watch, posted_since), since, "what moved")
    if not watch.everything:
        everywhere = Walk(registry, Watch("moved", query={"filter.advanced": (posted_since,)}), load=load, fields=("NCTId", _POSTED))
        moved = _numbers(everywhere, load, tally.skipped)
        unseen.missing |= moved & joining.members
        unseen.former |= moved & writer.left(watch.name)
    to_sweep = due(writer.slices(watch.name), load, since, sweep_days)
    shown = [
        within(narrowed(watch, _essie(part)), part.swept, f"sweep {place} of {len(to_sweep)}").distinct
        for place, part in enumerate(to_sweep, 1)
    ]
    for part, count, (members, former) in zip(to_sweep, shown, writer.members_in(watch.name, to_sweep), strict=True):
        if not count and len(members) >= MASS_FROM:
            unseen.emptied += len(members)
        unseen.missing |= members
        unseen.former |= former
        if part.swept is not None:
            unseen.swept_before.update(dict.fromkeys(members - tally.seen, part.swept))
        unseen.swept.append(part)
    # Whether a suspect still matches the watch nobody can say from here: it is looked up, and leaves nothing.
    unseen.former |= writer.suspects(watch.name)
    unseen.missing -= tally.seen | writer.suspects(watch.name)
    unseen.former -= tally.seen
    return unseen


def _essie(part: Slice) -> str:
    if part.undated:
        return f"AREA[{_FIRST_POSTED}]MISSING"
    return area_range(_FIRST_POSTED, part.first, part.last)


def _numbers(walk: Walk, load: str, skipped: list[str]) -> set[str]:
    """Return the numbers of the studies that a walk shows, all of one load; what shows none is added to ``skipped``."""
    found: set[str] = set()
    for page in walk.pages():
        found.update(number for fetched in page.studies if (number := record.nct_id(fetched.study)))
        skipped.extend(sentence for sentence in page.bad if sentence not in skipped)
    if walk.load not in {load, None}:
        raise DataChanged(f"load {walk.load} arrived while load {load} was walked", hint="what was seen is kept; ask again later")
    return found


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _day_before(day: str | None) -> str | None:
    return None if day is None else date.fromordinal(date.fromisoformat(day).toordinal() - 1).isoformat()
