"""Medians over alternating rounds, and how a result is told."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement against its reference. The ratio of the two is to be at most, or at least, the budget."""

    name: str
    ours: str
    reference: str
    ratio: float
    budget: float
    at_least: bool = False

    @property
    def is_kept(self) -> bool:
        """Return whether the budget is kept."""
        return self.ratio >= self.budget if self.at_least else self.ratio <= self.budget

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        verdict = "ok" if self.is_kept else "MISSED"
        measured = f"{self.name}: ours {self.ours}, reference {self.reference}, ratio {self.ratio:.3g}"
        return f"{measured} (budget {bound} {self.budget:.3g}) {verdict}"


def alternate(
    ours: Callable[[], object], reference: Callable[[], object], *, rounds: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Return the median seconds of both, measured in turns so that what else the machine does falls on both alike; one turn warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for work, taken in zip((ours, reference), times, strict=True):
            start = clock()
            work()
            if turn:
                taken.append(clock() - start)
    return median(times[0]), median(times[1])


def seconds(value: float) -> str:
    """Return a time for reading."""
    return f"{value * 1000:,.1f} ms" if value < 1 else f"{value:,.2f} s"


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
