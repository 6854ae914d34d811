"""A folder of study pages, kept up to date: what did not change is not written, and is not even made where nothing can have changed it.

The folder remembers its own files in ``.trialsync-site.json``, with a digest of each: a file that is not among them is never touched.
A page is the same as before where nothing but ``last_seen_at`` moved, which it does with every poll; the index says when everything was
last confirmed. A study that left the watch, or the registry, keeps its page, which goes on to say what is known of it.

It may be the whole registry: studies are gone through by number, one at a time, and what has to be known of all of them is a bit each.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Final

import orjson

from trialsync import __version__
from trialsync.errors import ExportError
from trialsync.model import Ended, nct_id
from trialsync.publish import site as site_text
from trialsync.publish.page import RULE
from trialsync.publish.site import About, Listed, Part, page_path
from trialsync.study.nct_set import NctSet
from trialsync.sync.export import clear_partials, replacing
from trialsync.sync.pages import lasting_page, look
from trialsync.sync.site_list import OWN_FILES, File, SiteList, digest_of, is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from trialsync.settings.sections import Site
    from trialsync.store.headlines import Headlines
    from trialsync.store.reader import Reader
    from trialsync.store.shown import Shown
    from trialsync.sync.site_list import Journal

CHANGED: Final = "changed.txt"
"""Which files the last run wrote or took away, a path a line."""

_EVERY: Final = 20
_NEW: Final = File()


@dataclass(frozen=True, slots=True)
class Written:
    """What a run did: how many pages there are, how many files it wrote or took away, and whether there is a sitemap."""

    pages: int
    changed: int
    has_sitemap: bool


def write_site(
    reader: Reader,
    folder: Path,
    site: Site,
    *,
    watches: Sequence[str] = (),
    studies: Sequence[str] = (),
    fresh: bool = False,
    told: Callable[[int, int | None], None] | None = None,
    every: int = _EVERY,
) -> Written:
    """Write the pages of all studies, of those in watches, or of some, and what belongs to them; return what was written.

    Who ever was in one of the watches, or has a page here already, has a page. ``fresh`` writes the pages too on which nothing but
    ``last_seen_at`` moved. ``told`` hears of the pages made, ``every`` so many, and of how many there will be. What a run that was broken
    off did is not done again. Raises ExportError where the folder can't be written, or a file of somebody else's is in the way;
    UnknownWatch, UsageError, StoreDamaged.
    """
    followed, ever = reader.members(watches), reader.members(watches, ever=True)
    if studies:
        named = NctSet(map(nct_id, studies))
        followed, ever = followed & named, ever & named
    for number in studies:
        reader.headlines(number)
    with _held(folder):
        listing = SiteList(folder)
        numbers = ever | NctSet(number for number in listing.pages - ever if reader.has(number))
        desk = _Desk(folder, listing, numbers, is_mapped=bool(site.base_url))
        with listing.journal() as journal:
            index = _Index(desk, _about(reader, watches, site), numbers)
            walk = _Walk(reader, site, desk, journal, fresh=fresh)
            pages = walk.pages(listing, numbers, followed, index, _Every(told, every, len(numbers)))
            if site.base_url:
                for name, text in site_text.sitemaps(site.base_url, chain([("index.html", index.about.confirmed)], pages)):
                    desk.put(name, text)
            for _ in pages:
                pass
            index.end()
            desk.end(walk.written, journal)
        return Written(len(numbers), len(desk.changed) + len(walk.written), bool(site.base_url))


class _Walk:
    """All pages, by number: those that may say something else are made, and written where they do."""

    def __init__(self, reader: Reader, site: Site, desk: _Desk, journal: Journal, *, fresh: bool) -> None:
        self._reader = reader
        self._site = site
        self._desk = desk
        self._journal = journal
        self._fresh = fresh
        self._made_by = [RULE, __version__, site.base_url, site.note, site.baseline]
        self.written = NctSet()

    def pages(
        self, listing: SiteList, numbers: NctSet, followed: NctSet, index: _Index, count: Callable[[], None]
    ) -> Iterator[tuple[str, str | None]]:
        """Yield the path of each study's page, as it stands then, with the instant that it names as ``last_seen_at``."""
        shown = self._reader.shown()
        for number, before in listing.files():
            after = before
            if number in numbers:
                count()
                row = self._reader.headlines(number)
                index.add(row, followed=number in followed)
                after = self._kept_up(row, before, shown)
                yield page_path(number), after.last_seen
            # A page of a study that the store has lost stays.
            if after.untold:
                self.written.add(number)
                after = replace(after, untold=False)
            self._journal.put(page_path(number), after)

    def _kept_up(self, row: Headlines, before: File, shown: Shown) -> File:
        """Write a study's page where it says something else, or, if it has to be fresh, was confirmed since; return what is there now."""
        sealed = self._reader.sealed(row.nct_id)
        last_seen = shown.last_seen(row.nct_id) or sealed.seen
        day = last_seen[:10]
        basis = _digest(orjson.dumps([*self._made_by, row.presence, row.merged_into, sealed.seals]))
        path = page_path(row.nct_id)
        stands = self._desk.stands(path, before) and not (self._fresh and before.last_seen != last_seen)
        if stands and basis == before.basis and (before.since or day) <= day <= (before.until or day):
            return before
        page = lasting_page(self._reader, look(self._reader, row.nct_id, shown=shown), self._site)
        digest = digest_of(page.text.encode(), last_seen)
        if stands and digest == before.digest:
            return replace(before, basis=basis, since=day, until=page.until)
        # What is written and not noted is the page behind the last one that is: a run that is broken off here knows which.
        self._journal.settle()
        size = self._desk.write(path, [page.text])[1]
        return File(digest, size, last_seen, basis, day, page.until, untold=True)


class _Every:
    """Counts, and tells now and then."""

    def __init__(self, told: Callable[[int, int | None], None] | None, every: int, total: int) -> None:
        self._told = told
        self._every = every
        self._total = total
        self._done = 0

    def __call__(self) -> None:
        """Count one."""
        if self._told is not None and self._done % self._every == 0:
            self._told(self._done, self._total)
        self._done += 1


class _Desk:
    """Where files are compared with what stands in the folder, and written where they differ."""

    def __init__(self, folder: Path, listing: SiteList, numbers: NctSet, *, is_mapped: bool) -> None:
        self._folder = folder
        self._now: dict[str, File] = {}
        self.changed: list[str] = []
        names = [*_index_names(numbers), *(site_text.sitemap_names(len(numbers) + 1) if is_mapped else ()), CHANGED]
        foreign = (name for name in names if name not in listing.others)
        for name in chain(foreign, map(page_path, numbers - listing.pages)):
            if os.path.lexists(folder / name):
                raise ExportError(f"{folder / name} is no file of this site", hint="move it away, or name another folder")
        (folder / "trials").mkdir(exist_ok=True)
        clear_partials(folder, lambda name: name == OWN_FILES or is_own(name))
        clear_partials(folder / "trials", lambda name: is_own(f"trials/{name}"))
        listing.claim(names, numbers)
        self._known = listing.others

    def put(self, name: str, text: str) -> None:
        """Write a file that is no page where it says something else."""
        self._now[name] = self._put(name, [text], self.changed)

    def stands(self, name: str, file: File) -> bool:
        """Return whether a file is there, as long as it was written: somebody may have removed or cut it."""
        try:
            return (self._folder / name).stat().st_size == file.bytes
        except OSError:
            return False

    def write(self, name: str, pieces: Iterable[str]) -> tuple[str, int]:
        """Write a file, made of pieces; return a digest of it, and its size in bytes."""
        digest, size = blake2b(digest_size=16), 0
        with replacing(self._folder / name, clear=False) as partial, partial.open("wb") as file:
            for piece in pieces:
                text = piece.encode()
                digest.update(text)
                size += file.write(text)
        return digest.hexdigest(), size

    def end(self, pages: NctSet, journal: Journal) -> None:
        """Take away what belonged to the site and does not any more, tell what was changed, the ``pages`` last, and note the rest."""
        for name in self._known.keys() - self._now.keys() - {CHANGED}:
            # A sitemap, where the site has no address any more; parts of an index that is one again.
            if (self._folder / name).exists():
                (self._folder / name).unlink()
                self.changed.append(name)
        self.changed.sort()
        self._now[CHANGED] = self._put(CHANGED, _Lines(self.changed, pages), [])
        for name, file in sorted(self._now.items()):
            journal.put(name, file)

    def _put(self, name: str, pieces: Iterable[str], changed: list[str]) -> File:
        before = self._known.get(name, _NEW)
        digest = blake2b(digest_size=16)
        for piece in pieces:
            digest.update(piece.encode())
        if digest.hexdigest() == before.digest and self.stands(name, before):
            return before
        changed.append(name)
        return File(*self.write(name, pieces))


@dataclass(frozen=True, slots=True)
class _Lines:
    """Paths, a line each: those of ``names``, then those of pages."""

    names: Sequence[str]
    pages: NctSet

    def __iter__(self) -> Iterator[str]:
        return (f"{name}\n" for name in chain(self.names, map(page_path, self.pages)))


class _Index:
    """The index: of many studies in parts, each written as soon as all of its studies are known."""

    def __init__(self, desk: _Desk, about: About, numbers: NctSet) -> None:
        self.about = about
        self._desk = desk
        self._studies = len(numbers)
        self._length = site_text.part_length(numbers)
        self._listed: list[Listed] = []
        self._parts: list[Part] = []

    def add(self, row: Headlines, *, followed: bool) -> None:
        """Take a study; they come by number."""
        if self._length and self._listed and self._listed[0].nct_id[: self._length] != row.nct_id[: self._length]:
            self._end_part()
        self._listed.append(
            Listed(row.nct_id, row.title, row.overall_status, row.sponsor, row.posted, row.presence, row.merged_into, followed=followed)
        )

    def end(self) -> None:
        """Write what stands before all, once every study is known."""
        if self._length:
            self._end_part()
            self._desk.put("index.md", site_text.parts_markdown(self.about, self._parts))
            self._desk.put("index.html", site_text.parts_html(self.about, self._parts))
        else:
            self._desk.put("index.md", site_text.index_markdown(self.about, self._listed))
            self._desk.put("index.html", site_text.index_html(self.about, self._listed))
        self._desk.put("llms.txt", site_text.llms_txt(self.about, self._studies, self._length))

    def _end_part(self) -> None:
        name = self._listed[0].nct_id[: self._length]
        markdown, html = site_text.part_paths(name)
        self._desk.put(markdown, site_text.part_markdown(self.about, name, self._listed))
        self._desk.put(html, site_text.part_html(self.about, name, self._listed))
        self._parts.append(site_text.part_of(name, self._listed))
        self._listed = []


def _index_names(numbers: NctSet) -> Iterator[str]:
    yield from ("index.md", "index.html", "llms.txt")
    if length := site_text.part_length(numbers):
        for name in dict.fromkeys(number[:length] for number in numbers):
            yield from site_text.part_paths(name)


def _about(reader: Reader, watches: Sequence[str], site: Site) -> About:
    complete = [poll for poll in reader.polls() if poll.ended is Ended.COMPLETE and (not watches or poll.watch in watches)]
    seen = [row.seen for row in reader.watches() if row.seen and (not watches or row.name in watches)]
    return About(
        name=f"ClinicalTrials.gov: {', '.join(watches)}" if watches else "ClinicalTrials.gov",
        load=max((poll.load for poll in complete if poll.load), default=None),
        confirmed=max((poll.finished for poll in complete if poll.finished), default=None),
        base_url=site.base_url,
        note=site.note,
        seen_since=min((each.oldest for each in seen if not each.at_once), default=None),
    )


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder for one run, making it where it is not there; tell what the system says against writing there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ExportError(f"{folder} can't be a folder of pages: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportError(f"another process writes the pages in {folder}", hint="wait for it to end") from None
        yield
    except OSError as error:
        raise ExportError(f"{folder} can't be written: {error.strerror or error}") from error
    finally:
        os.close(handle)


def _digest(text: bytes) -> str:
    return blake2b(text, digest_size=8).hexdigest()
