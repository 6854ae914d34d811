"""Peak memory of importing a hundred thousand studies, in a process of its own that reads them from a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import cycle
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING

from .corpus import first_load
from .measuring import Result, say

if TYPE_CHECKING:
    from collections.abc import Iterator

STUDIES = 100_000
BUDGET_MIB = 300
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
