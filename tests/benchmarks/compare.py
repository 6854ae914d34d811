"""Comparing the real updates, against DeepDiff on the same two records."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from time import process_time
from typing import TYPE_CHECKING

from deepdiff import DeepDiff

from trialsync.model import Kind
from trialsync.study.diff import diff
from trialsync.study.fingerprint import canonical

from .corpus import templates, updates
from .measuring import Result, alternate, say, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Change, Json, Study

BUDGET = 1 / 20
ROUNDS = 3


def run() -> Iterator[Result]:
    """Compare every real update both ways; count the rows of each, and those of ours that tell of nothing but another place in a list."""
    pairs = updates()
    ours, reference = alternate(
        lambda: [diff(old, new) for old, new in pairs],
        lambda: [DeepDiff(old, new) for old, new in pairs],
        rounds=ROUNDS,
        clock=process_time,
    )
    changes = [diff(old, new) for old, new in pairs]
    theirs = sum(sum(map(len, DeepDiff(old, new).values())) for old, new in pairs)
    say(f"  {len(pairs)} updates: {sum(map(len, changes)):,} rows, DeepDiff {theirs:,}")
    yield Result("compare: time of the real updates", seconds(ours), seconds(reference), ours / reference, BUDGET)
    old, new = largest_results()
    corrected, _ = alternate(lambda: diff(old, new), lambda: None, rounds=ROUNDS, clock=process_time)
    say(f"  the largest results: {len(diff(old, new)):,} rows")
    yield Result("compare: the largest results, every tenth number corrected", seconds(corrected), "1 s", corrected, 1)
    shifted = sum(map(only_shifted, changes))
    yield Result("compare: rows that are only a shifted index", str(shifted), "0", shifted, 0)


def largest_results() -> tuple[Study, Study]:
    """Return the record with the largest results that is at hand, and the same with every tenth measurement corrected."""
    found = [study for study in templates() if "resultsSection" in study]
    old = max(found, key=lambda study: len(canonical(study["resultsSection"])))
    new = deepcopy(old)
    for place, measurement in enumerate(_measurements(new)):
        if place % 10 == 0:
            measurement["value"] = f"{measurement.get('value')}0"
    return old, new


def _measurements(study: Study) -> Iterator[dict[str, Json]]:
    for measure in study["resultsSection"].get("outcomeMeasuresModule", {}).get("outcomeMeasures", []):
        for each in measure.get("classes", []):
            for category in each.get("categories", []):
                yield from category.get("measurements", [])


def only_shifted(changes: list[Change]) -> int:
    """Count the rows that say nothing: both sides equal as multisets, or an item removed and one equal to it added in the same field."""
    unchanged = sum(canonical(change.before) == canonical(change.after) for change in changes)
    removed = Counter((change.field, canonical(change.before)) for change in changes if change.kind is Kind.REMOVED)
    added = Counter((change.field, canonical(change.after)) for change in changes if change.kind is Kind.ADDED)
    return unchanged + 2 * (removed & added).total()
