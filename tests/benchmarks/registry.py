"""The whole registry, or a part of any size: the bulk download imported, the nightly passes of a month, and the store's care.

The studies are generated (``generator``) from real records; the import is the program's own command in a process of its own, against a bare
loop in two processes over the same zip. The passes are polls of a watch of everything, in this process, against a stand-in that makes each
record when it is asked for.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.model import Watch
from trialsync.registry.bulk import BulkZip
from trialsync.registry.client import Registry, in_process
from trialsync.store import care, codec
from trialsync.store.verify import verify
from trialsync.store.writer import Writer
from trialsync.sync.poll import poll

from .generator import GeneratedRegistry
from .measuring import Result, say, seconds
from .whole_registry import WholeRegistry

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trialsync.registry.bulk import BulkEntry

SEED: Final = 20260302
NIGHTS: Final = 21
"""The weekdays of a month."""

IMPORT_BUDGET: Final = 0.6
RATE_BUDGET: Final = 1_500
CORE_BUDGET: Final = 0.28
NONE_BUDGET: Final = 0.20
YEAR_BUDGET: Final = 0.10
MEMORY_BUDGET_MIB: Final = 400
_CHUNK: Final = 500
_MIB: Final = 1 << 20
_EVERYTHING: Final = Watch("all", everything=True)
_SETTINGS: Final = '[store]\npath = "{store}"\nbaseline = "{baseline}"\n\n[[watch]]\nname = "all"\neverything = true\n'
_COMMAND: Final = """
import os
import resource
import sys
from pathlib import Path
from trialsync.cli.main import main
if __name__ == "__main__":
    try:
        main()
    finally:
        peak = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
        others = os.cpu_count() * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"peak-kib={int(peak[0]) + others}", file=sys.stderr)
"""


def run(studies: int) -> Iterator[Result]:
    """Make a registry of so many studies, import it, follow it for a month, and weigh and check the store."""
    with TemporaryDirectory(prefix="trialsync-benchmark-") as name:
        folder = Path(name)
        generated = GeneratedRegistry(SEED, studies)
        archive = folder / "ctg-studies.json.zip"
        generated.write_zip(archive)
        size = sum(map(len, generated.texts()))
        say(f"  {studies:,} studies, {size:,} bytes of JSON ({size / studies:,.0f} a study), {archive.stat().st_size:,} in the zip")
        bare = timed(lambda: import_with_two_bare_processes(archive, folder / "bare.db", zstd.compress))
        as_small = timed(lambda: import_with_two_bare_processes(archive, folder / "as-small.db", codec.pack))
        ours, peak = import_with_trialsync(archive, folder, "core")
        store = folder / "core.db"
        rate = studies / ours
        yield Result("registry: import", seconds(ours), seconds(bare), bare / ours, IMPORT_BUDGET, at_least=True)
        say(f"  the bare loop that compresses as the store does: {seconds(as_small)}; against it {as_small / ours:.2f}")
        yield Result("registry: studies a second", f"{rate:,.0f}", f"{RATE_BUDGET:,}", rate / RATE_BUDGET, 1, at_least=True)
        yield Result("registry: peak memory of the import", f"{peak:,.0f} MiB", f"{MEMORY_BUDGET_MIB} MiB", peak / MEMORY_BUDGET_MIB, 1)
        weight = weigh(store)
        say(f"  bytes a study, by table and index: {by_table(store, studies)}")
        yield Result("registry: store, core baseline", per_study(weight, studies), per_study(size, studies), weight / size, CORE_BUDGET)
        again, peak = import_with_trialsync(archive, folder, "core")
        say(f"  the same import again, all of it unchanged: {seconds(again)}, {studies / again:,.0f} studies a second, {peak:,.0f} MiB")
        import_with_trialsync(archive, folder, "none")
        bare_weight = weigh(folder / "none.db")
        yield Result(
            "registry: store, no baseline", per_study(bare_weight, studies), per_study(size, studies), bare_weight / size, NONE_BUDGET
        )
        yield from nights(generated, store, weight, size)
        yield from cared_for(store, folder)


def nights(generated: GeneratedRegistry, store: Path, weight: int, size: int) -> Iterator[Result]:
    """Poll everything on each weekday of a month."""
    stand_in = WholeRegistry(generated)
    taken, requests, expected, recorded, first = [], 0, 0, 0, generated.studies
    for _ in range(NIGHTS):
        load = generated.advance()
        began = perf_counter()
        with closing(client(stand_in)) as registry, Writer.open(store, now=now, command="benchmark") as writer:
            outcome = poll(_EVERYTHING, registry=registry, writer=writer, now=now)
        taken.append(perf_counter() - began)
        assert outcome.error is None, outcome.error
        requests += outcome.poll.requests
        expected += len(load.updated) + len(load.new)
        recorded += outcome.poll.updated + outcome.poll.new
    grown = weigh(store) - weight
    say(
        f"  {NIGHTS} nights: {seconds(sum(taken) / NIGHTS)} and {requests / NIGHTS:,.0f} requests each; {expected:,} studies posted or "
        f"updated by sponsors, {recorded:,} new versions recorded, the registry's own changes that the sweep met among them"
    )
    new = generated.studies - first
    arrived, updates = new * weight // first, recorded - new
    say(
        f"  the store grew by {grown:,} bytes: about {arrived:,} by {new:,} new studies, at what a study takes, and {grown - arrived:,} "
        f"by {updates:,} updates, {(grown - arrived) / updates:,.0f} each; in a year updates alone add {(grown - arrived) * 12 / size:.3f}"
    )
    yield Result("registry: growth in a year, from a month's", f"{grown * 12:,} bytes", f"{size:,} bytes", grown * 12 / size, YEAR_BUDGET)


def cared_for(store: Path, folder: Path) -> Iterator[Result]:
    """Verify, back up and vacuum the store; a budget is none of the three's, so a pass over the file is the reference."""
    reading = timed(lambda: read_through(store))
    problems: list[str] = []
    for what, work in (
        ("verify", lambda: problems.extend(verify(store))),
        ("backup", lambda: care.backup(store, folder / "copy.db")),
        ("VACUUM", lambda: vacuum(folder / "copy.db")),
    ):
        took = timed(work)
        say(f"  {what}: {seconds(took)}, {took / max(reading, 1e-9):,.0f} times reading the file")
    yield Result("registry: problems that verify finds", str(len(problems)), "0", len(problems), 0)


def client(stand_in: WholeRegistry) -> Registry:
    """Return a client of the stand-in that never waits."""
    return Registry(
        "https://registry.example/api/v2",
        requests_per_second=1_000_000,
        contact=None,
        transport=in_process(stand_in),
        now=now,
        sleep=lambda _: None,
        monotonic=perf_counter,
    )


def import_with_trialsync(archive: Path, folder: Path, baseline: str) -> tuple[float, float]:
    """Run ``trialsync import`` on a zip; return the seconds and the peak memory in MiB, its own and a helping process's once a core."""
    settings, program = folder / f"{baseline}.toml", folder / "program.py"
    settings.write_text(_SETTINGS.format(store=folder / f"{baseline}.db", baseline=baseline))
    program.write_text(_COMMAND)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TRIALSYNC_")} | {"PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, str(program), "--config", str(settings)]
    if not (folder / f"{baseline}.db").exists():
        subprocess.run([*command, "init"], env=environ, check=True, capture_output=True)  # noqa: S603 - our own program
    began = perf_counter()
    ran = subprocess.run([*command, "import", str(archive)], env=environ, capture_output=True, text=True, check=False)  # noqa: S603
    took = perf_counter() - began
    assert ran.returncode == 0, ran.stderr
    return took, int(ran.stderr.rpartition("peak-kib=")[2]) * 1024 / _MIB


def import_with_two_bare_processes(archive: Path, store: Path, compress: Callable[[bytes], bytes]) -> None:
    """Inflate, parse, dump sorted, digest and compress in two processes; insert one row a study here."""
    with closing(sqlite3.connect(store)) as connection, ProcessPoolExecutor(2, get_context("spawn")) as pool, archive.open("rb") as stream:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE versions (nct_id TEXT PRIMARY KEY, digest BLOB, content BLOB) STRICT")
        entries = BulkZip(stream).entries()
        chunks = iter(lambda: list(islice(entries, _CHUNK)), [])
        with connection:
            for rows in pool.map(bare_rows, *zip(*((archive, chunk, compress) for chunk in chunks), strict=True)):
                connection.executemany("INSERT INTO versions VALUES (?, ?, ?)", rows)


def bare_rows(archive: Path, entries: list[BulkEntry], compress: Callable[[bytes], bytes]) -> list[tuple[str, bytes, bytes]]:
    """Return what the bare loop inserts of some entries."""
    rows = []
    with archive.open("rb") as stream:
        source = BulkZip(stream)
        for entry in entries:
            study = orjson.loads(source.open(entry).read())
            text = orjson.dumps(study, option=orjson.OPT_SORT_KEYS)
            number = study["protocolSection"]["identificationModule"]["nctId"]
            rows.append((number, blake2b(text, digest_size=16).digest(), compress(text)))
    return rows


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = perf_counter()
    work()
    return perf_counter() - began


def weigh(store: Path) -> int:
    """Return the bytes of a store once its log is written back."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return store.stat().st_size


def by_table(store: Path, studies: int) -> str:
    """Return how many bytes a study each table and index of a store takes, the largest first, and how many of them are empty."""
    with closing(sqlite3.connect(store)) as connection:
        sql = "SELECT name, sum(pgsize) / ?1, sum(unused) / ?1 FROM dbstat GROUP BY name HAVING sum(pgsize) >= 10 * ?1 ORDER BY 2 DESC"
        try:
            return ", ".join(f"{name} {taken:,} ({empty:,} empty)" for name, taken, empty in connection.execute(sql, (studies,)))
        except sqlite3.OperationalError:
            return "this SQLite can't say"


def vacuum(store: Path) -> None:
    """Have SQLite write a store anew."""
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("VACUUM")


def read_through(store: Path) -> None:
    """Read a file from end to end."""
    with store.open("rb") as file:
        while file.read(1 << 20):
            pass


def per_study(size: int, studies: int) -> str:
    """Return bytes for each study."""
    return f"{size / studies:,.0f} bytes a study"


def now() -> datetime:
    """Return the instant."""
    return datetime.now(UTC)
