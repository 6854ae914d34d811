"""A study's versions one by one, each with the content that it was compared with when it arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trialsync.model import Origin
from trialsync.store import contents
from trialsync.study import record
from trialsync.study.diff import diff

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    given: tuple[int | None, int | None]
    old: Study | None
    new: Study
    hidden: bool

    def changes(self) -> list[Change]:
        """Return the changes that lead to the version, none for the first one."""
        return [] if self.old is None or self.hidden else diff(self.old, self.new)


def steps(connection: Connection, nct_id: str, rule: str = "v.rule") -> Iterator[Step]:
    """Yield a study's versions from the first on; ``rule`` is the SQL of a version's rule, of ``versions v``.

    A study that is withheld is compared with its last open version when it comes back. Raises StoreDamaged for a content that can't be
    read.
    """
    rows = f"SELECT v.id, v.date, v.origin, {rule}, v.first_change, v.last_change FROM versions v WHERE v.nct_id = ? ORDER BY v.number"  # noqa: S608 - constants
    known = list(connection.rows(rows, (nct_id,)))
    old: Study | None = None
    last_open: Study | None = None
    for (version_id, date, origin, made_by, *given), (number, new) in zip(
        known, contents.studies_from_first(connection, nct_id), strict=True
    ):
        was_withheld, is_withheld = old is not None and record.is_withheld(old), record.is_withheld(new)
        base = (last_open or old) if was_withheld and not is_withheld else old
        hidden = old is not None and is_withheld and not was_withheld
        yield Step(version_id, number, date, Origin(origin), made_by, (given[0], given[1]), base, new, hidden)
        old = new
        if not is_withheld:
            last_open = new
