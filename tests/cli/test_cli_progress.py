"""How far long work is: what a line and a bar say of it, and when."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import zipfile
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

import orjson
import pytest
from following import DAYS, invent, number_of
from terminal import SCRIPT

from trialsync.cli.progress import Told, lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        """Return what it shows, in seconds."""
        return self.at


def told(clock: Hand, unit: str = "studies") -> Told:
    """Return a work that has just begun."""
    return Told("import", unit, clock)


def at_pace(work: Told, clock: Hand, numbers: Iterable[int], total: int | None, part: str = "") -> None:
    """Tell numbers, a second apart."""
    for number in numbers:
        clock.at += 1
        work(number, total, part)


def test_studies_are_counted_with_their_pace_and_the_time_left() -> None:
    """What is done, all there is, the pace and the time left are said, thousands separated."""
    clock = Hand()
    work = told(clock)
    at_pace(work, clock, range(500, 12_501, 500), 60_000)
    assert work.numbers("/") == ["12,500/60,000 studies", "500/s", "1:35 left"]
    assert work.line(25) == "import: 12,500 of 60,000 studies, 500/s, 1:35 left, at work for 0:25"


def test_the_pace_is_that_of_the_last_half_minute() -> None:
    """What went fast at first, such as what was in the store already, does not make the rest look quick."""
    clock = Hand()
    work = told(clock)
    at_pace(work, clock, range(5_000, 100_001, 5_000), 200_000)
    at_pace(work, clock, range(100_100, 104_001, 100), 200_000)
    assert work.numbers("/")[1:] == ["100/s", "16:00 left"]


def test_each_part_has_its_own_pace() -> None:
    """A part that begins anew is named, and counts from its beginning."""
    clock = Hand()
    work = told(clock)
    at_pace(work, clock, range(5_000, 100_001, 5_000), 100_000, "what moved")
    at_pace(work, clock, [10, 20, 30], 7230, "sweep 1 of 2")
    assert work.line(7_300) == "import, sweep 1 of 2: 30 of 7,230 studies, 10/s, 12:00 left, at work for 2:01:40"


def test_what_is_not_known_is_not_said() -> None:
    """Before the first number there is none, without a total no time left, and at the end none is left."""
    clock = Hand()
    work = told(clock)
    assert work.line(30) == "import: at work for 0:30"
    at_pace(work, clock, [0], None, "the file")
    assert work.line(31) == "import, the file: at work for 0:31"
    at_pace(work, clock, [10, 20], None)
    assert work.numbers(" of ") == ["20 studies", "10/s"]
    at_pace(work, clock, [30, 30], 30)
    assert work.numbers(" of ")[0] == "30 of 30 studies"
    assert not any("left" in part for part in work.numbers(" of "))


def test_bytes_are_shown_in_megabytes_and_slow_work_by_the_minute() -> None:
    """Nobody counts bytes; a request every two seconds is 30 a minute."""
    clock = Hand()
    work = told(clock, "bytes")
    at_pace(work, clock, [1_500_000, 3_000_000], 337_472_411)
    assert work.numbers("/")[:2] == ["3.0/337.5 MB", "1.5 MB/s"]
    slow = told(clock, "requests")
    clock.at += 2
    slow(1, 3)
    assert slow.numbers("/") == ["1/3 requests", "30 a minute", "0:04 left"]


def test_a_line_is_written_now_and_then_while_the_work_goes_on() -> None:
    """The first line comes after a while, the next ones in their time, counted from the command's beginning; none after the end."""
    said: list[str] = []
    third = Event()

    def write(line: str) -> None:
        said.append(line)
        if len(said) == 3:
            third.set()

    with lines(told(Hand()), write, monotonic(), 0.01, 0.01):
        assert third.wait(10)
    number = len(said)
    assert said[0].startswith("import: at work for 0:0")
    with lines(told(Hand()), write, monotonic(), 30, 60):
        pass
    with lines(told(Hand()), write, monotonic() - 50, 30, 60):
        pass
    assert len(said) == number
    third.clear()
    said.clear()
    said += ["", ""]
    with lines(told(Hand()), write, monotonic() - 89.9, 30, 60):
        assert third.wait(10)
    assert said[2:] == ["import: at work for 1:30"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return a bulk download of 1,200 studies."""
    path = tmp_path / "ctg-studies.json.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(1, 1_201):
            study = invent(number) | {"derivedSection": {"miscInfoModule": {"versionHolder": DAYS[0]}}}
            packed.writestr(f"{number_of(study)[-2:]}/{number_of(study)}.json", orjson.dumps(study))
    return path


def test_an_import_counts_studies_on_a_terminal(tmp_path: Path, archive: Path) -> None:
    """The bar of a bulk download counts studies to its last, shows no frame of nothing, and says what was there already."""
    for again in (False, True):
        outside, inside = pty.openpty()
        ran = subprocess.Popen(  # noqa: S603 - our own program
            [SCRIPT, "import", archive.name],
            cwd=tmp_path,
            stdout=inside,
            stderr=inside,
            env={**os.environ, "COLUMNS": "140", "TERM": "xterm"},
        )
        os.close(inside)
        shown = b""
        while piece := _read(outside):
            shown += piece
        os.close(outside)
        assert ran.wait(60) == 0
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
        assert "1,200/1,200 studies" in text
        assert "0/?" not in text
        assert "0 bytes" not in text
        assert ("import, already in the store" in text) is again


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux's word for the other end being closed
        return b""
