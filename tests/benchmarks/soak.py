"""The daemon for a quarter of an hour: loads every few seconds, faults at random, a reload, and an end in the middle of a poll.

Each load is polled before the next one comes, however long the faults make that, so that an undisturbed run over the same loads must
record the same rows. Memory and file descriptors are those of the daemon's second process, which lives for most of the time.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

# The tests' own worlds are plain modules beside them.
_TESTS: Final = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_TESTS), str(_TESTS / "sync"), str(_TESTS / "daemon")]

from following import World, columns  # noqa: E402
from generated_registry import Kinds, generate  # noqa: E402
from supervisor import QUICK, Running, wait_for, watch  # noqa: E402

from trialsync.model import Ended, Watch  # noqa: E402
from trialsync.registry.sandbox import Fault, Sandbox, serve  # noqa: E402
from trialsync.store.filters import ChangeFilter  # noqa: E402
from trialsync.store.reader import Reader  # noqa: E402
from trialsync.store.verify import verify  # noqa: E402

from .measuring import Result, say  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import LoggedChange
    from trialsync.registry.sandbox import LoadLine

_SEED: Final = 4
_EVERY_SECONDS: Final = 3.0
_LONGEST_WAIT: Final = 300.0
_WATCHES: Final = {"ataxia": "Ataxia", "migraine": "Migraine", "beside": "Something else"}
"""They share no study, so that the order in which they are polled decides nothing."""

_FAULTS: Final = tuple(
    set(Fault)
    - {
        Fault.ADVANCE,  # the soak itself brings the loads
        Fault.GZIP_BOMB,  # its size would be the memory that is measured
        Fault.FORBIDDEN,  # waits for half a minute each time
        Fault.URI_TOO_LONG,  # says that the watch itself is wrong
    }
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process held at a moment: resident memory in KiB, and open file descriptors."""

    seconds: float
    memory: int
    files: int

    @classmethod
    def of(cls, pid: int, seconds: float) -> Sample:
        """Return what a process holds now; of its open files the fewest of some looks, which is what it has open between polls."""
        memory = next(int(line.split()[1]) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
        files = []
        for _ in range(10):
            files.append(len(os.listdir(f"/proc/{pid}/fd")))  # noqa: PTH208 - counts, and opens nothing else
            time.sleep(0.03)
        return cls(seconds, memory, min(files))

    def __str__(self) -> str:
        return f"at {self.seconds:,.0f} s {self.memory / 1024:,.1f} MiB, {self.files} file descriptors"


def run(minutes: float) -> Iterator[Result]:
    """Yield what the soak found: rows against the reference, memory and file descriptors at the end against those at the start."""
    seconds = minutes * 60
    made = generate(
        _SEED, studies=120, loads=int(seconds / _EVERY_SECONDS) + 5, first=date(2024, 1, 8), kinds=Kinds(updates=6.0, withholdings=0.0)
    )
    with tempfile.TemporaryDirectory(prefix="trialsync-soak-") as folder:
        soak = _Soak(Path(folder) / "soak", made.lines, seconds)
        soak.run()
        yield from soak.results(Path(folder) / "reference")


class _Soak:
    """One soak: the registry, the daemon, and what was seen of both."""

    def __init__(self, folder: Path, lines: list[LoadLine], seconds: float) -> None:
        folder.mkdir()
        self.folder = folder
        self.lines = lines
        self.seconds = seconds
        self.began = time.monotonic()
        self.port = 0
        self.sandbox = Sandbox(lines)
        self.chance = random.Random(_SEED)  # noqa: S311 - faults, no secret
        self.samples: list[Sample] = []
        self.faults: Counter[str] = Counter()
        self.waits: list[float] = []
        self.events: Counter[str] = Counter()
        self.said: list[str] = []

    def run(self) -> None:
        """Keep the daemon busy for the time: the second process begins after a tenth of it, the reload comes at its half."""
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        text = QUICK + f"[web]\nport = {self.port}\n" + "".join(watch(name, condition=words) for name, words in _WATCHES.items())
        with ExitStack() as stack:
            server = stack.enter_context(serve(self.sandbox))
            with Running(self.folder, text, api_url=server.api_url) as daemon:
                self._loads(daemon, self.seconds / 10)
                self._end_in_mid_poll(daemon)
            with Running(self.folder, text, api_url=server.api_url) as daemon:
                self._loads(daemon, self.seconds / 6, sampled=True)
                self._loads(daemon, self.seconds / 2, sampled=True)
                daemon.settings(text.replace('every = "1s"', 'every = "2s"', 1))
                daemon.signal(signal.SIGHUP)
                daemon.wait("daemon.reloaded")
                self._loads(daemon, self.seconds, sampled=True)
                self._say(daemon, daemon.stop())

    def _loads(self, daemon: Running, until: float, *, sampled: bool = False) -> None:
        """Bring load after load, each once the one before was polled, with faults at random, until so many seconds have passed."""
        while time.monotonic() - self.began < until and self.sandbox.loads_left:
            begun = time.monotonic()
            self._wait_for_polls(daemon)
            self.waits.append(time.monotonic() - begun)
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
                answer.read()
            if sampled:
                self.samples.append(Sample.of(daemon.process.pid, time.monotonic() - self.began))
            time.sleep(max(0.0, _EVERY_SECONDS - (time.monotonic() - begun)))
            self.sandbox.clear_faults()
            for _ in range(self.chance.choice((0, 0, 1, 1, 2, 3))):
                fault = self.chance.choice(_FAULTS)
                self.faults[fault.value] += 1
                self.sandbox.inject(fault, at=self.chance.randint(1, 6), times=self.chance.randint(1, 3), seconds=self.chance.uniform(0, 3))
            self.sandbox.advance()
        self._wait_for_polls(daemon)

    def _wait_for_polls(self, daemon: Running) -> None:
        load = self.sandbox.load

        def polled() -> bool:
            with Reader.open(daemon.store) as reader:
                latest = {row.name: row.last_complete for row in reader.watches()}
            return all((row := latest.get(name)) is not None and row.load == load for name in _WATCHES)

        wait_for(polled, f"polls of load {load}", _LONGEST_WAIT)

    def _end_in_mid_poll(self, daemon: Running) -> None:
        """Send SIGTERM while a poll waits for its studies; the next process polls that load again."""
        self.sandbox.clear_faults()
        self.sandbox.advance()
        before = self.sandbox.requests
        self.sandbox.inject(Fault.SILENT, path="/studies", seconds=60)
        wait_for(lambda: self.sandbox.requests > before and not self.sandbox.faults, "a request that hangs")
        self._say(daemon, daemon.stop())

    def _say(self, daemon: Running, code: int) -> None:
        self.events.update(each["event"] for each in daemon.events)
        self.said.append(f"  a process ended with {code}: {daemon.events[-1]['event']} after {daemon.events[-1].get('seconds')} s")
        if code:
            raise AssertionError("".join(daemon.raw[-20:]))

    def results(self, folder: Path) -> Iterator[Result]:
        """Say what happened, and yield the comparison with an undisturbed run over the same loads."""
        ours, reference = rows(self.folder / "trialsync.db"), rows(self._reference(folder))
        with Reader.open(self.folder / "trialsync.db") as reader:
            polls = Counter(row.ended.value for row in reader.polls() if row.ended)
        loads = self.sandbox.loads.index(self.sandbox.load) + 1
        say(f"  {loads} loads in {time.monotonic() - self.began:,.0f} s, each polled within {max(self.waits):.1f} s")
        say(f"  polls by how they ended: {dict(polls)}")
        say(f"  faults arranged: {dict(sorted(self.faults.items()))}")
        say(f"  events: {dict(sorted(self.events.items()))}")
        for line in self.said:
            say(line)
        # The first loads warm a process up: caches, connections, and modules that are loaded when they are needed.
        start, middle, end = self.samples[len(self.samples) // 10], self.samples[len(self.samples) // 2], self.samples[-1]
        for name, sample in (("start", start), ("middle", middle), ("end", end)):
            say(f"  {name}: {sample}")
        problems = verify(self.folder / "trialsync.db")
        say(f"  verify: {problems or 'sound'}")
        mine, theirs = Counter(map(repr, ours)), Counter(map(repr, reference))
        for only, whose in ((mine - theirs, "the daemon"), (theirs - mine, "the reference")):
            for row in list(only)[:3]:
                say(f"  {whose} alone has {row[:600]}")
        differing = (mine - theirs).total() + (theirs - mine).total()
        yield Result("soak: rows that differ from an undisturbed run", f"{len(ours):,} rows", f"{len(reference):,} rows", differing, 0)
        yield Result("soak: memory, end to start", f"{end.memory:,} KiB", f"{start.memory:,} KiB", end.memory / start.memory, 1.15)
        yield Result("soak: file descriptors, end to start", str(end.files), str(start.files), end.files / start.files, 1.15)
        yield Result("soak: damage that verify finds", str(len(problems)), "0", len(problems), 0)

    def _reference(self, folder: Path) -> Path:
        """Poll the same loads one by one, with nothing in the way; return the store."""
        folder.mkdir()
        world = World(folder, self.lines)
        while True:
            for name, words in _WATCHES.items():
                ended = world.poll(Watch(name, query={"query.cond": (words,)})).poll.ended
                if ended not in {Ended.COMPLETE, Ended.NOTHING_NEW}:
                    raise AssertionError(f"{name} ended {ended} on load {world.sandbox.load}")
            if world.sandbox.load == self.sandbox.load:
                return world.store
            world.advance()


def rows(store: Path) -> list[dict[str, object]]:
    """Return the whole change log of a store but for what depends on when it was polled."""
    with Reader.open(store) as reader:
        found: list[LoggedChange] = list(reader.changes(ChangeFilter(baseline=True)))
    return columns(found, but=("id", "seen"))
