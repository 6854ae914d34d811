"""What changed between two dates, as rows, and what a reader is told at the foot of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import Tier
from trialsync.publish.confirmed import counted, in_loads, not_observed
from trialsync.publish.render import Sheet
from trialsync.publish.sheets import STUDY_CHANGES
from trialsync.publish.table import Column, key
from trialsync.publish.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trialsync.model import Json
    from trialsync.publish.table import Row
    from trialsync.study.net import Between, WatchBetween

_SHOWN: Final = 5


def net_json(found: Between) -> list[dict[str, Json]]:
    """Return the net changes of a study as JSON objects, nulls kept; ``kind`` is null for what changed and changed back.

    ``from`` and ``to`` are the days that were asked for, ``from_version`` and ``to_version`` the numbers of the versions that held then.
    """
    return [
        {
            "nct_id": found.nct_id,
            "title": found.title,
            "sponsor": found.sponsor,
            "from": found.start,
            "to": found.end,
            "from_version": found.old.number if found.old else None,
            "to_version": found.new.number,
            "path": change.path,
            "field": change.field,
            "item": change.item,
            "attribute": change.attribute,
            "kind": change.kind.value if change.kind else None,
            "tier": change.tier.value,
            "before": change.before,
            "after": change.after,
            "by": change.by.value if change.by else None,
            "steps": change.steps,
            "first": change.first,
            "last": change.last,
            "facts": list(change.facts),
            "url": f"https://clinicaltrials.gov/study/{found.nct_id}",
        }
        for change in found.changes
    ]


def _steps(row: Row, room: int | None) -> str:
    del room
    return f"{row['steps']:,}" if row["steps"] > 1 else ""


NET: Final = Sheet(
    (
        "nct_id", "title", "sponsor", "from", "to", "from_version", "to_version", "path", "field", "item", "attribute", "kind", "tier",
        "before", "after", "by", "steps", "first", "last", "facts", "url",
    ),
    (
        *(column for column in STUDY_CHANGES.columns if column.header in {"path", "kind", "change"}),
        Column("steps", _steps, right=True, optional=True),
        *(column for column in STUDY_CHANGES.columns if column.header == "facts"),
        Column("by", key("by"), optional=True),
    ),
)  # fmt: skip
"""Net changes of one study."""


def told(rows: Sequence[Row], *, housekeeping: bool) -> list[Row]:
    """Return the rows that a table shows: those that differ, housekeeping only where it is asked for."""
    return [row for row in rows if row["kind"] is not None and (housekeeping or row["tier"] != Tier.HOUSEKEEPING)]


def untold(rows: Iterable[Row], *, housekeeping: bool) -> Iterator[str]:
    """Yield sentences on the rows that a table does not show: what changed and changed back, and how much housekeeping there is.

    The rows are read once, before the first sentence, and none of them is kept that is not named.
    """
    back: list[Row] = []
    returned = hidden = 0
    first, several = None, False
    for row in rows:
        first = first or row["nct_id"]
        several = several or row["nct_id"] != first
        hidden += row["tier"] == Tier.HOUSEKEEPING
        if row["kind"] is None and (housekeeping or row["tier"] != Tier.HOUSEKEEPING):
            returned += 1
            back += [row] if returned <= _SHOWN else []
    if back:
        named = [
            f"{row['nct_id'] + ' ' if several else ''}{one_line(row['path'])} ({counted(row['steps'], 'step', 'steps')})" for row in back
        ]
        more = f" and {returned - _SHOWN:,} more" if returned > _SHOWN else ""
        yield f"changed and changed back: {', '.join(named)}{more}"
    if hidden and not housekeeping:
        yield f"{counted(hidden, 'housekeeping difference', 'housekeeping differences')} left out (--all shows them)"


def heading(found: Between) -> str:
    """Return the line above a study's differences: its number, sponsor and title, and the versions that are compared."""
    names = [one_line(name) for name in (found.sponsor, found.title) if name]
    if found.old is None:
        versions = f"not there on {found.start}"
    elif found.old.number == found.new.number:
        versions = f"version {found.new.number} on both days"
    else:
        versions = f"version {found.old.number} of {found.old.date} → version {found.new.number} of {found.new.date}"
    return f"{found.nct_id}  {' · '.join(names)}  ({versions})"


def _unchanged(found: WatchBetween) -> Iterator[str]:
    """Yield how many studies the last load showed unchanged, and how many others are as they were when an earlier one showed them."""
    last = found.loads[-1] if found.loads else None
    if last is None:
        yield f"{found.unchanged:,} unchanged as far as is known"
        return
    earlier = {load: count for load, count in found.last_seen if load < last}
    never = found.unchanged - sum(count for _, count in found.last_seen)
    yield f"{found.unchanged - sum(earlier.values()) - never:,} confirmed unchanged in load {last}"
    if earlier:
        yield f"{sum(earlier.values()):,} last seen in {in_loads(min(earlier), max(earlier))}"
    if never:
        yield f"{never:,} in no load yet"


def summary(found: WatchBetween) -> Iterator[str]:
    """Yield what a search for updates has to know of a watch: how many studies differ, were confirmed unchanged, are new, left, unknown."""
    parts = [
        f"{found.changed:,} changed",
        *([f"{found.changed_back:,} changed and changed back"] if found.changed_back else []),
        *_unchanged(found),
        f"{found.joined:,} new",
        f"{found.left:,} left",
        *([f"{found.unknown:,} not known before"] if found.unknown else []),
    ]
    total = counted(found.studies, "study", "studies")
    yield f"{found.name}, {found.start} to {found.end}: {total}: {', '.join(parts)}{not_observed(found.loads)}"
    if found.first_unknown:
        number, day = found.first_unknown
        yield (
            f"{counted(found.unknown, 'study is', 'studies are')} not known as of {found.start}, {number} from {day} on: the "
            f"registry's own history may know more: trialsync backfill {found.name}"
        )
