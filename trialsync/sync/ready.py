"""Studies made ready for the store before it is asked anything: what of a first sight takes time, and needs no store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trialsync.store.first import First, first
from trialsync.study import record
from trialsync.study.leaves import drift

if TYPE_CHECKING:
    from trialsync.model import Study
    from trialsync.study.diff import BaselineFields


@dataclass(frozen=True, slots=True)
class Ready:
    """A study as it is recorded when nothing is known of it, and the paths in it that the vocabulary does not know."""

    first: First
    is_withheld: bool
    drifted: frozenset[str]


def ready(study: Study, fields: BaselineFields) -> Ready:
    """Return a study made ready, with the baseline rows of these fields. Raises RecordError for a record that can't be recorded."""
    return Ready(first(study, fields), record.is_withheld(study), frozenset(drift(study)))
