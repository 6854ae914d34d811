"""Measure what the budgets speak of, each against a reference in the same run.

    .venv/bin/python -m tests.benchmarks [compare | unchanged | importing | memory]...
    .venv/bin/python -m tests.benchmarks soak [--minutes 15]

Prints one line a budget, and ends with 1 where one is missed. All of them take about ten minutes, ``memory`` most of it; the soak of the
daemon is run where it is named alone.
"""

from __future__ import annotations

import argparse
import sys

from trialsync import log

from . import compare, importing, memory, soak, unchanged
from .corpus import IS_REAL
from .measuring import say

BENCHMARKS = {"compare": compare.run, "unchanged": unchanged.run, "importing": importing.run, "memory": memory.run}


def main() -> int:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (these by default), soak")
    parser.add_argument("--minutes", type=float, default=15.0, help="how long soak goes on (15)")
    asked = parser.parse_args()
    names = asked.names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS) - {"soak"}:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    log.configure(sys.stderr, level="error", format="auto", environ={})
    say(f"on {'the real records beside the project' if IS_REAL else 'the records of the sandbox'}")
    results = []
    for name in names:
        for result in soak.run(asked.minutes) if name == "soak" else BENCHMARKS[name]():
            say(str(result))
            results.append(result)
    return 0 if all(result.is_kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
