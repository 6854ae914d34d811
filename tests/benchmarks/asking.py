"""Asking a large store: the newest and the oldest changes under each filter, counts, lines, words, and every face of the web.

    .venv/bin/python -m tests.benchmarks asking [--studies 20000 --changes 400000] [--keep FOLDER]
    nice .venv/bin/python -m tests.benchmarks asking --studies 600000 --changes 10000000     (the whole registry: 20 minutes, 11 GB)

The store is made once and kept, in the folder for temporary files or in another; it is made again where the schema is another. What is told
is the median of the processor's time for the first hundred rows, on a connection of its own each time, so that what else the machine does
is left out. The goals are for 600,000 studies with 10,000,000 changes beside the rows of their first versions.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import gettempdir
from time import process_time
from typing import TYPE_CHECKING, Final

import httpx

from trialsync.model import By, Kind, Origin, Presence, Tier
from trialsync.settings import load
from trialsync.store import schema
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.store.study_filters import StudyFilter
from trialsync.study.facts import FACTS
from trialsync.web.app import make_app

from .large_store import LAST_LOAD, RARE_COUNTRY, RARE_FACT, RARE_SPONSOR, RARE_WORD, WATCHES, make
from .measuring import Result, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STUDIES: Final = 20_000
CHANGES: Final = 400_000
ROWS: Final = 100
IN_THE_STORE: Final = 20.0
WORDS: Final = 100.0
PAGES: Final = 100.0
"""Milliseconds."""

_ROUNDS: Final = 5
_LONG: Final = 5_000.0
_NOW: Final = datetime.combine(LAST_LOAD, datetime.min.time(), UTC) + timedelta(hours=18)


def _ago(days: int) -> str:
    return (LAST_LOAD - timedelta(days=days)).isoformat()


FILTERS: Final = {
    "none": ChangeFilter(),
    "since 7d": ChangeFilter(since=_ago(7)),
    "since 200d": ChangeFilter(since=_ago(200)),
    "until 300d ago": ChangeFilter(until=_ago(300)),
    "a week, half a year ago": ChangeFilter(since=_ago(190), until=_ago(183)),
    "seen since 7d": ChangeFilter(seen_since=f"{_ago(7)}T00:00:00.000Z"),
    "study": ChangeFilter(studies=("NCT00000777",)),
    "watch of 1 in 10,000": ChangeFilter(watches=("few",)),
    "watch of 1 in 5": ChangeFilter(watches=("every-fifth",)),
    "watch of all": ChangeFilter(watches=("all",)),
    "field, common": ChangeFilter(fields=("status.overallStatus",)),
    "field, a module": ChangeFilter(fields=("outcomes.*",)),
    "field, rare": ChangeFilter(fields=("watch.few",)),
    "field, an attribute": ChangeFilter(fields=("outcomes.*.timeFrame",)),
    "kind removed": ChangeFilter(kinds=(Kind.REMOVED,)),
    "tier headline": ChangeFilter(tiers=(Tier.HEADLINE,)),
    "by registry": ChangeFilter(bys=(By.REGISTRY,)),
    "origin poll": ChangeFilter(origins=(Origin.POLL,)),
    "origin import": ChangeFilter(origins=(Origin.IMPORT,)),
    "origin history": ChangeFilter(origins=(Origin.HISTORY,)),
    "fact, common": ChangeFilter(facts=("completion-slipped",)),
    "fact, rare": ChangeFilter(facts=(RARE_FACT,)),
    "without a fact": ChangeFilter(without_facts=("completion-slipped",)),
    "country, common": ChangeFilter(countries=("United States",)),
    "country, 1 in 50": ChangeFilter(countries=("Denmark",)),
    "country, rare": ChangeFilter(countries=(RARE_COUNTRY,)),
    "sponsor, common": ChangeFilter(sponsors=("foundation",)),
    "sponsor, 1 in 1,000": ChangeFilter(sponsors=("hospital 400",)),
    "sponsor, rare": ChangeFilter(sponsors=(RARE_SPONSOR,)),
    "sponsor, none": ChangeFilter(sponsors=("nobodyatall",)),
    "housekeeping left out": ChangeFilter(housekeeping=False),
    "text, common": ChangeFilter(texts=("cancer",)),
    "text, two words": ChangeFilter(texts=("breast cancer",)),
    "text, of rows": ChangeFilter(texts=("accrual",)),
    "text, rare": ChangeFilter(texts=(RARE_WORD,)),
    "text, 1 in 5,000": ChangeFilter(texts=("cohort77",)),
    "field and country": ChangeFilter(fields=("status.overallStatus",), countries=("Denmark",)),
    "field, nowhere in sites": ChangeFilter(fields=("locations.*nosuchplace*",)),
    "country, of a third, since 7d": ChangeFilter(countries=("United States",), since=_ago(7)),
    "country, rare, since 200d": ChangeFilter(countries=(RARE_COUNTRY,), since=_ago(200)),
    "country, rare, and field": ChangeFilter(countries=(RARE_COUNTRY,), fields=("status.overallStatus",)),
    "sponsor, common, since 7d": ChangeFilter(sponsors=("foundation",), since=_ago(7)),
    "sponsor, of a sixth, since 7d": ChangeFilter(sponsors=("university",), since=_ago(7)),
    "sponsor, of a sixth": ChangeFilter(sponsors=("university",)),
    "study and field": ChangeFilter(studies=("NCT00000777",), fields=("status.*",)),
    "watch of all and headline": ChangeFilter(watches=("all",), tiers=(Tier.HEADLINE,)),
    "watch of 1 in 10,000 and field": ChangeFilter(watches=("few",), fields=("outcomes.*",)),
    "since 7d, without housekeeping": ChangeFilter(since=_ago(7), housekeeping=False),
    "since 7d and a field": ChangeFilter(since=_ago(7), fields=("status.overallStatus",)),
    "since 7d and a fact": ChangeFilter(since=_ago(7), facts=("stopped",)),
    "by registry, since 7d": ChangeFilter(bys=(By.REGISTRY,), since=_ago(7)),
    "fact and sponsor": ChangeFilter(facts=("stopped",), sponsors=("foundation",)),
    "watch and since": ChangeFilter(watches=("every-fifth",), since=_ago(7)),
    "rare sponsor and kind": ChangeFilter(sponsors=(RARE_SPONSOR,), kinds=(Kind.REMOVED,)),
}
STUDY_FILTERS: Final = {
    "all": StudyFilter(),
    "status": StudyFilter(statuses=("TERMINATED",)),
    "status, none": StudyFilter(statuses=("NO_LONGER_AVAILABLE",)),
    "sponsor": StudyFilter(sponsors=("foundation",)),
    "sponsor, rare": StudyFilter(sponsors=(RARE_SPONSOR,)),
    "country": StudyFilter(countries=("Denmark",)),
    "country, rare": StudyFilter(countries=(RARE_COUNTRY,)),
    "status, of the youngest": StudyFilter(statuses=("NOT_YET_RECRUITING",)),
    "status, nearly all": StudyFilter(statuses=("COMPLETED", "UNKNOWN")),
    "watch of all": StudyFilter(watches=("all",)),
    "watch of 1 in 10,000": StudyFilter(watches=("few",)),
    "text": StudyFilter(texts=("cancer",)),
    "presence, none": StudyFilter(presences=(Presence.WITHHELD,)),
}
ADDRESSES: Final = (
    "/",
    "/?view=rows",
    "/?sponsor=foundation",
    "/?sponsor=quillfeather",
    "/?country=Denmark",
    "/?watch=few",
    "/?watch=all&since=7d",
    "/?text=breast+cancer",
    "/?fact=stopped",
    "/?field=outcomes.*",
    "/?kind=removed&tier=headline",
    "/?country=United+States&since=7d",
    "/?sponsor=nobodyatall",
    "/?before=18000000",
    "/?until=2024-06-01",
    "/?until=2016-06-01",
    "/studies/NCT00000777",
    "/watches",
    "/watches/few",
    "/watches/all",
    "/sponsors/quillfeather",
    "/sponsors/foundation",
    "/fields",
    "/facts",
    "/about",
    "/api/changes",
    "/api/changes?order=oldest",
    "/api/changes?after=1",
    "/api/changes?country=Denmark",
    "/api/changes?sponsor=foundation",
    "/api/changes?text=cancer",
    "/api/studies?text=cancer",
    "/api/studies?status=TERMINATED",
    "/api/studies?sponsor=foundation",
    "/api/studies?country=Denmark",
    "/api/studies/NCT00000777",
    "/api/studies/NCT00000777/changes",
    "/api/studies/NCT00000777/versions",
    "/api/watches",
    "/api/facts",
    "/api/fields",
    "/api/polls",
    "/feeds/changes.atom",
    "/feeds/watches/few.atom",
    "/feeds/watches/all.atom",
    "/feeds/studies/NCT00000777.atom",
    "/feeds/sponsors/foundation.atom",
    "/feeds/sponsors/quillfeather.atom",
    "/feeds/facts/stopped.atom",
    f"/feeds/facts/{RARE_FACT}.atom",
    "/trials/NCT00000777.md",
    "/llms.txt",
    "/healthz",
    "/metrics",
)


@dataclass(frozen=True, slots=True)
class Asked(Result):
    """The time that an answer takes, and its goal."""

    def __str__(self) -> str:
        return f"{self.name:<66} {self.ours:>12}   goal {self.reference:>7}   {'ok' if self.is_kept else 'MISSED'}"


def run(studies: int = STUDIES, changes: int = CHANGES, keep: Path | None = None) -> Iterator[Result]:
    """Ask everything a few times; yield the median of each as a share of its goal. The store is in ``keep``, made where it is not there."""
    path = Path(keep or gettempdir(), f"trialsync-asking-{schema.SCHEMA}-{studies}-{changes}.db")
    if not path.exists():
        unfinished = path.with_suffix(".part")
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        make(unfinished, studies, changes, say)
        unfinished.rename(path)
    with Reader.open(path) as reader:
        holds = reader.counts()
    say(f"  {path}: {holds.studies:,} studies, {holds.versions:,} versions, {holds.changes:,} changes, {path.stat().st_size:,} bytes")
    found = []
    for result in measured(path):
        found.append(result)
        yield result
    missed = [result.name for result in found if not result.is_kept]
    say(f"  {len(found) - len(missed)} of {len(found)} answers within their goals" + (f"; not: {', '.join(missed)}" if missed else ""))


def measured(path: Path) -> Iterator[Result]:
    """Yield the medians of what is asked of a store that is there."""
    for name, wanted in FILTERS.items():
        budget = WORDS if wanted.texts else IN_THE_STORE
        for order in ("newest", "oldest"):
            yield _asked(path, f"{name}, {order}", budget, partial(_rows, wanted=wanted, order=order))
    for name in ("none", "since 200d", "watch of 1 in 5", "country, 1 in 50", "sponsor, common", "text, common", "field, common"):
        shown = replace(FILTERS[name], housekeeping=False, origins=(Origin.POLL, Origin.IMPORT))
        yield _asked(path, f"{name}, lines", PAGES, partial(_lines, wanted=shown))
        yield _asked(path, f"{name}, counted", PAGES, partial(_counted, wanted=shown))
    for name, of_studies in STUDY_FILTERS.items():
        yield _asked(path, f"studies, {name}", PAGES, partial(_studies, wanted=of_studies))
    yield _asked(path, "rows of every fact", PAGES, lambda reader: len(reader.fact_counts({rule.id: rule.rule for rule in FACTS})[0]))
    yield from asyncio.run(_pages(path))


def _rows(reader: Reader, *, wanted: ChangeFilter, order: str) -> int:
    return len(list(reader.changes(wanted, limit=ROWS, newest_first=order == "newest")))


def _lines(reader: Reader, *, wanted: ChangeFilter) -> int:
    return reader.study_days(wanted, limit=ROWS, newest_first=True).rows


def _counted(reader: Reader, *, wanted: ChangeFilter) -> int:
    return reader.counted(wanted, most=10_000, looked=20_000).rows


def _studies(reader: Reader, *, wanted: StudyFilter) -> int:
    return len(list(reader.find_studies(wanted, limit=ROWS)))


def _asked(path: Path, name: str, budget: float, ask: Callable[[Reader], int]) -> Result:
    """Return the median of a question, each time on a connection of its own, as a command or a request asks it."""
    taken, found = [], 0
    for _ in range(_ROUNDS):
        with Reader.open(path) as reader:
            start = process_time()
            found = ask(reader)
            taken.append((process_time() - start) * 1000)
        # The first answer warms up the system's memory of the file.
        if len(taken) > 1 and sum(taken) > _LONG:
            break
    return _result(f"{name} ({found:,})", median(taken), budget)


def _result(name: str, taken: float, budget: float) -> Result:
    return Asked(f"asking: {name}", f"{taken:,.1f} ms", f"{budget:,.0f} ms", taken / budget, 1.0)


async def _pages(path: Path) -> list[Result]:
    """Return the medians of requests, answered in process."""
    found = []
    settings = path.with_suffix(".toml")
    watches = "".join(f'[[watch]]\nname = "{name}"\nquery = {{ cond = "Anything" }}\n' for name in WATCHES)
    settings.write_text(f'[store]\npath = "{path.name}"\n[web]\n{watches}')
    app = make_app(path, load(settings, {}, path.parent), now=lambda: _NOW)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=30) as client:
        for address in ADDRESSES:
            taken, status = [], 0
            for _ in range(_ROUNDS):
                start = process_time()
                answer = await client.get(address)
                taken.append((process_time() - start) * 1000)
                status = answer.status_code
            found.append(_result(f"{address} ({status})", median(taken), PAGES))
    return found
