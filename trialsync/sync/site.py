"""A folder of study pages, kept up to date: what did not change is not written.

The folder remembers its own files in ``.trialsync-site.json``, with a digest of each: a file that is not among them is never touched.
A page is the same as before where nothing but ``last_seen_at`` moved, which it does with every poll; the index says when everything was
last confirmed. A study that left the watch, or the registry, keeps its page, which goes on to say what is known of it.
"""

from __future__ import annotations

import fcntl
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync import __version__
from trialsync.errors import ExportError
from trialsync.model import Ended, nct_id
from trialsync.publish.page import front_matter_value
from trialsync.publish.site import About, Listed, index_html, index_markdown, llms_txt, page_path, sitemaps
from trialsync.sync.export import clear_partials, replacing
from trialsync.sync.pages import look, page_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from trialsync.settings.sections import Site
    from trialsync.store.reader import Reader

OWN_FILES: Final = ".trialsync-site.json"
"""Where a site remembers its files."""

CHANGED: Final = "changed.txt"
"""Which files the last run wrote or took away, a path a line."""

_OWN: Final = re.compile(r"index\.md|index\.html|llms\.txt|changed\.txt|sitemap(-\d+)?\.xml|trials/NCT\d{8}\.md", re.ASCII)
_EVERY: Final = 20


@dataclass(frozen=True, slots=True)
class Written:
    """What a run did: how many pages there are, which files it wrote or took away (paths), and whether there is a sitemap."""

    pages: int
    changed: tuple[str, ...]
    has_sitemap: bool


@dataclass(frozen=True, slots=True)
class _File:
    """A file as it was last written: a digest of what it says, its size, and of a page the instant that it names as ``last_seen_at``."""

    digest: str | None = None
    bytes: int | None = None
    last_seen: str | None = None


def write_site(
    reader: Reader,
    folder: Path,
    site: Site,
    *,
    watches: Sequence[str] = (),
    studies: Sequence[str] = (),
    fresh: bool = False,
    told: Callable[[int, int | None], None] | None = None,
) -> Written:
    """Write the pages of all studies, of those in watches, or of some, and what belongs to them; return what was written.

    Who ever was in one of the watches, or has a page here already, has a page. ``fresh`` writes the pages too on which nothing but
    ``last_seen_at`` moved. ``told`` hears of the pages made and of how many there will be. Raises ExportError where the folder can't be
    written, or a file of somebody else's is in the way; UnknownWatch, UsageError, StoreDamaged.
    """
    followed = [number for number in reader.members(watches) if not studies or number in studies]
    for number in studies:
        reader.headlines(number)
    with _held(folder):
        known = _own_files(folder)
        ever = [number for number in reader.members(watches, ever=True) if not studies or number in studies]
        here = [path.removeprefix("trials/").removesuffix(".md") for path in known if path.startswith("trials/")]
        # A number is part of a path: nothing but a number may be.
        numbers = sorted({nct_id(number) for number in (*ever, *(number for number in here if reader.has(number)))})
        desk = _Desk(folder, known, _planned(numbers, site))
        about, listed = _about(reader, watches, site), _listed(reader, numbers, set(followed))
        shown = reader.shown()
        for done, number in enumerate(numbers):
            if told is not None and done % _EVERY == 0:
                told(done, len(numbers))
            sight = look(reader, number, shown=shown)
            desk.put_page(page_path(number), page_of(reader, sight, site), sight.last_seen, fresh=fresh)
        desk.put("index.md", index_markdown(about, listed))
        desk.put("index.html", index_html(about, listed))
        desk.put("llms.txt", llms_txt(about, listed))
        if site.base_url:
            for name, text in sitemaps(site.base_url, [("index.html", about.confirmed), *desk.pages()]):
                desk.put(name, text)
        desk.finish()
        return Written(len(numbers), tuple(desk.changed), bool(site.base_url))


class _Desk:
    """Where files are compared with what stands in the folder, and written where they differ."""

    def __init__(self, folder: Path, known: dict[str, _File], planned: Iterable[str]) -> None:
        self._folder = folder
        self._known = known
        self._now: dict[str, _File] = {}
        self.changed: list[str] = []
        names = [*planned, CHANGED]
        for name in names:
            if name not in known and os.path.lexists(folder / name):
                raise ExportError(f"{folder / name} is no file of this site", hint="move it away, or name another folder")
        (folder / "trials").mkdir(exist_ok=True)
        clear_partials(folder, lambda name: name == OWN_FILES or _OWN.fullmatch(name) is not None)
        clear_partials(folder / "trials", lambda name: _OWN.fullmatch(f"trials/{name}") is not None)
        # Named before they are there, so that a run that is broken off knows them for its own the next time.
        _write_own_files(folder, {**{name: _File() for name in names}, **known})

    def put_page(self, name: str, text: str, last_seen: str, *, fresh: bool) -> None:
        """Write a study's page where it says something else, or, if ``fresh``, was confirmed since."""
        stamp = f"last_seen_at: {front_matter_value(last_seen)}\n"
        before = self._known.get(name, _File())
        digest = _digest(text.replace(stamp, "", 1))
        if digest == before.digest and self._stands(name, before) and not (fresh and before.last_seen != last_seen):
            self._now[name] = before
            return
        self._write(name, text, digest, last_seen)

    def put(self, name: str, text: str) -> None:
        """Write a file where it says something else."""
        before = self._known.get(name, _File())
        digest = _digest(text)
        if digest == before.digest and self._stands(name, before):
            self._now[name] = before
        else:
            self._write(name, text, digest, None)

    def pages(self) -> list[tuple[str, str | None]]:
        """Return the paths of the studies' pages, each with the instant that it names as ``last_seen_at``."""
        return [(name, file.last_seen) for name, file in self._now.items() if name.startswith("trials/")]

    def finish(self) -> None:
        """Take away what belonged to the site and does not any more, and remember the rest."""
        for name in self._known.keys() - self._now.keys() - {CHANGED}:
            # A sitemap, where the site has no address any more; a page of a study that the store has lost stays.
            if name.startswith("trials/"):
                self._now[name] = self._known[name]
            elif (self._folder / name).exists():
                (self._folder / name).unlink()
                self.changed.append(name)
        self.changed.sort()
        text = "".join(f"{name}\n" for name in self.changed)
        before = self._known.get(CHANGED, _File())
        if _digest(text) == before.digest and self._stands(CHANGED, before):
            self._now[CHANGED] = before
        else:
            _replace(self._folder / CHANGED, text)
            self._now[CHANGED] = _File(_digest(text), len(text.encode()))
        _write_own_files(self._folder, self._now)

    def _stands(self, name: str, file: _File) -> bool:
        """Return whether a file is there, as long as it was written: somebody may have removed or cut it."""
        try:
            return (self._folder / name).stat().st_size == file.bytes
        except OSError:
            return False

    def _write(self, name: str, text: str, digest: str, last_seen: str | None) -> None:
        _replace(self._folder / name, text)
        self._now[name] = _File(digest, len(text.encode()), last_seen)
        self.changed.append(name)


def _planned(numbers: Iterable[str], site: Site) -> Iterator[str]:
    yield from ("index.md", "index.html", "llms.txt")
    pages = list(map(page_path, numbers))
    if site.base_url:
        # The names depend on how many pages there are, the index among them.
        yield from (name for name, _ in sitemaps(site.base_url, [("index.html", None), *((page, None) for page in pages)]))
    yield from pages


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


def _listed(reader: Reader, numbers: Iterable[str], followed: set[str]) -> list[Listed]:
    found = []
    for number in numbers:
        row = reader.headlines(number)
        found.append(
            Listed(
                number,
                row.title,
                row.overall_status,
                row.sponsor,
                row.posted,
                row.presence,
                row.merged_into,
                followed=number in followed,
            )
        )
    return found


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


def _own_files(folder: Path) -> dict[str, _File]:
    """Return the site's own files by path. Raises ExportError where the list is not one."""
    try:
        value: Any = orjson.loads((folder / OWN_FILES).read_bytes())
        # Whoever may have edited the list: nothing outside the folder is ever taken for the site's own.
        return {name: _File(**file) for name, file in value["files"].items() if _OWN.fullmatch(name)}
    except FileNotFoundError:
        return {}
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise ExportError(
            f"{folder / OWN_FILES} is damaged: it names no files", hint="remove the folder, or name another: all pages are written again"
        ) from None


def _write_own_files(folder: Path, files: dict[str, _File]) -> None:
    values = {name: {"digest": file.digest, "bytes": file.bytes, "last_seen": file.last_seen} for name, file in sorted(files.items())}
    text = orjson.dumps({"trialsync": __version__, "files": values}) + b"\n"
    path = folder / OWN_FILES
    if path.exists() and path.read_bytes() == text:
        return
    with replacing(path, clear=False) as partial, partial.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, text: str) -> None:
    with replacing(path, clear=False) as partial:
        partial.write_bytes(text.encode())


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()
