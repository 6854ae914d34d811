"""Killed at any instant: after the next run the log is what it would have been, and the store was sound all along.

``TRIALSYNC_KILLS=300 pytest tests/store/test_store_crashes.py -s`` kills at least 300 times and prints where; without the variable it is
18 times, for every day. ``TRIALSYNC_SEED`` is for other instants.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from crash_child import CLOSING, COMMITTING, DOING
from eventful_loads import eventful_loads
from following import as_lines

from trialsync.errors import StoreForeign, StoreMissing
from trialsync.store.filters import ChangeFilter
from trialsync.store.reader import Reader
from trialsync.store.verify import verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.registry.sandbox import LoadLine

KILLS: Final = int(os.environ.get("TRIALSYNC_KILLS", "18"))
"""How many kills there are at least, over the three ways to record."""

ENOUGH: Final = 50
"""From so many kills on a share of them has to have hit the writing."""

SEED: Final = os.environ.get("TRIALSYNC_SEED", "the same each time")

WAYS: Final = ("poll", "moved", "import")
"""A watch walked whole; the same as a large one, by what moved and a sweep; dated lines from a file."""

HERE = Path(__file__).parent


@dataclass
class Child:
    """The process that does the tasks, and what it was doing each time it was killed."""

    process: subprocess.Popen[str]
    where: Counter[str] = field(default_factory=Counter)

    def do(self, **task: Any) -> dict[str, Any]:
        """Have a task done, or cut short; return what came of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(task, default=str) + "\n")
        self.process.stdin.flush()
        came: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert came["code"] in {0, -signal.SIGKILL, -signal.SIGXFSZ}, came
        if came["killed"]:
            self.where[came["doing"]] += 1
        return came


@contextmanager
def child_of(lines: list[LoadLine], folder: Path) -> Iterator[Child]:
    """Start the child on its loads."""
    file = folder / "loads.jsonl"
    file.write_bytes(as_lines(lines))
    paths = os.pathsep.join(filter(None, (str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH"))))
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, HERE / "crash_child.py", file, folder / "marks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        yield Child(process)
        assert process.stdin is not None
        process.stdin.close()


def tasks(way: str, lines: list[LoadLine]) -> list[dict[str, Any]]:
    """Return what has to be done, in order, for all loads to be recorded."""
    if way == "import":
        return [{"what": way}]
    return [{"what": way, "load": place} for place in range(len({line.load for line in lines}))]


def recorded(store: Path) -> dict[str, list[str]]:
    """Return all that a store holds of studies and watches, without ids and instants, in an order that does not depend on them."""
    with Reader.open(store) as reader:
        rows = [{name: getattr(row, name) for name in row.__slots__} for row in reader.changes(ChangeFilter(baseline=True))]
        headlines = list(reader.studies())
        versions = [
            {name: getattr(version, name) for name in version.__slots__} for study in headlines for version in reader.versions(study.nct_id)
        ]
        watched = reader._db.rows("SELECT nct_id, joined_load, left_load FROM watch_studies ORDER BY 1, 2")
        marks = reader._db.rows("SELECT nct_id, missing_since FROM studies ORDER BY 1")
        slices = reader._db.rows("SELECT place, first, last, undated, swept FROM slices ORDER BY 1")
        complete = [poll.load for poll in reader.polls() if poll.ended is not None and poll.ended.value == "complete"]
        return {
            "refs": sorted(row["ref"] for row in rows),
            "log": sorted(json.dumps({name: row[name] for name in row if name not in {"id", "seen"}}, sort_keys=True) for row in rows),
            "versions": sorted(json.dumps({**each, "seen": ""}, sort_keys=True) for each in versions),
            "studies": [repr(study) for study in headlines],
            "contents": [repr(reader.study(each["nct_id"], version=each["number"])) for each in versions],
            "watched": [repr(row) for row in (*watched, *marks, *slices)],
            "loads": sorted({load for load in complete if load}),
        }


def calibrated(child: Child, todo: list[dict[str, Any]], store: Path) -> list[dict[str, Any]]:
    """Do the tasks undisturbed; return what each took."""
    return [child.do(**task, store=store) | {"size": store.stat().st_size} for task in todo]


def doom(chance: random.Random, took: dict[str, Any]) -> dict[str, Any]:
    """Return when to kill: at an instant, at a statement, at a byte of a file, in or just after a commit, or as the store is given back."""
    draw = chance.random()
    if draw < 0.3:
        return {"seconds": chance.uniform(0, took["seconds"])}
    if draw < 0.5:
        return {"statement": chance.randrange(1, took["statements"] + 1)}
    if draw < 0.7:
        return {"byte": chance.randrange(1, took["size"] + 1)}
    if draw < 0.95:
        return {
            "mark": COMMITTING,
            "nth": chance.randrange(1, took["commits"] + 1),
            "seconds": chance.choice((0, chance.uniform(0, 0.002))),
        }
    return {"mark": CLOSING, "seconds": chance.uniform(0, 0.003)}


def campaign(child: Child, todo: list[dict[str, Any]], took: list[dict[str, Any]], store: Path, chance: random.Random) -> int:
    """Do the tasks, each killed now and then until it is done at last; return how many kills there were."""
    kills = 0
    for task, one in zip(todo, took, strict=True):
        most = 8 if task["what"] == "import" else 3
        for _ in range(chance.randrange(most + 1)):
            came = child.do(**task, **doom(chance, one), store=store)
            if came["killed"]:
                kills += 1
                assert sound(store) == [], (task, came)
        child.do(**task, store=store)
    return kills


def sound(store: Path) -> list[str]:
    """Return what is wrong with a store; nothing, where it is not made yet."""
    try:
        return verify(store)
    except StoreMissing:
        return []
    except StoreForeign:
        with closing(sqlite3.connect(store)) as unmade:
            assert unmade.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
        return []


@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_instant_loses_and_doubles_nothing(way: str, tmp_path: Path) -> None:
    """Whatever is killed wherever (18 times without TRIALSYNC_KILLS), the store is sound, and the next run completes the same log.

    All columns of the log are equal but ``id`` and ``seen``; so are versions, contents, members of the watch, and suspicions.
    """
    kills = -(-KILLS // len(WAYS))
    chance = random.Random(f"{way} {SEED}")  # noqa: S311 - the same instants each time
    lines = eventful_loads(300 if way == "import" else 40)
    todo = tasks(way, lines)
    lost = doubled = done = campaigns = 0
    with child_of(lines, tmp_path) as child:
        took = calibrated(child, todo, tmp_path / "undisturbed.db")
        expected = recorded(tmp_path / "undisturbed.db")
        assert sound(tmp_path / "undisturbed.db") == []
        assert len(set(expected["refs"])) == len(expected["refs"]) > 100
        while done < kills:
            campaigns += 1
            store = tmp_path / f"campaign-{campaigns}.db"
            done += campaign(child, todo, took, store, chance)
            assert sound(store) == []
            found = recorded(store)
            lost += sum((Counter(expected["log"]) - Counter(found["log"])).values())
            doubled += sum((Counter(found["refs"]) - Counter(expected["refs"])).values())
            for what, rows in expected.items():
                assert found[what] == rows, (what, store, [row for row in found[what] if row not in rows][:3])
            store.unlink()
    print(f"\n{way}: {done} kills in {campaigns} runs; lost {lost}, doubled {doubled}; {dict(child.where)}")  # noqa: T201 - the figures
    assert (lost, doubled) == (0, 0)
    assert set(child.where) <= set(DOING)
    writing = sum(child.where[name] for name in ("in a page", "committing"))
    assert done < ENOUGH or writing > 0.2 * done, "the kills missed the writing"
