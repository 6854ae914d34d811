"""Studies from files into the store: what a poll does for the registry's pages, for whatever was kept elsewhere."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import groupby
from sys import intern
from typing import TYPE_CHECKING, Final

from trialsync.errors import FileError
from trialsync.model import Ended, Origin, Poll, instant, is_day
from trialsync.registry.files import BadRecord, FoundStudy, Unlisted
from trialsync.study import record
from trialsync.sync import presence
from trialsync.sync.arrivals import Arrival, Receiver
from trialsync.sync.garbage import few_collections
from trialsync.sync.poll import finish
from trialsync.sync.ready import WORTH_FROM, Crew, all_ready
from trialsync.sync.repeats import once_a_load
from trialsync.sync.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from trialsync.registry.files import Found
    from trialsync.store.writer import Writer
    from trialsync.study.diff import BaselineFields
    from trialsync.sync.poll import Outcome
    from trialsync.sync.ready import Ready

PAGE_STUDIES: Final = 125
"""So many studies are recorded in one transaction."""

PAGE_BYTES: Final = 4_000_000
"""A transaction ends earlier when its records are this large together, so that memory stays flat."""


@dataclass(slots=True)
class _Batch:
    """The studies of one transaction to come, and what is being made ready of them."""

    arrivals: list[Arrival] = field(default_factory=list)
    size: int = 0
    unknown: list[int] = field(default_factory=list)
    made: Callable[[], list[Ready | None]] | None = None

    def add(self, arrival: Arrival) -> bool:
        """Take a study; return whether the transaction is full."""
        self.arrivals.append(arrival)
        self.size += len(arrival.raw)
        return len(self.arrivals) >= PAGE_STUDIES or self.size >= PAGE_BYTES

    def begin(self, crew: Crew, writer: Writer, baseline: BaselineFields) -> None:
        """Have those made ready that the store does not know."""
        numbers = [record.check(arrival.study) for arrival in self.arrivals]
        known = writer.known(numbers)
        self.unknown = [place for place, number in enumerate(numbers) if number not in known]
        if self.unknown:
            self.made = crew.begin(all_ready, [self.arrivals[place].raw for place in self.unknown], baseline)

    def in_order(self) -> list[Arrival]:
        """Return the studies by load, so that files of one study's versions may lie in any order."""
        if self.made is not None:
            for place, made in zip(self.unknown, self.made(), strict=True):
                self.arrivals[place] = replace(self.arrivals[place], ready=made)
        return sorted(self.arrivals, key=lambda arrival: arrival.load)


@dataclass(slots=True)
class _Taken:
    """What a part held so far: how many records, the latest load of each study, each alias's study, the lines that say that one is gone.

    And what is not recorded yet: a ``batch`` that is being filled, and those before it that are ``waiting``.
    """

    count: int = 0
    latest: dict[str, str] = field(default_factory=dict)
    survivors: dict[str, str] = field(default_factory=dict)
    unlisted: list[Unlisted] = field(default_factory=list)
    batch: _Batch = field(default_factory=_Batch)
    waiting: deque[_Batch] = field(default_factory=deque)


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
    what the store has is skipped and named, and so is another content of a study in one load (``repeats``). Raises FileError where a file
    can't be read on, after the outcome of what could be read; StoreError.
    """
    history = _History()
    with Crew() as crew:
        for (file, dated), part in groupby(found, key=_Place()):
            history.begin(file)
            with few_collections():
                outcome = _part(part, dated, history, crew, writer=writer, now=now, baseline=baseline, label=label)
            yield outcome
            if outcome.error is not None:
                raise outcome.error


class _Place:
    """The file that a record lies in and the load of its dated line, ``None`` for everything else.

    A record that can't be used belongs to what stood before it.
    """

    def __init__(self) -> None:
        self._last: tuple[str | None, str | None] = (None, None)

    def __call__(self, found: Found) -> tuple[str | None, str | None]:
        if not isinstance(found, BadRecord):
            # Records without a dated line need no file: nothing is concluded from where they lie.
            self._last = (_file(found.source) if found.load else None, found.load)
        return self._last


def _file(source: str) -> str:
    name, line, _ = source.rpartition(", line ")
    return name if line else source


@dataclass(slots=True)
class _History:
    """What the dated lines of one file said so far: the studies that stand until a line says otherwise, and who took whose number."""

    file: str | None = None
    standing: set[str] = field(default_factory=set)
    survivors: dict[str, str] = field(default_factory=dict)

    def begin(self, file: str | None) -> None:
        """Forget what another file said: it may cover other loads and other studies."""
        if file != self.file:
            self.file, self.standing, self.survivors = file, set(), {}


def _part(
    part: Iterable[Found],
    dated: str | None,
    history: _History,
    crew: Crew,
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
    taken, error = _Taken(), None
    try:
        _take(part, taken, receiver, crew, label)
    except FileError as failure:
        error = failure
    for batch in (*taken.waiting, taken.batch):
        _record(batch, taken, receiver)
    history.survivors.update(taken.survivors)
    if dated is not None and taken.unlisted and error is None:
        with writer.page():
            for gone in taken.unlisted:
                _gone(gone, history.survivors.get(gone.nct_id), receiver)
    stands_for = dated or max(taken.latest.values(), default=None)
    if dated is not None:
        history.standing |= tally.seen
        history.standing -= {gone.nct_id for gone in taken.unlisted}
        if len(tally.skipped) > tally.older or error is not None:
            # The record that can't be used may be a change of any of them, in this load or the next.
            history.standing.clear()
        tally.seen |= history.standing
    else:
        tally.seen &= {nct_id for nct_id, load_of in taken.latest.items() if load_of == stands_for}
    row = Poll(poll_id, None, Origin.IMPORT, stands_for, None, started, None, None)
    ended = Ended.COMPLETE if error is None else Ended.PARTIAL if tally.studies else Ended.FAILED
    return finish(row, ended, tally, error, writer=writer, now=now)


def _take(part: Iterable[Found], taken: _Taken, receiver: Receiver, crew: Crew, label: str | None) -> None:
    """Record the studies of a part as far as it can be read, but for those of the last transactions, which are left waiting."""
    for each in part:
        if isinstance(each, BadRecord):
            receiver.tally.skipped.append(each.sentence)
        elif isinstance(each, Unlisted):
            taken.unlisted.append(each)
        else:
            arrival = _arrival(each, label, receiver.tally)
            if arrival is None:
                continue
            taken.count += 1
            taken.survivors.update(dict.fromkeys(record.aliases(each.study), record.check(each.study)))
            if taken.batch.add(arrival):
                if taken.count >= WORTH_FROM:
                    taken.batch.begin(crew, receiver.writer, receiver.baseline)
                taken.waiting.append(taken.batch)
                taken.batch = _Batch()
                if len(taken.waiting) >= crew.depth:
                    _record(taken.waiting.popleft(), taken, receiver)


def _record(batch: _Batch, taken: _Taken, receiver: Receiver) -> None:
    """Record the studies of a transaction, each once for each load."""
    arrivals = once_a_load(batch.in_order(), receiver.tally)
    for place, arrival in enumerate(arrivals):
        nct_id = record.check(arrival.study)
        before = taken.latest.get(nct_id, "")
        if arrival.load == before:
            arrivals[place] = replace(arrival, again=True)
        elif arrival.load > before:
            taken.latest[nct_id] = intern(arrival.load)
    receiver.page(arrivals)


def _gone(line: Unlisted, survivor: str | None, receiver: Receiver) -> None:
    """Record, inside a page, that a load lists a study no more; ``survivor`` is the study that took its number as an alias."""
    shown = receiver.writer.last_there(line.nct_id)
    if shown is not None and shown >= line.load:
        receiver.tally.skipped.append(
            f"{line.source}: {line.nct_id}: gone on load {line.load}, which is older than what the store has of {shown}"
        )
        receiver.tally.older += 1
    elif survivor is not None:
        presence.merged(line.nct_id, survivor, receiver, line.load)
    else:
        presence.removed(line.nct_id, receiver, line.load)


def _arrival(found: FoundStudy, label: str | None, tally: Tally) -> Arrival | None:
    """Return the study with the load that it stands for; ``None``, and a sentence in the tally, where nothing says which."""
    named = (found.load, label, record.load(found.study), record.posted(found.study))
    stands_for = next((day for day in named if is_day(day)), None)
    if stands_for is None:
        tally.skipped.append(f"{found.source}: the record names no load and no posted date (--load DATE says which)")
        return None
    return Arrival(found.study, found.raw, stands_for, found.source)
