"""The registry's bulk download into the store: what an import of it does, with the reading left to other processes.

Of each study they bring back what is asked first: its number, the digest of its bytes, and, where the store does not have just this, all
that a first version is made of. The record itself is read here only where it differs from what the store has.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from trialsync.errors import FileError, RecordError
from trialsync.model import Ended, Origin, Poll, Study, instant, is_day
from trialsync.registry import query
from trialsync.registry.bulk import BulkZip
from trialsync.registry.files import BadRecord, study_in
from trialsync.registry.sources import shown
from trialsync.study import record
from trialsync.study.fingerprint import bytes_digest, load_label
from trialsync.study.nct_set import NctSet
from trialsync.sync.arrivals import Joining, Receiver, Unread
from trialsync.sync.garbage import few_collections
from trialsync.sync.moved import plan
from trialsync.sync.poll import finish
from trialsync.sync.ready import Crew, Ready, ready
from trialsync.sync.repeats import once_a_load
from trialsync.sync.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from trialsync.model import Progress, Slice, Watch
    from trialsync.registry.bulk import BulkEntry
    from trialsync.store.writer import Writer
    from trialsync.study.diff import BaselineFields
    from trialsync.sync.poll import Outcome

PAGE_STUDIES: Final = 500
"""More than from other files: a page's pages of the indexes are written once, and here the next page is never long in coming."""

LARGEST: Final = 1 << 26
"""The most bytes of a record here; the largest of the registry's has 3.6 million."""


_PARTS_AT_ONCE: Final = 16
"""Of so many parts of a watch the studies are looked up together: each look goes through the whole watch."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What a process says of one entry: the study's number, the digest of its bytes, its load; made ready where that is worth it."""

    nct_id: str
    digest: bytes | None
    load: str | None
    ready: Ready | None


@dataclass(frozen=True, slots=True)
class Whole:
    """The watch that the download is all of; swept anew within ``sweep_days`` from then on."""

    watch: Watch
    sweep_days: int = 7

    def joining(self, writer: Writer) -> Joining:
        """Return how the files' studies join the watch, which is written down with it."""
        asked = query.canonical(self.watch)
        last = writer.last_complete(self.watch.name)
        writer.save_watch(self.watch, asked)
        shown = last.poll.load if last is not None else None
        return Joining(
            self.watch.name,
            writer.members(self.watch.name),
            last is not None and last.query == asked,
            shown,
            shown,
            shown,
            writer.begun_by_import(self.watch.name, asked),
        )

    def slices(self, writer: Writer, load: str, unseen: NctSet) -> list[Slice]:
        """Return the parts of the watch, shown by a load but for those with a member that is among ``unseen``: they are to be swept."""
        parts = plan(writer.members_posted(self.watch.name), self.sweep_days)
        if not unseen:
            return [replace(part, swept=load) for part in parts]
        # Not all at once: together they hold a text for each study of the registry.
        some = [parts[start : start + _PARTS_AT_ONCE] for start in range(0, len(parts), _PARTS_AT_ONCE)]
        members = (members for each in some for members, _ in writer.members_in(self.watch.name, each))
        return [replace(part, swept=load) if unseen.isdisjoint(those) else part for part, those in zip(parts, members, strict=True)]


def load_bulk(
    path: Path,
    *,
    writer: Writer,
    now: Callable[[], datetime],
    baseline: BaselineFields = "core",
    whole: Whole | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Record the registry's bulk download and return how it ended.

    A record stands for the load that it names, else for its posted date. Where nothing is left out and all is of one load, none before
    that of the watch's last complete poll, it counts as a poll of the watch that it is all of (``whole``), to be gone on from by what
    moves; members that it does not show are looked for by the next one. ``progress`` is told the studies done, and all that the
    zip has. Where the
    zip is cut off, damaged, or not what it was a moment ago, the outcome has the FileError, and what was recorded before it is kept.
    Raises StoreError.
    """
    started = instant(now())
    asked = query.canonical(whole.watch) if whole is not None else None
    poll_id = writer.begin_poll(watch=None, origin=Origin.IMPORT, load=None, data_timestamp=None, query=asked, started=started)
    tally, loads = Tally(), dict[str, NctSet]()
    joining = whole.joining(writer) if whole is not None else None
    receiver = Receiver(writer, Origin.IMPORT, started, baseline, tally, joining)
    error: FileError | None = None
    try:
        with _reading(path):
            count = _count(path)
        done = 0
        with few_collections(), Crew() as crew:
            for entries, looked in _looked_at(path, crew, writer, baseline):
                arrivals = [
                    replace(arrival, again=arrival.nct_id in loads.get(arrival.load, ()))
                    for arrival in once_a_load(_arrivals(path, entries, looked, tally), tally)
                ]
                before = tally.unchanged
                receiver.page(arrivals)
                for arrival in arrivals:
                    loads.setdefault(arrival.load, NctSet()).add(arrival.nct_id)
                if progress is not None:
                    done += len(entries)
                    progress(done, count, "already in the store" if tally.unchanged - before == len(entries) else "")
    except FileError as failure:
        error = failure
        # The page under way was not kept; what it would have confirmed is not told apart from what the pages before it did.
        tally.seen.clear()
    stands_for = max(loads, default="")
    tally.seen &= loads.get(stands_for, NctSet())
    row = Poll(poll_id, None, Origin.IMPORT, stands_for or None, None, started, None, None)
    ended = Ended.COMPLETE if error is None else Ended.PARTIAL if tally.studies else Ended.FAILED
    is_whole = error is None and not tally.skipped and len(loads) == 1
    if whole is not None and joining is not None and is_whole and stands_for >= (joining.oldest or ""):
        row = replace(row, watch=whole.watch.name)
        tally.slices = whole.slices(writer, stands_for, joining.members - tally.seen)
    return finish(row, ended, tally, error, writer=writer, now=now, previous_load=joining.oldest if joining is not None else None)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell what reading a zip raises, which was whole when it was looked at first, as what happened to the file."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{shown(path)} cannot be read on: {error.strerror or error}", hint="the same import again goes on fast") from error
    except (zipfile.BadZipFile, zlib.error) as error:
        raise FileError(f"{shown(path)} is a zip with a damaged directory: {error}", hint="download it again") from error


def _count(path: Path) -> int:
    with path.open("rb") as stream:
        return BulkZip(stream).count


def _looked_at(
    path: Path, crew: Crew, writer: Writer, baseline: BaselineFields
) -> Iterator[tuple[list[BulkEntry], list[Looked | BadRecord]]]:
    """Yield the zip's entries by number, a page at a time, with what the processes say of them; the next pages are under way meanwhile."""
    waiting: deque[tuple[list[BulkEntry], Callable[[], list[Looked | BadRecord]]]] = deque()
    with _reading(path), path.open("rb") as stream:
        for page in _pages(BulkZip(stream).by_number()):
            digests = {known.nct_id: known.bytes_digest for known in writer.known(entry.nct_id for entry in page).values()}
            waiting.append((page, crew.begin(look_at, path, page, digests, baseline)))
            if len(waiting) > crew.depth:
                begun, result = waiting.popleft()
                yield begun, result()
        for begun, result in waiting:
            yield begun, result()


def _pages(entries: Iterator[BulkEntry]) -> Iterator[list[BulkEntry]]:
    """Yield entries a page at a time, those of one number together unless they are very many."""
    page: list[BulkEntry] = []
    for entry in entries:
        if len(page) >= 2 * PAGE_STUDIES or (len(page) >= PAGE_STUDIES and page[-1].nct_id != entry.nct_id):
            yield page
            page = []
        page.append(entry)
    if page:
        yield page


def look_at(path: Path, entries: list[BulkEntry], known: Mapping[str, bytes | None], fields: BaselineFields) -> list[Looked | BadRecord]:
    """Return what there is to say of some entries; ``known`` has the digests of what the store holds, by number."""
    with path.open("rb") as stream:
        archive = BulkZip(stream)
        return [_look(archive, path, entry, known, fields) for entry in entries]


def _look(archive: BulkZip, path: Path, entry: BulkEntry, known: Mapping[str, bytes | None], fields: BaselineFields) -> Looked | BadRecord:
    where = f"{path}, {entry.name}"
    if entry.size > LARGEST:
        return BadRecord(where, f"would have {entry.size:,} bytes unpacked, and no study has that many")
    try:
        raw = archive.open(entry).read().strip()
    except (zipfile.BadZipFile, zlib.error) as error:
        return BadRecord(where, f"is damaged: {error}")
    number, digest = entry.nct_id, bytes_digest(raw)
    is_same = digest is not None and digest == known.get(number)
    if is_same and is_day(label := load_label(raw)):
        return Looked(number, digest, label, None)
    found = study_in(raw, where)
    if isinstance(found, BadRecord):
        return found
    load = next((day for day in (record.load(found.study), record.posted(found.study)) if is_day(day)), None)
    try:
        return Looked(record.check(found.study), digest, load, None if is_same else ready(found.study, fields, found.compact))
    except RecordError as error:
        return BadRecord(where, error.message)


def _arrivals(path: Path, entries: list[BulkEntry], looked: list[Looked | BadRecord], tally: Tally) -> Iterator[Unread]:
    for entry, each in zip(entries, looked, strict=True):
        where = f"{path}, {entry.name}"
        if isinstance(each, BadRecord):
            tally.skipped.append(each.sentence)
        elif each.load is None:
            tally.skipped.append(f"{where}: the record names no load and no posted date (--load DATE says which)")
        else:
            yield Unread(each.nct_id, each.digest, each.load, where, each.ready, partial(_study, path, entry))


def _study(path: Path, entry: BulkEntry) -> Study:
    with _reading(path), path.open("rb") as stream:
        found = study_in(BulkZip(stream).open(entry).read(), f"{path}, {entry.name}")
        if isinstance(found, BadRecord):
            raise zipfile.BadZipFile(f"{entry.name} was another file before")
    return found.study
