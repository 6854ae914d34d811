"""What a quiet answer means: how many studies were confirmed, in which load, and which days nobody looked."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from trialsync.model import Ended, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.model import Poll

_SATURDAY: Final = 5
_GAPS_SHOWN: Final = 3


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its noun: ``1 study``, ``2,176 studies``."""
    return f"{count:,} {one if count == 1 else many}"


def confirmed(poll: Poll, *, loads: Sequence[str] = ()) -> str:
    """Return what a poll or an import confirmed, as a sentence without its end.

    ``loads`` are the loads (ISO days) of the complete polls of the same watch before it; the weekdays between two of them were not
    observed.
    """
    polled = poll.origin is Origin.POLL
    parts = [f"{poll.new:,} new", f"{poll.updated:,} changed"]
    parts.append(f"{poll.unchanged:,} confirmed unchanged in load {poll.load}" if polled else f"{poll.unchanged:,} unchanged")
    if not polled and poll.load:
        parts.append(f"up to load {poll.load}")
    if poll.skipped:
        parts.append(f"{poll.skipped:,} skipped")
    if poll.never:
        parts.append(f"{poll.never:,} never found")
    looked = "" if poll.whole else " that moved or were due"
    changes = f"; {counted(poll.changes, 'change', 'changes')} recorded" if poll.changes else ""
    again = ": ask again" if polled else ""
    ended = f" (partial{again})" if poll.ended is Ended.PARTIAL else ""
    return (
        f"{counted(poll.studies, 'study', 'studies')}{looked}: {', '.join(parts)}{changes}{not_observed([*loads, poll.load or ''])}{ended}"
    )


def in_loads(oldest: str, newest: str) -> str:
    """Return loads (ISO days) in words: ``load 2026-03-02``, ``loads 2026-03-02 to 2026-03-04``."""
    return f"load {oldest}" if oldest == newest else f"loads {oldest} to {newest}"


def registry_loads(oldest: str, newest: str) -> str:
    """Return of which load (ISO day) studies are told, or between which two each of them was last seen."""
    return f"the registry's load of {newest}" if oldest == newest else f"the registry's loads of {oldest} to {newest}"


def not_observed(loads: Sequence[str]) -> str:
    """Return ``; not observed 2026-11-02 to 2026-11-04`` for the weekdays between loads (ISO days) that lie apart, or nothing.

    The registry brings out a load on weekdays, not on every one: a day that was not observed may have had none.
    """
    found = list(gaps(sorted({load for load in loads if load})))
    shown = [first if first == last else f"{first} to {last}" for first, last in found[-_GAPS_SHOWN:]]
    more = f" and {len(found) - _GAPS_SHOWN:,} times before" if len(found) > _GAPS_SHOWN else ""
    return f"; not observed {', '.join(shown)}{more}" if shown else ""


def gaps(loads: Sequence[str], *, up_to: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield the first and last weekday (ISO days) of each gap between consecutive loads, which are ISO days in their order.

    What lies behind the last of them is a gap too, ``up_to`` a later ISO day, which is in it.
    """
    pairs = [(date.fromisoformat(earlier), date.fromisoformat(later)) for earlier, later in pairwise(loads)]
    if loads and up_to is not None and up_to > loads[-1]:
        pairs.append((date.fromisoformat(loads[-1]), date.fromisoformat(up_to) + timedelta(days=1)))
    for start, end in pairs:
        between = [start + timedelta(days=day) for day in range(1, (end - start).days)]
        missed = [day for day in between if day.weekday() < _SATURDAY]
        if missed:
            yield missed[0].isoformat(), missed[-1].isoformat()


def weekdays(first: str, last: str) -> int:
    """Return how many weekdays lie from one ISO day to another, both included."""
    start = date.fromisoformat(first)
    return sum((start + timedelta(days=day)).weekday() < _SATURDAY for day in range((date.fromisoformat(last) - start).days + 1))
