"""The registry's own history of a study, put before what was polled: as if somebody had polled it from its first day on.

What is fetched is kept as it comes, so that an interruption loses one answer at most; a study is recorded in one transaction once all that
is wanted of it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from trialsync.errors import HistoryChanged, RecordError, RegistryError, RegistryUnavailable, Stopped, StudyNotFound
from trialsync.model import Origin, Watch, is_day
from trialsync.registry import history
from trialsync.registry.answers import number_of
from trialsync.study import record, seam
from trialsync.sync.past import Backfilled, Gap, own_day, record_history
from trialsync.sync.poll import Policy, poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from trialsync.errors import TrialsyncError
    from trialsync.model import Study, Version
    from trialsync.registry.client import Registry
    from trialsync.registry.history import Entry
    from trialsync.store.history_writer import History
    from trialsync.store.writer import Writer

T = TypeVar("T")
log = structlog.get_logger()

_IN_VAIN: Final = 2
"""After so many studies in a row without a usable answer the registry counts as unavailable, and the rest is not tried."""

USUAL_VERSIONS: Final = 7
"""How many versions a study has: 150 studies taken at random had 973."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much history is wanted: all of it, or the versions that held on a day (ISO) or later, or the newest ``latest``.

    ``gaps`` also fills in what lies between polls.
    """

    since: str | None = None
    latest: int | None = None
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a backfill ended: what came of each study, in their order; ``stopped`` is what ended it before the last one."""

    studies: tuple[Backfilled, ...]
    requests: int
    stopped: RegistryError | Stopped | None = None


def cost(writer: Writer, nct_ids: Sequence[str], extent: Extent) -> int:
    """Return about how many requests a backfill of these studies will take, before anything was asked."""
    requests = 0
    for nct_id in nct_ids:
        known = writer.history(nct_id)
        versions = USUAL_VERSIONS if known is None else known.oldest or 0
        requests += 1 + (versions if extent.latest is None else min(versions, extent.latest))
    return requests


def backfill(
    nct_ids: Sequence[str],
    *,
    registry: Registry,
    writer: Writer,
    now: Callable[[], datetime],
    policy: Policy,
    extent: Extent,
    progress: Callable[[int, int | None], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Put the registry's history of these studies into the store, and return what came of each.

    A study that the store does not have is polled first, once, so that its history has something to lead to. What fails for one study is
    told in its ``error`` and keeps no other one waiting; where the registry can't be reached at all the rest is not tried. ``progress`` is
    told the requests done and those that it will take, as far as the lists tell; ``stop`` is asked between requests. Raises StoreError.
    """
    before = registry.requests
    done: list[Backfilled] = []
    stopped: RegistryError | Stopped | None = None
    work = _Work(registry, writer, now, policy, extent, stop or (lambda: False), progress, before, cost(writer, nct_ids, extent))
    try:
        work.poll_unknown(nct_ids)
        done.extend(work.study(nct_id) for nct_id in dict.fromkeys(nct_ids))
    except (RegistryError, Stopped) as failure:
        stopped = failure
    return Outcome(tuple(done), registry.requests - before, stopped)


@dataclass(slots=True)
class _Work:
    """One backfill: what it works with, and how far it is. ``due`` counts the requests that it will take, as far as is known."""

    registry: Registry
    writer: Writer
    now: Callable[[], datetime]
    policy: Policy
    extent: Extent
    stop: Callable[[], bool]
    progress: Callable[[int, int | None], None] | None
    before: int
    due: int
    in_vain: int = 0

    def poll_unknown(self, nct_ids: Sequence[str]) -> None:
        """Poll the studies that the store does not have yet, in one pass that follows none of them."""
        known = self.writer.known(nct_ids)
        unknown = tuple(dict.fromkeys(each for each in nct_ids if each not in known))
        if unknown:
            name = unknown[0] if len(unknown) == 1 else f"{len(unknown)} studies"
            outcome = poll(
                Watch(name, nct_ids=unknown),
                registry=self.registry,
                writer=self.writer,
                now=self.now,
                policy=self.policy,
                followed=False,
                stop=self.stop,
            )
            if isinstance(outcome.error, RegistryError | Stopped):
                raise outcome.error

    def study(self, nct_id: str) -> Backfilled:
        """Backfill one study; what is wrong with it alone is in the answer. Raises RegistryError where the registry can't be reached."""
        try:
            if not self.writer.known([nct_id]):
                nct_id = self._canonical(nct_id)
            with structlog.contextvars.bound_contextvars(nct_id=nct_id):
                found = self._history(nct_id)
        except RegistryUnavailable as error:
            self.in_vain += 1
            if self.in_vain == _IN_VAIN:
                raise
            return _failed(nct_id, error)
        except (HistoryChanged, StudyNotFound, RecordError) as error:
            return _failed(nct_id, error)
        self.in_vain = 0
        log.info("backfill.study", nct_id=nct_id, versions=found.versions, changes=found.changes, complete=found.complete)
        return found

    def _canonical(self, nct_id: str) -> str:
        """Return the number of the study that a number became an alias of. Raises StudyNotFound where the registry has no such study."""
        number = number_of(self._ask(partial(self.registry.study, nct_id)).study)
        if number is None or not self.writer.known([number]):
            raise StudyNotFound(f"the registry gives no record for {nct_id} that can be used", hint="trialsync sync says why")
        return number

    def _history(self, nct_id: str) -> Backfilled:
        known = self.writer.history(nct_id)
        guessed = cost(self.writer, [nct_id], self.extent)
        before = self.registry.requests
        listed = self._ask(partial(history.entries, self.registry, nct_id))
        chain = self.writer.versions(nct_id)
        front = self._front(nct_id, listed, chain, known)
        asked = self.registry.requests - before
        gaps = list(_gaps(self.writer, nct_id, listed, chain)) if self.extent.gaps else []
        self.due += asked + len(front) + sum(len(gap.entries) for gap in gaps) - guessed
        fetched = self._fetch(nct_id, front, self.extent.since)
        for gap in gaps:
            self._fetch(nct_id, gap.entries)
        if known is not None and not fetched and not gaps:
            return Backfilled(nct_id, complete=known.complete)
        return record_history(self.writer, nct_id, listed, fetched, gaps, now=self.now, baseline_fields=self.policy.baseline)

    def _front(self, nct_id: str, listed: Sequence[Entry], chain: Sequence[Version], known: History | None) -> list[Entry]:
        """Return the versions before the first one that was seen which are wanted and not recorded, newest first."""
        first = next(version for version in chain if version.origin is not Origin.HISTORY)
        seen = self.writer.study(nct_id, version=first.number)
        submitted = history.submitted_day(seen)
        until = submitted if is_day(submitted) else first.posted or first.load
        front = [entry for entry in reversed(listed) if entry.submitted <= until and entry.was_posted]
        if known is None or known.newest is None:
            front = self._from_first(nct_id, front, seen)
        else:
            front = [entry for entry in front if entry.number <= known.newest]
        if self.extent.latest is not None:
            front = front[: self.extent.latest]
        if known is not None and known.oldest is not None:
            front = [entry for entry in front if entry.number < known.oldest]
            if self.extent.since is not None and chain[0].date <= self.extent.since:
                return []
        return front

    def _from_first(self, nct_id: str, front: list[Entry], seen: Study) -> list[Entry]:
        """Return these versions, newest first, without those that came after the first one that was seen.

        The list has the day of submission alone, and of one day there may be several: which of them was seen is told by what they say, and
        else by the days on which they were posted.
        """
        posted, later = record.posted(seen), 0
        for place, entry in enumerate(front):
            self._fetch(nct_id, [entry])
            study = history.study_of(nct_id, entry.number, self.writer.answer(nct_id, entry.number))
            if seam.is_same_version(seam.phrased(study, seam.phrases(study, seen)), seen):
                return front[place:]
            day = history.posted_day(study)
            if is_day(day) and is_day(posted) and day > posted:
                later = place + 1
            elif place + 1 == len(front) or front[place + 1].submitted != entry.submitted:
                break
        return front[later:]

    def _fetch(self, nct_id: str, entries: Sequence[Entry], since: str | None = None) -> list[Entry]:
        """Fetch versions, newest first, but for those that are kept; return them, down to the one that held on the day ``since``."""
        kept = self.writer.kept_answers(nct_id)
        fetched: list[Entry] = []
        for entry in entries:
            if entry.number in kept:
                self.due -= 1
            else:
                answer = self._ask(partial(history.content, self.registry, nct_id, entry.number))
                self.writer.keep_answer(nct_id, entry.number, answer)
            fetched.append(entry)
            if since is not None:
                study = history.study_of(nct_id, entry.number, self.writer.answer(nct_id, entry.number))
                if own_day(study, entry) <= since:
                    break
        self.due -= len(entries) - len(fetched)
        return fetched

    def _ask(self, request: Callable[[], T]) -> T:
        if self.stop():
            raise Stopped
        found = request()
        if self.progress is not None:
            done = self.registry.requests - self.before
            self.progress(done, max(done, self.due))
        return found


def _failed(nct_id: str, error: TrialsyncError) -> Backfilled:
    log.warning("backfill.failed", nct_id=nct_id, why=str(error))
    return Backfilled(nct_id, error=str(error))


def _gaps(writer: Writer, nct_id: str, listed: Sequence[Entry], chain: Sequence[Version]) -> Iterator[Gap]:
    """Yield what the registry has between two versions that were polled or imported, where nothing of history stands yet; latest first."""
    for before, after in reversed(list(pairwise(chain))):
        if Origin.HISTORY in {before.origin, after.origin}:
            continue
        low, high = (history.submitted_day(writer.study(nct_id, version=each.number)) for each in (before, after))
        if not (is_day(low) and is_day(high)):
            continue
        entries = tuple(entry for entry in reversed(listed) if low < entry.submitted < high and entry.was_posted)
        if entries:
            yield Gap(after.number, entries)
