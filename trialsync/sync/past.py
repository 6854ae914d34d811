"""Answers of the registry's history to versions in the store: which of them are new, what they changed, and what follows for the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trialsync.model import Origin, Version, instant, is_day
from trialsync.registry import history
from trialsync.store.history_writer import History
from trialsync.store.rebuild import rebuild_study
from trialsync.study import record, seam
from trialsync.study.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from trialsync.model import Study
    from trialsync.registry.history import Entry
    from trialsync.store.writer import Writer
    from trialsync.study.diff import BaselineFields


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What came of one study: versions and changes that were added, and versions left out since the registry's reviewers returned them.

    ``complete`` is whether all that the registry has of it up to our first sight is recorded now; ``error`` is why nothing was.
    """

    nct_id: str
    versions: int = 0
    changes: int = 0
    returned: int = 0
    complete: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """What the registry has between two versions that were seen, newest first, and the number of the later one."""

    after: int
    entries: tuple[Entry, ...]


def own_day(study: Study, entry: Entry) -> str:
    """Return the day (ISO) since when a historic version held: when it was posted, or else submitted."""
    posted = history.posted_day(study)
    return posted if is_day(posted) else entry.submitted


@dataclass(slots=True)
class _Recorder:
    """Records the history of one study, inside a page."""

    writer: Writer
    nct_id: str
    seen: str
    phrases: dict[str, str]
    versions: int = 0

    def study(self, entry: Entry) -> Study:
        """Return what a version said, as the API would have said it."""
        answer = self.writer.answer(self.nct_id, entry.number)
        found: Study = seam.phrased(history.study_of(self.nct_id, entry.number, answer), self.phrases)
        return found

    def version(self, entry: Entry, study: Study, place: int, before: Version | None, latest: str) -> Version:
        """Return the version that an entry is at a place; its day is between that of the one before and ``latest``."""
        posted = history.posted_day(study)
        date = min(max(own_day(study, entry), before.date if before else ""), latest)
        return Version(
            nct_id=self.nct_id,
            number=place,
            registry_version=entry.number,
            date=date,
            not_before=before.date if before else None,
            load=date,
            posted=posted if is_day(posted) else None,
            seen=self.seen,
            origin=Origin.HISTORY,
            fingerprint=fingerprint(study),
        )

    def fill(self, entries: Sequence[Entry], place: int, following: Version, before: Version | None) -> tuple[Version, Study]:
        """Put versions, oldest first, before ``following``, from a place on; return the last of them and its content."""
        self.writer.shift(self.nct_id, place, len(entries))
        for number, entry in enumerate(entries, place):
            study = self.study(entry)
            before = self.version(entry, study, number, before, following.date)
            self.writer.insert(before, study)
        self.versions += len(entries)
        self.writer.join_up(self.nct_id, place + len(entries))
        assert before is not None  # noqa: S101 - nobody fills with nothing
        return before, study


def record_history(
    writer: Writer,
    nct_id: str,
    listed: Sequence[Entry],
    front: Sequence[Entry],
    gaps: Sequence[Gap],
    *,
    now: Callable[[], datetime],
    baseline_fields: BaselineFields,
) -> Backfilled:
    """Record in one transaction what was fetched of a study's history, and return what came of it.

    ``front`` are the versions before the first one known, ``gaps`` those between what was seen, both newest first and their answers kept.
    The last historic version is the first seen one where the two say the same: then it only gets its number. Raises HistoryChanged,
    RecordError, StoreError; then nothing is kept.
    """
    known = writer.history(nct_id)
    seen = instant(now())
    with writer.page():
        writer.check_seals(nct_id)
        recorder = _Recorder(writer, nct_id, seen, dict(known.phrases) if known else {})
        for gap in gaps:
            chain = writer.versions(nct_id)
            recorder.fill(gap.entries[::-1], gap.after, chain[gap.after - 1], chain[gap.after - 2])
        _put_before(recorder, front, is_first=known is None or known.oldest is None)
        writer.reseal(nct_id)
        # Facts of what was seen are derived anew too: how often a date slipped, for one, is counted from the beginning.
        made = rebuild_study(writer, nct_id, baseline_fields, older=False)
        numbers = [entry.number for entry in front]
        oldest = min(numbers, default=known.oldest if known else None)
        newest = known.newest if known and known.newest is not None else max(numbers, default=None)
        complete = oldest is None or not any(entry.was_posted for entry in listed[:oldest])
        writer.set_history(History(nct_id, len(listed), oldest, newest, complete, seen, recorder.phrases))
        # Of a wider backfill that was interrupted more may be kept than was wanted now.
        writer.forget_answers(nct_id, None if complete else [*numbers, *(entry.number for gap in gaps for entry in gap.entries)])
    returned = sum(not entry.was_posted for entry in listed[oldest or 0 : (newest or 0) + 1])
    return Backfilled(nct_id, recorder.versions, made.added, returned, complete)


def _put_before(recorder: _Recorder, front: Sequence[Entry], *, is_first: bool) -> None:
    """Put versions, newest first, before the first known one; ``is_first`` asks whether the newest of them is that one."""
    writer, nct_id = recorder.writer, recorder.nct_id
    first = writer.versions(nct_id)[0]
    content = writer.study(nct_id, version=1)
    entries = list(front)
    if is_first and entries:
        newest = recorder.study(entries[0])
        recorder.phrases = seam.phrases(newest, content)
        if seam.is_same_version(seam.phrased(newest, recorder.phrases), content):
            writer.set_registry_version(first, entries[0].number)
            first = replace(first, registry_version=entries.pop(0).number)
    if not entries:
        return
    before, old = recorder.fill(entries[::-1], 1, first, None)
    posted, load = record.posted(content), first.load
    by_sponsor = is_day(posted) and posted != record.posted(old) and posted <= load
    date = first.date if first.origin is Origin.HISTORY else posted if by_sponsor and posted is not None else load
    writer.follow(replace(first, number=first.number + len(entries), date=date, not_before=before.date))
