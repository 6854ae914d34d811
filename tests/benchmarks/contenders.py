"""The two programs that ``side_by_side`` compares, each run as its own users run it: a command and a process for each poll.

What was adapted of biocatalystfeed: the address that its client asks; its pause of 1.3 seconds between requests, which is taken away as
trialsync's is; and its ``--max``, 200 by default, at which it cuts off what it finds, is set beyond every count. What it fetches, compares
and records was not touched. trialsync runs by its defaults but for the address and the pace.
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Final

import orjson

from trialsync.registry.sandbox import Sandbox

from .corpus import PROJECT
from .truth import COUNTED, PLACES, Told, lies_within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIEnvironment

VERSION: Final = "0.3.3"
"""The biocatalystfeed that was read and is measured."""

INTERPRETER: Final = PROJECT / ".venv-benchmark" / "bin" / "python"
_WATCH: Final = "all"
_MIB: Final = 1 << 20
_PEAK: Final = """finally:
    peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    print(f"peak-kib={peak[0]}", file=sys.stderr)
"""
_OURS: Final = f"""
import sys
from trialsync.cli.main import main
try:
    main()
{_PEAK}"""
_THEIRS: Final = f"""
import sys
from functools import partial
from biocatalystfeed.cli import main
from trialwatch import cli, client
client.BASE = sys.argv.pop(1)
cli.CTGovClient = partial(client.CTGovClient, min_interval=0.0)
try:
    sys.exit(main())
{_PEAK}"""
_SETTINGS: Final = """[store]
path = "{store}"

[registry]
api_url = "{api_url}"
requests_per_second = 1_000_000.0

[[watch]]
name = "{watch}"
everything = true
"""


class Counted(Sandbox):
    """A sandbox that also counts the bytes of the bodies that it sends, and the seconds in which it makes them."""

    sent = 0
    busy = 0.0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        began = perf_counter()
        parts = list(super().__call__(environ, start_response))
        self.sent += sum(map(len, parts))
        self.busy += perf_counter() - began
        return parts


@dataclass(frozen=True, slots=True)
class Cost:
    """What polls cost: seconds passed, those in which the sandbox was at work, those of its processor, peak memory in MiB, and counts.

    ``received`` and ``store`` are bytes; ``rows`` counts the changes that were recorded.
    """

    passed: float
    sandbox: float
    processor: float
    peak: float
    requests: float
    received: float
    rows: float
    store: float


class Tool(ABC):
    """One of the two, with a folder and a store of its own; its modules were read once, so that the first poll finds them at hand."""

    name: ClassVar[str]
    _rows: ClassVar[str]
    """How many rows of changes a store holds, in SQL."""

    def __init__(self, folder: Path, sandbox: Counted, api_url: str) -> None:
        self.folder, self.sandbox, self.api_url = folder / self.name, sandbox, api_url
        self.folder.mkdir()
        self.store = self.folder / "store.db"

    @abstractmethod
    def poll(self) -> float:
        """Poll once; return the process's peak memory in MiB."""

    @abstractmethod
    def told(self, loads: Sequence[str], known: Collection[str]) -> Told:
        """Return what it tells of the polls so far, which were on these loads; ``known`` are the places that records have."""

    @abstractmethod
    def held(self) -> str:
        """Return in words what its store holds."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return its command, to which arguments are added."""

    def measured(self) -> Cost:
        """Poll once, and return what it cost."""
        rows, requests, sent, busy = self._count(self._rows), self.sandbox.requests, self.sandbox.sent, self.sandbox.busy
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
        peak = self.poll()
        passed, after = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        return Cost(
            passed=passed,
            sandbox=self.sandbox.busy - busy,
            processor=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            peak=peak,
            requests=self.sandbox.requests - requests,
            received=self.sandbox.sent - sent,
            rows=self._count(self._rows) - rows,
            store=sum(path.stat().st_size for path in self.folder.glob("store.db*")),
        )

    def _run(self, *arguments: str) -> tuple[str, float]:
        """Run its command; return what it printed, and its peak memory in MiB. Raises RuntimeError with what it said where it fails."""
        environ = {name: value for name, value in os.environ.items() if "TRIALSYNC" not in name and not name.upper().endswith("_PROXY")}
        done = subprocess.run(  # noqa: S603 - the two programs that are measured
            [*self._command(), *arguments], cwd=self.folder, env=environ, capture_output=True, check=False
        )
        said, _, peak = done.stderr.decode().rpartition("peak-kib=")
        if done.returncode:
            raise RuntimeError(f"{self.name} {' '.join(arguments)} ended with {done.returncode}: {said}")
        return done.stdout.decode(), int(peak) * 1024 / _MIB

    def _objects(self, *arguments: str) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self._run(*arguments)[0].splitlines()]

    def _count(self, *questions: str) -> int:
        """Return the sum of what SQL counts; 0 where there is no store yet."""
        if not self.store.exists():
            return 0
        with closing(sqlite3.connect(self.store)) as connection:
            return sum(int(connection.execute(question).fetchone()[0]) for question in questions)


class Trialsync(Tool):
    """This program, by its defaults."""

    name = "trialsync"
    _rows = "SELECT count(*) FROM changes"

    def __init__(self, folder: Path, sandbox: Counted, api_url: str) -> None:
        super().__init__(folder, sandbox, api_url)
        (self.folder / "trialsync.toml").write_text(_SETTINGS.format(store=self.store, api_url=api_url, watch=_WATCH))
        self._run("init")
        self._run("sync", "--help")

    def _command(self) -> list[str]:
        return [sys.executable, "-c", _OURS, "--config", str(self.folder / "trialsync.toml")]

    def poll(self) -> float:
        """Poll once; return the process's peak memory in MiB."""
        return self._run("sync")[1]

    def held(self) -> str:
        """Return in words what its store holds."""
        studies, versions = self._count("SELECT count(*) FROM studies"), self._count("SELECT count(*) FROM versions")
        baseline = self._count("SELECT sum(json_array_length(rows)) FROM baselines")
        return f"{studies:,} studies, {versions:,} whole versions, {self._count(self._rows):,} changes, {baseline:,} baseline rows"

    def told(self, loads: Sequence[str], known: Collection[str]) -> Told:
        """Return what it tells of the polls so far, which were on these loads, asked by its own command."""
        rows = self._objects("changes", "--all", "--limit", "0", "--format", "jsonl")
        assert {row["load"] for row in rows} <= set(loads)
        paths = {each["name"]: each["path"] for each in self._objects("fields", "--format", "jsonl")}
        return told_by_rows(rows, paths, known, watch=_WATCH)


def told_by_rows(rows: Iterable[Mapping[str, Any]], paths: Mapping[str, str], known: Collection[str], *, watch: str) -> Told:
    """Return what rows of the change log tell.

    ``paths`` has for each field where it stands in a record, ``known`` the places that records have.
    """
    found = Told(has_values=True)
    lengths: Counter[tuple[tuple[str, str], str]] = Counter()
    for row in rows:
        key, name = (row["load"], row["nct_id"]), row["field"]
        if name in {f"watch.{watch}", "registry.presence"}:
            # A study that the registry has no more stays in a watch of everything; what became of it is its presence.
            {"removed": found.gone, "merged": found.gone, "withheld": found.withheld}.get(row["after"], found.new).add(key)
            continue
        path = paths.get(name, name)
        place = place_of(path, row["attribute"], known)
        fields = [name for name, places in PLACES.items() if any(lies_within(each, place) for each in places)]
        found.add(key, (place,), fields, before=row["before"], after=row["after"])
        if path in COUNTED.values() and row["attribute"] is None:
            lengths[key, path] += _members(row, row["after"]) - _members(row, row["before"])
    for (key, path), longer in lengths.items():
        if longer:
            found.fields[key].update(name for name, counted in COUNTED.items() if counted == path)
    return found


def place_of(path: str, attribute: str | None, known: Collection[str]) -> str:
    """Return the place of an attribute: the longest that its words name in their order, the keys of items inside items left out."""
    found = [path]
    for place in known if attribute else ():
        words = place.removeprefix(f"{path}.").split(".") if place.startswith(f"{path}.") else []
        for end in range(len(words), len(found[-1].split(".")) - len(path.split(".")), -1):
            if re.fullmatch(r"(\..*?)?\.".join(map(re.escape, words[:end])) + r"(\..*)?", attribute or "", re.DOTALL):
                found.append(".".join((path, *words[:end])))
                break
    return found[-1] if len(found) > 1 or not attribute else f"{path}.{attribute}"


def _members(row: Mapping[str, Any], side: Any) -> int:
    """Return how many items one side of a row holds: the row of a whole list has them all, that of an item just this."""
    return (side is not None) if row["item"] is not None else len(side or ())


class BioCatalystFeed(Tool):
    """The other one, in an environment of its own."""

    name = "biocatalystfeed"
    _rows = "SELECT count(*) FROM changes"

    def __init__(self, folder: Path, sandbox: Counted, api_url: str) -> None:
        super().__init__(folder, sandbox, api_url)
        self._run("watch", "--help")

    def _command(self) -> list[str]:
        return [str(INTERPRETER), "-c", _THEIRS, self.api_url, "trials", "--db", str(self.store)]

    def poll(self) -> float:
        """Poll once; return the process's peak memory in MiB."""
        return self._run("watch", "--name", _WATCH, "--max", "1000000")[1]

    def held(self) -> str:
        """Return in words what its store holds."""
        studies, changes = self._count("SELECT count(*) FROM trials"), self._count(self._rows)
        return f"{studies:,} studies as they were last seen, in 25 values each, {changes:,} changes"

    def told(self, loads: Sequence[str], known: Collection[str]) -> Told:
        """Return what it tells of the polls so far, which were on these loads, asked by its own command."""
        del known
        found = Told(has_values=False)
        for row in self._objects("changes", "--name", _WATCH, "--json"):
            key = (loads[row["run_id"] - 1], row["nct_id"])
            if row["kind"] == "new_trial":
                found.new.add(key)
            else:
                found.add(key, PLACES[row["field"]], (row["field"],))
        return found


def absence() -> str | None:
    """Return a sentence that says how to install the other one where it is not there, or is another version."""
    install = ".venv/bin/python -m venv --without-pip .venv-benchmark && .venv/bin/pip --python .venv-benchmark install --group benchmark"
    version = "from importlib.metadata import version; print(version('biocatalystfeed'))"
    if INTERPRETER.is_file():
        asked = subprocess.run([INTERPRETER, "-c", version], capture_output=True, text=True, check=False)  # noqa: S603 - ours
        if asked.stdout.strip() == VERSION:
            return None
    return f"biocatalystfeed {VERSION} is wanted in an environment of its own: {install}"
