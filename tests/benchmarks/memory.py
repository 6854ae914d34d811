"""Peak memory of importing a hundred thousand studies, and of what goes through a whole store, each in a process of its own.

The import reads from a pipe. What exports, compares, copies or rebuilds must not need more for three times as many studies.
"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from .corpus import first_load
from .generator import GeneratedRegistry
from .measuring import Result, say
from .registry import SEED, import_with_trialsync

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDIES = 100_000
BUDGET_MIB = 300
FEW, MANY = 12_000, 36_000
GROWTH = 1.15
WHOLE_MIB = 400
COMMANDS = (
    ("export", "site", "--format", "page"),
    ("export", "site", "--format", "page"),  # once more: nothing changed
    ("export", "changes.csv", "--baseline"),
    ("export", "changes.parquet", "--baseline"),
    ("export", "studies.jsonl", "--what", "studies"),
    ("export", "coverage.parquet", "--what", "coverage"),
    ("diff", "--watch", "all", "--from", "2026-01-01", "--format", "jsonl"),
    ("facts", "--overdue", "--watch", "all"),
    ("backup", "copy.db"),
    ("restore", "copy.db"),
    ("rebuild", "--dry-run"),
)
_MIB = 1 << 20

_CHILD = """
import resource, sys
from pathlib import Path
from trialsync.cli.main import main
try:
    main()
finally:
    status = Path("/proc/self/status")
    # ru_maxrss is inherited from the process that started this one; the kernel's own count for this program is not.
    own = [int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")] if status.exists() else []
    peak = own[0] if own else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak-kib={peak}", file=sys.stderr)
"""


def run() -> Iterator[Result]:
    """Measure the import, and whatever else goes through a whole store."""
    yield from importing()
    yield from going_through()


def going_through() -> Iterator[Result]:
    """Export, compare, copy and rebuild two stores of generated studies; the smaller is the reference of the larger."""
    with TemporaryDirectory(prefix="trialsync-benchmark-") as name:
        stores = {}
        for studies in (FEW, MANY):
            folder = stores[studies] = Path(name) / str(studies)
            folder.mkdir()
            GeneratedRegistry(SEED, studies).write_zip(folder / "all.zip")
            import_with_trialsync(folder / "all.zip", folder, "core")
        for command in COMMANDS:
            few, many = (peak_of(stores[studies], command) for studies in (FEW, MANY))
            told = " ".join(command)
            yield Result(f"memory: {told}, {MANY:,} studies", f"{many:,.0f} MiB", f"{few:,.0f} MiB with {FEW:,}", many / few, GROWTH)
            yield Result(f"memory: {told}", f"{many:,.0f} MiB", f"{WHOLE_MIB} MiB", many / WHOLE_MIB, 1)


def peak_of(folder: Path, command: tuple[str, ...]) -> float:
    """Run a command on a store in a folder; return its peak in MiB."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TRIALSYNC_")}
    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _CHILD, "--config", "core.toml", *command],
        cwd=folder,
        env=settings | {"PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return int(ran.stderr.rpartition("peak-kib=")[2]) * 1024 / _MIB


def importing() -> Iterator[Result]:
    """Feed the program real studies, again and again under other numbers, and ask the child for its peak."""
    texts = first_load()
    start = perf_counter()
    with TemporaryDirectory(prefix="trialsync-benchmark-") as folder:
        settings = {name: value for name, value in os.environ.items() if not name.startswith("TRIALSYNC_")}
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", _CHILD, "import", "-"],
            cwd=folder,
            env=settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stderr is not None
        for line in numbered(texts, STUDIES):
            child.stdin.write(line)
        child.stdin.close()
        told = child.stderr.read().decode()
        assert child.wait() == 0, told
        weight = sum(entry.stat().st_size for entry in os.scandir(folder))
    peak = int(told.rpartition("peak-kib=")[2]) * 1024 / _MIB
    say(f"  {STUDIES:,} studies in {perf_counter() - start:,.0f} s; the store has {weight:,} bytes")
    yield Result("memory: peak of importing 100,000 studies", f"{peak:,.0f} MiB", f"{BUDGET_MIB} MiB", peak / BUDGET_MIB, 1)


def numbered(texts: list[bytes], count: int) -> Iterator[bytes]:
    """Yield so many records, one a line, each under a number of its own."""
    for number, text in zip(range(1, count + 1), cycle(texts), strict=False):
        before, mark, after = text.partition(b'"nctId":"')
        yield b"%s%sNCT%08d%s\n" % (before, mark, number, after[after.index(b'"') :])
