"""What a poll or an import has done so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trialsync.study.nct_set import NctSet
from trialsync.sync.losses import Losses

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Change, Slice


@dataclass(slots=True)
class Tally:
    """What a poll or an import has done so far.

    ``skipped`` holds a sentence for each record that was left out, ``notes`` what else is worth saying; ``never`` are the numbers asked for
    that the registry does not know; ``joined`` and ``left`` those whose entering or leaving the watch is news. ``seen`` are the studies
    that the load shows which will be concluded from, ``counted`` all that arrived, also of a load that a newer one has overtaken;
    ``drifted`` are the paths that the vocabulary does not know. ``slices``, where there are any, are the parts of a large watch once the
    poll has ended. ``older`` counts those among the skipped that only say what the store knows to be over, as an import that is done again
    has many. ``modules`` counts the changes by the first word of their field; ``lags`` has for each update the seconds from the day on
    which it was posted (00:00 UTC) until it was seen. ``by_registry`` are the loads in which the registry itself changed something.
    """

    studies: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    changes: int = 0
    skipped: list[str] = field(default_factory=list)
    older: int = 0
    notes: list[str] = field(default_factory=list)
    seen: NctSet = field(default_factory=NctSet)
    counted: NctSet = field(default_factory=NctSet)
    never: set[str] = field(default_factory=set)
    joined: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    drifted: set[str] = field(default_factory=set)
    losses: Losses = field(default_factory=Losses)
    slices: list[Slice] | None = None
    modules: Counter[str] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    by_registry: set[str] = field(default_factory=set)

    def recorded(self, changes: Sequence[Change]) -> None:
        """Count rows that were added to the log."""
        self.changes += len(changes)
        self.modules.update(change.field.partition(".")[0] for change in changes)
