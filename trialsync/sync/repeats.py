"""A study that stands several times in one load of what is imported: one of its contents counts, and the same one each time.

A load shows a study once. Of two contents the one that was updated later counts, else the first: it is in the store before the next is
read, and an import that is repeated has to find there what it left. The other is named. Contents of different loads are versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from trialsync.errors import RecordError
from trialsync.model import is_day
from trialsync.study import record
from trialsync.study.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trialsync.model import Study
    from trialsync.sync.arrivals import Arrival, Unread
    from trialsync.sync.tally import Tally

    _Arrived = TypeVar("_Arrived", Arrival, Unread)


class OlderRecord(RecordError):
    """A record that says what the store knows to be over: nothing is wrong with it, and nothing follows from it."""


def once_a_load(arrivals: Iterable[_Arrived], tally: Tally) -> list[_Arrived]:
    """Return these studies, each once for each load, in their order; one that is left out for another content is named in the tally."""
    kept: dict[tuple[str, str] | int, _Arrived] = {}
    for place, arrival in enumerate(arrivals):
        try:
            key = (arrival.number(), arrival.load)
        except RecordError:
            # Whoever records it says what is wrong with it.
            kept[place] = arrival
            continue
        other = kept.setdefault(key, arrival)
        if other is arrival or _is_same(other, arrival):
            continue
        left_out, counts = arrival, other
        if _later(arrival.study, than=other.study) > 0:
            left_out, counts = other, arrival
            kept[key] = arrival
        tally.skipped.append(f"{left_out.source}: {key[0]}: of load {key[1]} another record counts, {counts.source}")
    return list(kept.values())


def check(nct_id: str, arrival: Arrival | Unread, load: str, held: Study) -> None:
    """Raise RecordError where a record says of a load what does not count; ``held`` is the store's newest content, first of ``load``."""
    later = _later(arrival.study, than=held)
    if arrival.again and later <= 0:
        raise RecordError(f"{nct_id}: of load {arrival.load} another record counts, which stood before this one")
    if arrival.load == load and later < 0:
        raise OlderRecord(f"{nct_id}: of load {load} the store has a content that was updated later")


def _is_same(one: Arrival | Unread, other: Arrival | Unread) -> bool:
    """Return whether two records have one content."""
    if one.digest() is not None and one.digest() == other.digest():
        return True
    try:
        return fingerprint(one.study) == fingerprint(other.study)
    except RecordError:
        return False


def _later(study: Study, *, than: Study) -> int:
    """Return 1 where a study was updated after another, -1 where before, 0 where their dates do not say."""
    for one, other in ((record.posted(study), record.posted(than)), (record.submitted(study), record.submitted(than))):
        if is_day(one) and is_day(other) and one != other:
            return 1 if one > other else -1
    return 0
