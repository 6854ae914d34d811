"""A remembered place: what is new since a name last asked, and a cursor that moves only once the output was taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from following import World, edited, invent, publish, status
from terminal import SCRIPT, Terminal, sentence

from trialsync.errors import PlaceUnusable
from trialsync.model import Watch
from trialsync.store import care, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STUDY = invent(9_100_001)
EVERY = Watch("every", query={"query.cond": ("Ataxia",)})


class Followed:
    """A store that is polled load by load, and a terminal that asks it."""

    def __init__(self, folder: Path, cli: Terminal) -> None:
        words = ("RECRUITING", "SUSPENDED", "RECRUITING", "TERMINATED", "COMPLETED")
        loads = [[status(STUDY, word, posted=f"2026-02-0{2 + place}")] for place, word in enumerate(words)]
        self.world = World(folder, publish(*loads))
        self.cli = cli
        self.file = folder / "trialsync.db.places" / "morning.json"
        cli.settings()
        self.world.poll()

    def statuses(self, *more: str) -> list[str]:
        """Return the statuses that morning gets to read."""
        ran = self.cli.ok("changes", "--since-last", "morning", "--format", "jsonl", "--field", "status.overallStatus", *more)
        return [row["after"] for row in ran.rows]


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Followed]:
    """Return a store with one load polled, and a terminal beside it."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield Followed(tmp_path, terminal)


def test_a_name_gets_each_change_once(followed: Followed) -> None:
    """The first time of a name remembers the log's end and says so; from then on it gets what came since, once."""
    begun = followed.cli.ok("changes", "--since-last", "morning")
    assert begun.out == ""
    assert begun.err.startswith("morning begins here, at change ")
    assert followed.statuses() == []
    followed.world.next()
    followed.world.next()
    assert followed.statuses() == ["SUSPENDED", "RECRUITING"]
    assert followed.statuses() == []
    followed.world.next()
    assert followed.statuses() == ["TERMINATED"]


def test_a_first_time_may_begin_earlier(followed: Followed) -> None:
    """With --since the first time of a name prints what is dated since then; with --after it goes on from a cursor, at any time."""
    followed.world.next()
    assert followed.statuses("--since", "2026-02-01") == ["SUSPENDED"]
    assert followed.statuses() == []
    assert followed.statuses("--after", "0") == ["SUSPENDED"]
    assert followed.statuses() == []


def test_names_are_apart(followed: Followed) -> None:
    """Each name has its own place, and one place whatever the filters are."""
    for name in ("morning", "evening"):
        followed.cli.ok("changes", "--since-last", name)
    followed.world.next()
    assert followed.statuses() == ["SUSPENDED"]
    assert followed.cli.ok("changes", "--since-last", "evening", "--format", "jsonl", "--kind", "removed").rows == []
    assert followed.cli.ok("changes", "--since-last", "evening", "--format", "jsonl").rows == []


def test_a_digest_is_silent_where_nothing_is_new(followed: Followed) -> None:
    """With --format md nothing new is nothing printed, so that cron sends no mail; otherwise a line with both dates stands above."""
    followed.cli.ok("changes", "--since-last", "morning", "--format", "md")
    quiet = followed.cli.ok("changes", "--since-last", "morning", "--format", "md", "--watch", "ataxia")
    assert (quiet.out, quiet.err) == ("", "")
    followed.world.next()
    digest = followed.cli.ok("changes", "--since-last", "morning", "--format", "md").out
    heading, empty, *table = digest.splitlines()
    assert heading.startswith("Changes since 20")
    assert ", when morning last asked, until 20" in heading
    assert empty == ""
    assert all(line.startswith("- 20") for line in table)
    assert "SUSPENDED" in digest


def test_a_cut_answer_leaves_the_rest_for_the_next_time(followed: Followed) -> None:
    """What a limit cuts off is not passed over; the newest first with a limit would pass over the oldest, and is refused."""
    followed.cli.ok("changes", "--since-last", "morning")
    for _ in range(3):
        followed.world.next()
    assert followed.statuses("--limit", "2") == ["SUSPENDED", "RECRUITING"]
    assert followed.statuses("--limit", "2") == ["TERMINATED"]
    refused = followed.cli("changes", "--since-last", "morning", "--order", "newest", "--limit", "1")
    assert refused.code == 2
    assert "pass over the oldest" in sentence(refused)


@pytest.mark.parametrize("broken", ["full", "pipe"])
def test_a_place_moves_only_once_the_output_was_taken(followed: Followed, broken: str) -> None:
    """A full disk or a reader that went away leaves the place where it was: the next time prints the same again."""
    followed.cli.ok("changes", "--since-last", "morning")
    followed.world.next()
    before = followed.file.read_bytes()
    if broken == "full":
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        taken, output = os.pipe()
        os.close(taken)
    command = [str(SCRIPT), "changes", "--since-last", "morning", "--format", "jsonl"]
    done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False, text=True)  # noqa: S603 - our own program
    os.close(output)
    assert (done.returncode, done.stderr) == (
        (2, "trialsync: the output can't be written: No space left on device\n") if broken == "full" else (0, "")
    )
    assert followed.file.read_bytes() == before
    assert followed.statuses() == ["SUSPENDED"]


def test_two_readers_of_one_name(followed: Followed) -> None:
    """While one process reads under a name another is told so; other names are free."""
    with places.turn(followed.world.store, "morning"):
        refused = followed.cli("changes", "--since-last", "morning")
        assert refused.code == 5
        assert sentence(refused) == "trialsync: another process reads the log as 'morning' (wait for it to end, or take another name)"
        followed.cli.ok("changes", "--since-last", "evening")
    followed.cli.ok("changes", "--since-last", "morning")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"cursor": "12"}', '{"cursor": -1, "asked": "", "change": null, "seen": null}', "\x00\xff"]
)
def test_a_damaged_place_is_named(followed: Followed, text: str) -> None:
    """A file that holds no place is an error that names it, and --after is the way out."""
    followed.cli.ok("changes", "--since-last", "morning")
    followed.file.write_bytes(text.encode("latin-1"))
    refused = followed.cli("changes", "--since-last", "morning")
    assert refused.code == 2
    assert "morning.json is damaged" in sentence(refused)
    assert "--after" in refused.err
    followed.cli.ok("changes", "--since-last", "morning", "--after", "0")
    assert json.loads(followed.file.read_bytes())["cursor"] > 0


def test_a_restored_store_is_noticed(followed: Followed) -> None:
    """A place past the end of an older copy of the store, or at which the copy has got another change since, is an error with a way out."""
    older = followed.file.parent.parent / "older.db"
    care.backup(followed.world.store, older)
    followed.world.next()
    followed.cli.ok("changes", "--since-last", "morning")
    for end in ("", "-wal", "-shm"):
        followed.world.store.with_name(followed.world.store.name + end).unlink(missing_ok=True)
    shutil.copy(older, followed.world.store)
    past = followed.cli("changes", "--since-last", "morning")
    assert past.code == 2
    assert "past the log's end" in sentence(past)
    for _ in range(3):
        followed.world.next()
    other = followed.cli("changes", "--since-last", "morning")
    assert other.code == 2
    assert "the log has another one there" in sentence(other)
    assert followed.statuses("--after", "0")[-1] == "COMPLETED"
    assert followed.statuses() == []


@pytest.mark.parametrize("before", [0, 1])
def test_changes_where_there_was_a_baseline_are_noticed(tmp_path: Path, before: int) -> None:
    """Where a name left off behind rows of first versions, and another log has changes there, it says so: they would be passed over."""
    long = edited(STUDY, eligibilityModule={"minimumAge": "18 Years", "maximumAge": "80 Years"})
    words = ["SUSPENDED", "RECRUITING", "SUSPENDED", "RECRUITING", "SUSPENDED"]
    worlds = []
    for name, first in (("one.db", long), ("two.db", STUDY)):
        lead = [invent(9_100_002), status(invent(9_100_002), "COMPLETED", "2026-02-03")]
        loads = [[lead[0]], [lead[1]]][: before * 2] + [[first]] + [[status(STUDY, word)] for word in words]
        world = World(tmp_path, publish(*loads), name)
        for _ in range(before * 2):
            world.poll(Watch("lead", nct_ids=("NCT09100002",)))
            world.advance()
        world.poll(EVERY)
        worlds.append(world)
    with worlds[0].reader() as reader:
        cursor = reader.last_id()
        place = places.at(reader, cursor, "2026-02-05T10:00:00.000Z")
        places.check(reader, "morning", place)
    for _ in words[: 5 - before * 2]:
        worlds[1].advance()
        worlds[1].poll(EVERY)
    with worlds[1].reader() as reader:
        assert reader.last_id() >= cursor
        assert (place.change is None) is not bool(before)
        with pytest.raises(PlaceUnusable, match="the log has another one there"):
            places.check(reader, "morning", place)


@pytest.mark.parametrize("name", ["", "../escape", "a/b", "Ärger", ".hidden", "x" * 65])
def test_a_name_stays_beside_the_store(followed: Followed, name: str) -> None:
    """A name that could be a path, or no file's name, is refused before anything is made."""
    refused = followed.cli("changes", "--since-last", name)
    assert refused.code == 2
    assert "can't be the name of a place" in sentence(refused)
    assert not followed.file.parent.exists()


def test_no_store_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no store, nothing is made beside it."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        terminal.settings()
        assert terminal("changes", "--since-last", "morning").code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["config"]
