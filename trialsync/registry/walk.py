"""A complete and consistent walk of a watch, or an error: every study that the registry counts, all of one load.

What goes wrong with pages in practice: a new load arrives under way (the service says so by a 400, or the studies' labels show it), the
index shifts and repeats one study while another is lost, a token leads back to the first page, an outage answers empty pages with 200.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from trialsync.errors import DataChanged, RegistryError, WalkIncomplete
from trialsync.model import is_day, nct_id
from trialsync.registry import query
from trialsync.registry.answers import aliases_of, number_of
from trialsync.study import record
from trialsync.study.nct_set import NctSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Watch
    from trialsync.registry.client import Fetched, Page, Registry, RegistryVersion

log = structlog.get_logger()


RESTARTS = 3
"""How often a walk starts over because the data changed under way."""

_REPEATS = 1
"""How often a walk is repeated because its pages did not add up."""

_EMPTY_PAGES = 3
"""Empty pages in a row with a token to follow; the specification allows that a page is empty."""


@dataclass(frozen=True, slots=True)
class WalkPage:
    """What one page adds to a walk.

    ``studies`` are those that the walk has not given before, all of load ``load`` (``None`` if they carry no label). ``first`` is true for
    the first page of the walk and of each that starts over: what came before is then of an older load, or will come again. ``seen`` counts
    the distinct studies so far, ``total`` is what the registry counts (for NCT numbers: how many were asked), ``None`` if it does not say.
    """

    studies: tuple[Fetched, ...]
    load: str | None
    first: bool
    seen: int
    total: int | None
    restarts: int
    bad: tuple[str, ...]


class _StartOver(Exception):
    """The pages so far cannot be concluded from; the walk is begun again, or ends with ``error`` if that was done often enough."""

    def __init__(self, error: RegistryError, *, changed: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.changed = changed


class Walk:
    """One walk of a watch. Iterate over ``pages()`` to its end, committing each page; conclude only if ``complete`` is then true.

    ``load`` is the load that ``/version`` named before (an ISO day), or ``None`` for that of the first page; once the walk is over it is
    the load that every study carries. ``fields`` limits what the registry sends of each study (its names, ``LastUpdatePostDate``); the
    number, the aliases and the load's label always come. ``page_size`` is at most 1,000.

    After the end: ``complete``; ``distinct``, the studies seen; ``total``, what the registry counted; ``missing``, the numbers asked that
    no batch returned, in their order (one whose record could not be read is among them: only the registry can say that it is gone);
    ``aliases``, numbers asked to the numbers they were answered under; ``bad``, a sentence for each element that is no usable study (it
    is counted as seen, so that one such record does not keep a watch from ever being complete); ``restarts``; ``version``, what
    ``/version`` said at the last restart, ``None`` if it was not asked again.
    """

    def __init__(
        self,
        registry: Registry,
        watch: Watch,
        *,
        load: str | None = None,
        fields: tuple[str, ...] = (),
        page_size: int = 1000,
    ) -> None:
        self.complete = False
        self.load = load
        self.restarts = 0
        self.aliases: dict[str, str] = {}
        self.version: RegistryVersion | None = None
        self._registry = registry
        self._watch = watch
        self._batches = query.params(watch)
        self._fields = {"fields": ",".join(dict.fromkeys((*fields, "NCTId", "NCTIdAlias", "VersionHolder")))} if fields else {}
        self._size = page_size
        self._by_version = load is not None
        self._asked = dict.fromkeys(nct_id(number) for number in watch.nct_ids)
        self._repeats = 0
        self._first = True
        self._forget()

    def _forget(self) -> None:
        """Begin with nothing seen."""
        self._seen = [NctSet() for _ in self._batches]
        self._totals: list[int | None] = [None for _ in self._batches]
        self._done: list[bool] = [False for _ in self._batches]
        self._bad: list[list[str]] = [[] for _ in self._batches]
        self._given = NctSet()
        self._strange: dict[str, None] = {}
        self.aliases = {}

    @property
    def distinct(self) -> int:
        """Return the number of distinct studies seen."""
        return len(self._given)

    @property
    def total(self) -> int | None:
        """Return what the registry counted, over all batches; ``None`` as long as it did not say."""
        counts = [total for total in self._totals if total is not None]
        return sum(counts) if len(counts) == len(self._totals) else None

    @property
    def missing(self) -> tuple[str, ...]:
        """Return the NCT numbers asked that the registry did not return, under their own or another number."""
        return tuple(number for number in self._asked if number not in self._given and number not in self.aliases)

    @property
    def bad(self) -> tuple[str, ...]:
        """Return a sentence for each element of the pages that is no usable study."""
        return tuple(text for batch in self._bad for text in batch) + tuple(self._strange)

    def pages(self) -> Iterator[WalkPage]:
        """Yield every page of the watch; at the end ``complete`` is true.

        Starts over when the data change under way (at most RESTARTS times, then DataChanged), and repeats once what does not add up (then
        WalkIncomplete); ``first`` marks the pages that begin again. Errors of the client pass through; what was yielded before stands.
        """
        while not all(self._done):
            try:
                for index in range(len(self._batches)):
                    if not self._done[index]:
                        yield from self._batch(index)
            except _StartOver as reason:
                self._start_over(reason)
        self.complete = True

    def _start_over(self, reason: _StartOver) -> None:
        if reason.changed:
            self.restarts += 1
            if self.restarts > RESTARTS:
                raise reason.error
        else:
            self._repeats += 1
            if self._repeats > _REPEATS:
                raise reason.error
        log.warning("walk.started_over", watch=self._watch.name, why=reason.error.message, restarts=self.restarts, seen=self.distinct)
        self._first = True
        if reason.changed:
            self._forget()
            self.load = None
            if self._by_version:
                self.version = self._registry.version()
                self.load = self.version.load if self.version else None
        elif self.load is None:
            self._forget()

    def _batch(self, index: int) -> Iterator[WalkPage]:
        """Yield the pages of one request's walk; on the way out every study that the registry counts has been seen."""
        parameters = {**self._batches[index], **self._fields}
        self._bad[index] = []
        tokens: set[str] = set()
        here = NctSet()
        token: str | None = None
        empty = 0
        while True:
            page = self._page(parameters, token)
            if token is None:
                self._counted(index, page)
            given, bad = self._sorted(index, page)
            yield WalkPage(given, self.load, self._first, self.distinct, self._expected(), self.restarts, bad)
            self._first = False
            numbers = NctSet(number for fetched in page.studies if (number := number_of(fetched.study)))
            known = bool(numbers) and numbers <= here
            here |= numbers
            empty = 0 if page.studies or page.bad else empty + 1
            token = page.next_token
            if token is None or (self._adds_up(index) and (known or token in tokens or self._repeats)):
                break
            self._check_progress(index, token in tokens, known, empty)
            tokens.add(token)
        if not self._adds_up(index):
            raise self._incomplete(index, "the pages do not add up")
        self._done[index] = True

    def _page(self, parameters: dict[str, str], token: str | None) -> Page:
        try:
            page = self._registry.page(parameters, token, size=self._size)
        except DataChanged as error:
            raise _StartOver(error, changed=True) from error
        for load in filter(None, map(_label, page.studies)):
            if self.load is None:
                self.load = load
            if load != self.load:
                why = f"the pages are of two loads, {self.load} and {load}: {self.distinct:,} studies seen"
                raise _StartOver(WalkIncomplete(why, hint="a new load is just arriving; ask again later"), changed=True)
        return page

    def _counted(self, index: int, page: Page) -> None:
        """Keep what the first page counts; a count that differs from the one before is a change of the data."""
        before, asked = self._totals[index], len(self._batches[index]["filter.ids"].split(",")) if self._asked else None
        if before is not None and page.total is not None and before != page.total:
            raise _StartOver(WalkIncomplete(f"the registry counts {before} studies, then {page.total}", hint=_LATER), changed=True)
        self._totals[index] = page.total
        if asked is not None and page.total is not None and page.total > asked:
            raise self._incomplete(index, f"{asked} NCT numbers were asked, and the registry counts {page.total:,} studies")
        if self._watch.everything and page.total == 0:
            raise self._incomplete(index, "the registry says that it holds no study at all")

    def _sorted(self, index: int, page: Page) -> tuple[tuple[Fetched, ...], tuple[str, ...]]:
        """Return the studies of a page that are new and were asked for, and a sentence for each that cannot be used."""
        given: list[Fetched] = []
        bad = list(page.bad)
        strange: list[str] = []
        for fetched in page.studies:
            number = number_of(fetched.study)
            if number is None:
                bad.append("a record without a usable NCT number")
                continue
            self._seen[index].add(number)
            if number in self._given:
                continue
            merged = [alias for alias in aliases_of(fetched.study) if alias in self._asked]
            if self._asked and number not in self._asked and not merged:
                strange.append(f"{number}: the registry returned it without being asked for it")
                continue
            self.aliases.update(dict.fromkeys(merged, number))
            self._given.add(number)
            given.append(fetched)
        self._bad[index].extend(bad)
        self._strange.update(dict.fromkeys(strange))
        return tuple(given), (*bad, *strange)

    def _expected(self) -> int | None:
        return len(self._asked) if self._asked else self.total

    def _found(self, index: int) -> int:
        return len(self._seen[index]) + len(self._bad[index])

    def _adds_up(self, index: int) -> bool:
        return self._found(index) == self._totals[index]

    def _check_progress(self, index: int, repeated: bool, known: bool, empty: int) -> None:  # noqa: FBT001 - three findings about one page
        total = self._totals[index]
        if repeated:
            raise self._incomplete(index, "the registry gave the same page token twice")
        if known:
            raise self._incomplete(index, "a page holds nothing but studies of the pages before it")
        if empty >= _EMPTY_PAGES:
            raise self._incomplete(index, f"{empty} pages in a row are empty")
        if total is not None and self._found(index) > total:
            raise self._incomplete(index, "the pages hold more studies than the registry counts")

    def _incomplete(self, index: int, why: str) -> _StartOver:
        total = self._totals[index]
        counted = "and the registry does not say of how many" if total is None else f"of the {total:,} that the registry counts"
        found = self._found(index)
        seen = f"{found:,} {'study' if found == 1 else 'studies'} seen {counted}"
        return _StartOver(WalkIncomplete(f"the walk is not complete: {why}; {seen}", hint=_LATER), changed=False)


_LATER = "what was seen is kept, nothing is concluded from what was not; ask again later"


def _label(fetched: Fetched) -> str | None:
    """Return the load that a study carries, if it carries one that can be read."""
    load = record.load(fetched.study)
    return load if is_day(load) else None


def pages(registry: Registry, watch: Watch, *, load: str | None = None) -> Iterator[WalkPage]:
    """Yield every page of a watch, complete and of one load, or raise as ``Walk.pages`` does; for callers that need no account of it."""
    return Walk(registry, watch, load=load).pages()
