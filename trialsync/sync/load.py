"""Studies from files into the store: what a poll does for the registry's pages, for whatever was kept elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final

from trialsync.model import Ended, Origin, Poll, instant
from trialsync.registry.files import BadRecord, FoundStudy, Unlisted
from trialsync.study import record
from trialsync.sync import presence
from trialsync.sync.arrivals import Arrival, Receiver, Tally
from trialsync.sync.poll import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from trialsync.registry.files import Found
    from trialsync.store.writer import Writer
    from trialsync.study.diff import BaselineFields
    from trialsync.sync.poll import Outcome

PAGE_STUDIES: Final = 250
"""So many studies are recorded in one transaction."""

PAGE_BYTES: Final = 8_000_000
"""A transaction ends earlier when its records are this large together, so that memory stays flat."""


@dataclass(slots=True)
class _Batch:
    """The studies of one transaction to come."""

    arrivals: list[Arrival] = field(default_factory=list)
    size: int = 0

    def add(self, arrival: Arrival) -> bool:
        """Take a study; return whether the transaction is full."""
        self.arrivals.append(arrival)
        self.size += len(arrival.raw)
        return len(self.arrivals) >= PAGE_STUDIES or self.size >= PAGE_BYTES


def load(
    found: Iterable[Found],
    *,
    writer: Writer,
    now: Callable[[], datetime],
    baseline: BaselineFields = "core",
    label: str | None = None,
) -> Iterator[Outcome]:
    """Record what files hold; yield how each part ended: dated lines one load after the other, everything else in one.

    A record's load is that of its dated line, else ``label`` (an ISO day), else its ``versionHolder``, else its posted date. Dated lines
    say of each load what changed in it, so a study that stood before and does not stand again was confirmed by it. A record older than
    what the store has is skipped and named. Raises FileError where a file can't be read on (what was committed is kept), StoreError.
    """
    covered: set[str] = set()
    for dated, part in groupby(found, key=_DatedLoad()):
        yield _part(part, dated, covered, writer=writer, now=now, baseline=baseline, label=label)


class _DatedLoad:
    """The load of a dated line, ``None`` for everything else; a record that can't be used belongs to what stood before it."""

    def __init__(self) -> None:
        self._last: str | None = None

    def __call__(self, found: Found) -> str | None:
        if not isinstance(found, BadRecord):
            self._last = found.load
        return self._last


def _part(
    part: Iterable[Found],
    dated: str | None,
    covered: set[str],
    *,
    writer: Writer,
    now: Callable[[], datetime],
    baseline: BaselineFields,
    label: str | None,
) -> Outcome:
    """Record one load of dated lines, or everything else, as one row among the polls."""
    started = instant(now())
    poll_id = writer.begin_poll(watch=None, origin=Origin.IMPORT, load=dated, data_timestamp=None, query=None, started=started)
    tally = Tally()
    receiver = Receiver(writer, Origin.IMPORT, started, baseline, tally)
    batch, unlisted, survivors = _Batch(), [], {}
    latest: dict[str, str] = {}
    for each in part:
        if isinstance(each, BadRecord):
            tally.skipped.append(each.sentence)
        elif isinstance(each, Unlisted):
            unlisted.append(each.nct_id)
        else:
            arrival = _arrival(each, label, tally)
            if arrival is None:
                continue
            latest[record.check(each.study)] = arrival.load
            survivors.update(dict.fromkeys(record.aliases(each.study), record.check(each.study)))
            if batch.add(arrival):
                receiver.page(batch.arrivals)
                batch = _Batch()
    receiver.page(batch.arrivals)
    if dated is not None and unlisted:
        with writer.page():
            for nct_id in unlisted:
                if nct_id in survivors:
                    presence.merged(nct_id, survivors[nct_id], receiver, dated)
                else:
                    presence.removed(nct_id, receiver, dated, since=dated)
    stands_for = dated or max(latest.values(), default=None)
    if dated is not None:
        covered |= tally.seen
        covered -= set(unlisted)
        tally.seen |= covered
    else:
        tally.seen &= {nct_id for nct_id, load_of in latest.items() if load_of == stands_for}
    row = Poll(poll_id, None, Origin.IMPORT, stands_for, None, started, None, None)
    return finish(row, Ended.COMPLETE, tally, None, writer=writer, now=now)


def _arrival(found: FoundStudy, label: str | None, tally: Tally) -> Arrival | None:
    """Return the study with the load that it stands for; ``None``, and a sentence in the tally, where nothing says which."""
    stands_for = found.load or label or record.load(found.study) or record.posted(found.study)
    if stands_for is None:
        tally.skipped.append(f"{found.source}: the record names no load and no posted date (--load DATE says which)")
        return None
    return Arrival(found.study, found.raw, stands_for, found.source)
