"""The list in which a folder of pages remembers its own files: read and written page by page, however many there are.

It is one JSON object, a file a line, the pages in the order of their numbers. While a run goes on it writes the next list beside it, in a
journal, which takes the list's place at the end. What a run that was broken off left of its journal is known to the next one: the pages in
it are not written again, and are named as changed, since no run has named them yet. What it may have written without noting it, the page
behind the last one in the journal and the files beside the pages, is read: nobody knows what it says, and its size may well be the same.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import orjson

from trialsync import __version__
from trialsync.errors import ExportError
from trialsync.publish.page import front_matter_value
from trialsync.publish.site import page_path
from trialsync.study.nct_set import NctSet
from trialsync.sync.export import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

OWN_FILES: Final = ".trialsync-site.json"
"""Where a site remembers its files."""

JOURNAL: Final = ".trialsync-site.journal"
"""Where a run notes what it did, until it ends."""

_PAGE: Final = re.compile(r"trials/(NCT\d{8})\.md", re.ASCII)
_OTHER: Final = re.compile(r"index\.md|index\.html|index-NCT\d{3,4}\.(md|html)|llms\.txt|changed\.txt|sitemap(-\d+)?\.xml", re.ASCII)
_HEAD: Final = re.compile(rb'\s*\{\s*(?:"trialsync"\s*:\s*"[^"]*"\s*,\s*)?"files"\s*:\s*\{')
_FILE: Final = re.compile(rb'\s*,?\s*"([^"\\]*)"\s*:\s*(\{[^{}]*\})')
_TAIL: Final = re.compile(rb"\s*\}\s*\}\s*")
_CHUNK: Final = 1 << 16
_LONGEST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was last written: a digest of what it says, its size, and of a page the instant that it names as ``last_seen_at``.

    A page that is made of the same (``basis``, a digest) says the same where its study was last confirmed on a day from ``since`` to
    ``until`` (ISO days; no end where that is ``None``). ``untold`` is one that a run wrote and did not live to name.
    """

    digest: str | None = None
    bytes: int | None = None
    last_seen: str | None = None
    basis: str | None = None
    since: str | None = None
    until: str | None = None
    untold: bool = False


_EMPTY: Final = File()
_ALWAYS: Final = ("digest", "bytes", "last_seen")
_SOMETIMES: Final = ("basis", "since", "until", "untold")


def is_own(name: str) -> bool:
    """Return whether a site can have a file of this name."""
    return _OTHER.fullmatch(name) is not None or _PAGE.fullmatch(name) is not None


def digest_of(text: bytes, last_seen: str | None) -> str:
    """Return the digest of what a file says: of a page without the instant that it names as ``last_seen_at``, which moves alone."""
    stamp = f"last_seen_at: {front_matter_value(last_seen)}\n".encode() if last_seen else b""
    return blake2b(text.replace(stamp, b"", 1) if stamp else text, digest_size=16).hexdigest()


class SiteList:
    """The site's own files in a folder that nobody else writes to. Raises ExportError where the list there is not one."""

    def __init__(self, folder: Path) -> None:
        self._path, self._journal = folder / OWN_FILES, folder / JOURNAL
        self.others: dict[str, File] = {}
        self.pages = NctSet()
        self._digest = b""
        self._read()

    def claim(self, others: Iterable[str], pages: NctSet) -> None:
        """Note files as the site's own before they are there, so that a run that is broken off knows them the next time.

        What an earlier one left in its journal is noted too. Nothing is written where all of it is known.
        """
        has_journal = os.path.lexists(self._journal)
        new = {name: _EMPTY for name in others if name not in self.others}
        if not has_journal and not new and pages <= self.pages:
            return
        known, journal = _Ascending(self.files()), _Ascending(_pages(_files(self._journal, cut=True)))
        is_noted = has_journal
        with _replacement(self._path) as made:
            for number in self.pages | pages:
                before, after = known.at(number), journal.at(number)
                if after is not None:
                    is_new = before is None or (after.digest, after.last_seen) != (before.digest, before.last_seen)
                    before = replace(after, untold=(before is not None and before.untold) or is_new)
                elif is_noted and before is not None:
                    before, is_noted = self._read_again(page_path(number), before), False
                made.put(page_path(number), before or _EMPTY)
            for name, file in sorted((new | self.others).items()):
                made.put(name, self._read_again(name, file) if has_journal else file)
        self._journal.unlink(missing_ok=True)
        self._read()

    def _read_again(self, name: str, file: File) -> File:
        """Return a file as it is known, without its size where it does not say what it said then: it is written again."""
        try:
            text = (self._path.parent / name).read_bytes()
        except OSError:
            text = b""
        return file if digest_of(text, file.last_seen) == file.digest else replace(file, bytes=None)

    def files(self) -> Iterator[tuple[str, File]]:
        """Yield number and file of each page, by number."""
        return _pages(_files(self._path))

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """Give a journal, to be written in the order of the pages, the other files behind them.

        It takes the list's place when the block ends well, unless it says the same, and stays where it is otherwise.
        """
        handle = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with os.fdopen(handle, "wb") as file:
            made = Journal(file)
            yield made
            if made.end() == self._digest:
                self._journal.unlink()
            else:
                self._journal.replace(self._path)

    def _read(self) -> None:
        """Learn which files there are; bring a list that somebody put into another order into the right one."""
        self.others, self.pages = {}, NctSet()
        digest, last, is_sorted = _new_digest(), "", True
        for name, file in _files(self._path, digest=digest):
            # Whoever may have edited the list: nothing outside the folder is ever taken for the site's own.
            if page := _PAGE.fullmatch(name):
                is_sorted, last = is_sorted and last < page[1], page[1]
                self.pages.add(last)
            elif _OTHER.fullmatch(name):
                self.others[name] = file
        self._digest = digest.digest()
        if not is_sorted:
            pages = dict(self.files())
            with _replacement(self._path) as made:
                for number in self.pages:
                    made.put(page_path(number), pages[number])
                for name, file in sorted(self.others.items()):
                    made.put(name, file)
            self._read()


class Journal:
    """A list that is being written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = _new_digest()
        self._between = b"\n"
        self._write(b'{"trialsync":%s,"files":{' % orjson.dumps(__version__))

    def put(self, name: str, file: File) -> None:
        """Note a file."""
        values: dict[str, Any] = {part: getattr(file, part) for part in _ALWAYS}
        values |= {part: value for part in _SOMETIMES if (value := getattr(file, part))}
        self._write(b"%s%s:%s" % (self._between, orjson.dumps(name), orjson.dumps(values)))
        self._between = b",\n"

    def settle(self) -> None:
        """Have the system hold what was noted, so that a process that is killed leaves all of it."""
        self._file.flush()

    def end(self) -> bytes:
        """End the list and have the disk hold it; return a digest of its bytes."""
        self._write(b"\n}}\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._digest.digest()

    def _write(self, text: bytes) -> None:
        self._digest.update(text)
        self._file.write(text)


class _Ascending:
    """Pages by number, asked for in the order of the numbers."""

    def __init__(self, files: Iterator[tuple[str, File]]) -> None:
        self._files = files
        self._next = next(files, None)

    def at(self, number: str) -> File | None:
        """Return the file of a number, ``None`` where there is none; a smaller number is never asked for behind it."""
        while self._next is not None and self._next[0] < number:
            self._next = next(self._files, None)
        return self._next[1] if self._next is not None and self._next[0] == number else None


@contextmanager
def _replacement(path: Path) -> Iterator[Journal]:
    """Give a list that takes the place of the one at ``path`` when the block ends well."""
    with replacing(path, clear=False) as partial, partial.open("wb") as file:
        made = Journal(file)
        yield made
        made.end()


def _pages(files: Iterator[tuple[str, File]]) -> Iterator[tuple[str, File]]:
    return ((page[1], file) for name, file in files if (page := _PAGE.fullmatch(name)))


def _files(path: Path, *, cut: bool = False, digest: blake2b | None = None) -> Iterator[tuple[str, File]]:
    """Yield the files that a list names; of one that was ``cut`` short those that are whole.

    ``digest`` is told all the bytes that are read. Raises ExportError where the list is not one.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_NOFOLLOW if cut else 0))
    except FileNotFoundError:
        return
    with os.fdopen(handle, "rb") as stream:
        text, place, is_whole, found = b"", 0, False, _HEAD.match(b"")
        pattern = _HEAD
        while True:
            found = pattern.match(text, place)
            if found is None and not is_whole and len(text) - place < _LONGEST:
                more = stream.read(_CHUNK)
                if digest is not None:
                    digest.update(more)
                text, place, is_whole = text[place:] + more, 0, not more
                continue
            if found is None:
                break
            place = found.end()
            if pattern is _HEAD:
                pattern = _FILE
                continue
            try:
                file = File(**orjson.loads(found[2]))
            except (orjson.JSONDecodeError, TypeError):
                break
            yield found[1].decode(errors="replace"), file
        if not cut and (pattern is _HEAD or not is_whole or not _TAIL.fullmatch(text, place)):
            raise ExportError(
                f"{path} is damaged: it names no files", hint="remove the folder, or name another: all pages are written again"
            )


def _new_digest() -> blake2b:
    return blake2b(digest_size=16)
