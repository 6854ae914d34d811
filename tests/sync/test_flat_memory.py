"""Memory does not grow with the number of studies: what a long export and a comparison of a large watch keep of each is next to nothing."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

import pytest
from following import World, invent, publish

from trialsync.publish.extracts import COVERAGE, STUDIES
from trialsync.publish.site import page_path
from trialsync.store.filters import ChangeFilter
from trialsync.study.nct_set import NctSet
from trialsync.sync.between import WatchComparison
from trialsync.sync.export import FileFormat, export
from trialsync.sync.extract import Extraction
from trialsync.sync.site_list import File, SiteList

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trialsync.publish.extracts import Extract

FEW, MANY = 1_000, 2_500
TRIES = 3
FIRST = 1 << 16
APART = 65
"""How far apart the numbers are: neighbours are looked at together, some sixty thousand numbers at a time."""
BYTES_A_STUDY = 24
"""What may be kept of a study; its number as a text alone takes sixty, with its place in a set more than a hundred."""


def grows(work: Callable[[int], object], few: int = FEW, many: int = MANY) -> float:
    """Return by how many bytes the peak of Python's own memory grows for each study more: the least of a few tries.

    When garbage is collected is no part of the law, and moves a single try.
    """
    work(few)  # what the whole program keeps it keeps before that counts
    least = inf
    for _ in range(TRIES):
        peaks = []
        for studies in (few, many):
            gc.collect()
            tracemalloc.start()
            try:
                work(studies)
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
        least = min(least, (peaks[1] - peaks[0]) / (many - few))
        if least < BYTES_A_STUDY:
            break
    return least


def collect(done: int, total: int | None) -> None:
    """Collect garbage whenever rows are told, so that how much of it lies about does not depend on how many there are."""
    del done, total
    gc.collect()


def test_the_list_of_a_site_is_not_in_memory(tmp_path: Path) -> None:
    """A site's list of its files is claimed, read and written page by page."""

    def work(pages: int) -> None:
        """Claim pages and note all of them as written, twice."""
        folder = tmp_path / str(pages)
        folder.mkdir(exist_ok=True)
        for turn in ("a", "b"):
            listing = SiteList(folder)
            listing.claim(["index.md"], NctSet.of(range(1, pages + 1)))
            with listing.journal() as journal:
                for number, _ in listing.files():
                    journal.put(page_path(number), File(turn * 32, 4_000, "2026-03-02T10:00:00.000Z", turn * 16, "2026-03-02"))
            assert len(SiteList(folder).pages) == pages

    assert grows(work, 3_000, 6_000) < BYTES_A_STUDY


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[int, World]:
    """Return a store with few studies in a watch, and one with many, each polled twice."""
    found = {}
    for studies in (FEW, MANY):
        world = World(tmp_path_factory.mktemp("flat"), publish([invent(FIRST + APART * number) for number in range(studies)], []))
        world.poll()
        world.next()
        found[studies] = world
    return found


@pytest.mark.parametrize(("extract", "form"), [(STUDIES, FileFormat.CSV), (STUDIES, FileFormat.PARQUET), (COVERAGE, FileFormat.JSONL)])
def test_an_export_keeps_nothing_of_its_rows(worlds: dict[int, World], tmp_path: Path, extract: Extract, form: FileFormat) -> None:
    """Rows go into each kind of file a few at a time, and what tells when a study was last seen is as small for many."""

    def work(studies: int) -> None:
        """Export the rows of all studies."""
        with worlds[studies].reader() as reader:
            path = tmp_path / f"rows.{form}"
            done = export(reader, Extraction(extract, ChangeFilter()), path, form, given={}, now=lambda: datetime.now(UTC), told=collect)
        assert done.rows == studies

    assert grows(work) < BYTES_A_STUDY


def test_a_comparison_keeps_no_more_than_numbers(worlds: dict[int, World]) -> None:
    """Of a watch that is compared between two dates the studies that did not change, and those not known before, are counted."""

    def work(studies: int) -> None:
        """Compare a day before the store knew anything with now, and two days since."""
        with worlds[studies].reader() as reader:
            for start, counted in (("2020-01-01", "unknown"), ("2026-03-01", "unchanged")):
                comparison = WatchComparison(reader, "ataxia", start, "2026-03-02")
                assert list(comparison.studies()) == []
                assert getattr(comparison.summary(), counted) == studies

    assert grows(work) < BYTES_A_STUDY
