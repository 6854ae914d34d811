"""A study's versions one by one, each with the content that it was compared with when it arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trialsync.model import Origin
from trialsync.store import contents
from trialsync.store.rows import sound
from trialsync.study import record
from trialsync.study.seam import changes_between

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trialsync.model import Change, Study
    from trialsync.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Step:
    """A version and what it was compared with when it arrived: ``old`` is ``None`` for a study's first version, the baseline.

    ``hidden`` is true where the study turned withheld: then a row about its presence says so, and no others. ``rule`` is that of the
    comparison which made the rows that stand.
    """

    version_id: int
    number: int
    date: str
    origin: Origin
    rule: int
    old: Study | None
    old_origin: Origin
    new: Study
    hidden: bool

    def changes(self) -> list[Change]:
        """Return the changes that lead to the version, none for the first one."""
        return [] if self.old is None or self.hidden else changes_between(self.old, self.old_origin, self.new, self.origin)


def steps(connection: Connection, nct_id: str) -> Iterator[Step]:
    """Yield a study's versions from the first on.

    A version is compared with the one before. What was polled or imported after an earlier poll or import stays compared with that one,
    though versions of the registry's history may have been filled in between: its changes were told when it was seen, and are never
    rewritten. A study that was withheld is compared with its last open version when it comes back, likewise the last that was polled or
    imported. Raises StoreDamaged for a version that can't be read.
    """
    rows = "SELECT id, date, origin, rule FROM versions WHERE nct_id = ? ORDER BY number"
    with sound(f"a version of {nct_id}"):
        yield from steps_of(list(connection.rows(rows, (nct_id,))), contents.studies_from_first(connection, nct_id))


def steps_of(rows: Iterable[tuple[Any, ...]], studies: Iterable[tuple[int, Study]]) -> Iterator[Step]:
    """Yield a study's versions from the first on, as ``steps`` does, of their rows and their contents with their numbers.

    A row is a version's id, date, origin, and rule.
    """
    last: tuple[Study, Origin] | None = None
    last_seen: tuple[Study, Origin] | None = None
    last_open: tuple[Study, Origin] | None = None
    last_seen_open: tuple[Study, Origin] | None = None
    for (version_id, date, origin, made_by), (number, new) in zip(rows, studies, strict=True):
        is_history = Origin(origin) is Origin.HISTORY
        base = last if is_history or last_seen is None else last_seen
        was_withheld, is_withheld = base is not None and record.is_withheld(base[0]), record.is_withheld(new)
        hidden = base is not None and is_withheld and not was_withheld
        if was_withheld and not is_withheld:
            base = (last_open if is_history or last_seen is None else last_seen_open) or base
        old, old_origin = base or (None, Origin(origin))
        yield Step(version_id, number, date, Origin(origin), made_by, old, old_origin, new, hidden)
        last = new, Origin(origin)
        if not is_history:
            last_seen = last
        if not is_withheld:
            last_open = last
            last_seen_open = last_seen_open if is_history else last
