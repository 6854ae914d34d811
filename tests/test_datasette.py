"""Datasette itself opens a store with the metadata that is exported for it: labels, facets, full text, and questions that are there."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from datasette.app import Datasette
from following import World, edited, invent, publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HOSTILE = "<script>alert(1)</script> {{7*7}} \u202e =1+1"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with two studies, one of which stopped, and hostile text."""
    one, two = invent(9_500_001), invent(9_500_002)
    stopped = edited(one, "2026-02-03", statusModule__overallStatus="TERMINATED", statusModule__whyStopped=f"No funds {HOSTILE}")
    world = World(tmp_path_factory.mktemp("datasette"), publish([one, two], [stopped]))
    world.poll()
    world.next()
    return world.store


@pytest.fixture(scope="module")
def metadata(store: Path) -> dict[str, Any]:
    """Return the metadata as the command line exports it, to standard output."""
    command = [sys.executable, "-m", "trialsync", "export", "--datasette"]
    done = subprocess.run(command, cwd=store.parent, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def ask(store: Path, metadata: dict[str, Any]) -> Iterator[Callable[[str], Any]]:
    """Return a function that asks Datasette for an address and returns its response."""
    runner = asyncio.Runner()
    datasette = Datasette([str(store)], metadata=metadata)

    def asked(path: str) -> Any:
        return runner.run(datasette.client.get(path))

    yield asked
    runner.close()
    datasette.executor.shutdown()


def rows(ask: Callable[[str], Any], path: str) -> list[dict[str, Any]]:
    """Return the rows that an address has."""
    response = ask(path)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


def test_tables_are_named_and_described(ask: Callable[[str], Any], metadata: dict[str, Any], store: Path) -> None:
    """What a reader wants is shown, the rest hidden; every table and column that the metadata names is in the store."""
    found = ask("/trialsync.json").json()
    assert [view["name"] for view in found["views"]] == ["happened", "change_log"]
    shown = {table["name"] for table in found["tables"] if not table["hidden"]}
    assert {"studies", "versions", "polls", "watches", "fields"} <= shown
    assert not {"contents", "holder", "occasions", "change_words_data"} & shown
    tables = metadata["databases"]["trialsync"]["tables"]
    assert shown | {"change_log", "happened"} == {name for name, about in tables.items() if not about.get("hidden")}
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        for name, about in tables.items():
            columns = {row[1] for row in connection.execute(f"PRAGMA table_xinfo({name})")}
            assert columns, name
            named = {
                *about.get("columns", ()),
                *about.get("facets", ()),
                *(about[key] for key in ("label_column", "sort_desc") if key in about),
            }
            assert named <= columns, name


def test_rows_are_labelled_and_records_kept_out_of_sight(ask: Callable[[str], Any]) -> None:
    """A version leads to its study by title; the page escapes the registry's text, and shows no compressed record as text."""
    assert "Invented study 9500001" in ask("/trialsync/versions").text
    for view in ("change_log", "happened"):
        page = ask(f"/trialsync/{view}").text
        assert "No funds" in page
        assert "<script>alert(1)" not in page
    assert "Binary" in ask("/trialsync/contents").text


def test_facets_and_full_text(ask: Callable[[str], Any]) -> None:
    """The log has facets without asking; words find changes by what stood there, and studies by title and sponsor."""
    for view in ("change_log", "happened"):
        found = ask(f"/trialsync/{view}.json?_size=1").json()
        assert {"kind", "tier", "by", "origin"} <= set(found["facet_results"])
        found = rows(ask, f"/trialsync/{view}.json?_search=funds&_shape=array")
        assert [row["field"] for row in found] == ["status.whyStopped"]
    assert len(rows(ask, "/trialsync/studies.json?_search=invented&_shape=array")) == 2
    assert rows(ask, "/trialsync/studies.json?_search=nobody&_shape=array") == []


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("recent", 3),
        ("one_study.json?nct_id=nct09500001", 4),
        ("stopped", 1),
        ("outcomes", 0),
        ("facts.json?fact=stopped", 1),
        ("words.json?words=funds", 1),
        ("words.json?words=", 0),
        ("words", 0),
        ("coverage", 2),
    ],
)
def test_questions_are_answered(ask: Callable[[str], Any], query: str, most: int) -> None:
    """Each question of the metadata is one that the store answers by SQL alone, without a function of ours."""
    path = f"/trialsync/{query}&_shape=array" if "?" in query else f"/trialsync/{query}.json?_shape=array"
    assert len(rows(ask, path)) <= most
    assert bool(rows(ask, path)) == bool(most)


def test_metadata_in_a_file(store: Path) -> None:
    """With a path the metadata is written there; filters, which Datasette has its own of, are refused."""
    program = [sys.executable, "-m", "trialsync", "export", "--datasette"]
    subprocess.run([*program, "metadata.json"], cwd=store.parent, capture_output=True, check=True)  # noqa: S603 - our own program
    assert json.loads((store.parent / "metadata.json").read_text())["title"] == "trialsync"
    refused = subprocess.run([*program, "--kind", "added"], cwd=store.parent, capture_output=True, text=True, check=False)  # noqa: S603
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--kind has no meaning for Datasette" in refused.stderr
