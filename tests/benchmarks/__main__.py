"""Measure what the budgets speak of, each against a reference in the same run.

    .venv/bin/python -m tests.benchmarks [compare | unchanged | importing | memory]...

Prints one line a budget, and ends with 1 where one is missed. All of them take about ten minutes, ``memory`` most of it.
"""

from __future__ import annotations

import argparse
import sys

from trialsync import log

from . import compare, importing, memory, unchanged
from .corpus import IS_REAL
from .measuring import say

BENCHMARKS = {"compare": compare.run, "unchanged": unchanged.run, "importing": importing.run, "memory": memory.run}


def main() -> int:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (all by default)")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    log.configure(sys.stderr, level="error", format="auto", environ={})
    say(f"on {'the real records beside the project' if IS_REAL else 'the records of the sandbox'}")
    results = []
    for name in names:
        for result in BENCHMARKS[name]():
            say(str(result))
            results.append(result)
    return 0 if all(result.is_kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
