"""Tests of the order in which blobs fill the pages of their table."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.store.filling import filling
from trialsync.store.schema import PAGE_BYTES


@given(st.lists(st.integers(0, 100_000), max_size=60))
def test_each_blob_has_its_turn(sizes: list[int]) -> None:
    """Whatever the sizes, every place is in the order once."""
    assert sorted(filling(sizes)) == list(range(len(sizes)))


def empty_bytes(sizes: list[int]) -> int:
    """Return how many bytes of its pages a table leaves empty that got blobs of these sizes, one after the other."""
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        raw.execute("CREATE TABLE contents (id INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT")
        raw.executemany("INSERT INTO contents (content) VALUES (zeroblob(?))", [(size,) for size in sizes])
        try:
            return int(raw.execute("SELECT sum(unused) FROM dbstat WHERE name = 'contents'").fetchone()[0])
        except sqlite3.OperationalError:
            pytest.skip("this SQLite can't say how full its pages are")


def test_pages_are_filled() -> None:
    """In this order blobs of the sizes that studies have leave a third of what they leave empty as they come, or less."""
    chance = random.Random(7)  # noqa: S311 - sizes, no secrets
    sizes = [int(chance.lognormvariate(8, 0.5)) for _ in range(500)]
    assert empty_bytes([sizes[place] for place in filling(sizes)]) * 3 < empty_bytes(sizes)
