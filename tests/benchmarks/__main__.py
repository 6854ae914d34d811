"""Measure what the budgets speak of, each against a reference in the same run.

    .venv/bin/python -m tests.benchmarks [compare | unchanged | importing | memory]...
    .venv/bin/python -m tests.benchmarks soak [--minutes 15]
    .venv/bin/python -m tests.benchmarks registry [--studies 20000]
    .venv/bin/python -m tests.benchmarks asking [--studies 20000 --changes 400000] [--keep FOLDER]
    .venv/bin/python -m tests.benchmarks side_by_side [--studies 4900]

Prints one line a budget, and ends with 1 where one is missed. All of them take about ten minutes, ``memory`` most of it; the soak of the
daemon, the whole registry (606,000 studies take about an hour, and 20 GB of disk), the questions to a large store and the comparison with
another program, which has to be installed (it says how), are run where they are named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from trialsync import log

from . import asking, compare, importing, memory, registry, side_by_side, soak, unchanged
from .corpus import IS_REAL
from .measuring import say

APART = "soak, registry, asking, side_by_side"
STUDIES = 20_000
BENCHMARKS = {"compare": compare.run, "unchanged": unchanged.run, "importing": importing.run, "memory": memory.run}


def main() -> int:
    """Run the benchmarks that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (these by default), {APART}")
    parser.add_argument("--minutes", type=float, default=15.0, help="how long soak goes on (15)")
    parser.add_argument("--studies", type=int, help="how large a registry, or the store that is asked, is (20,000; side_by_side 4,900)")
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="where the store that is asked is kept (the folder for temporary files)"
    )
    parser.add_argument("--changes", type=int, default=asking.CHANGES, help="how many changes the store that is asked has (400,000)")
    asked = parser.parse_args()
    apart = {
        "soak": lambda: soak.run(asked.minutes),
        "registry": lambda: registry.run(asked.studies or STUDIES),
        "asking": lambda: asking.run(asked.studies or STUDIES, asked.changes, asked.keep),
        "side_by_side": lambda: side_by_side.run(asked.studies or side_by_side.STUDIES),
    }
    names = asked.names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS) - set(apart):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    log.configure(sys.stderr, level="error", format="auto", environ={})
    say(f"on {'the real records beside the project' if IS_REAL else 'the records of the sandbox'}")
    results = []
    for name in names:
        for result in (BENCHMARKS | apart)[name]():
            say(str(result))
            results.append(result)
    return 0 if all(result.is_kept for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
