"""The log made again from the versions, by today's rules: rows that stand keep their ids, others go, and what is new is added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from trialsync.model import Change, Kind, Tier
from trialsync.store import schema
from trialsync.store.connection import Connection, check_version, connect
from trialsync.store.remaking import Remake, remake, standing_rows
from trialsync.store.steps import steps
from trialsync.study.diff import RULE, BaselineFields, baseline
from trialsync.study.facts import Fact, facts_of, facts_of_whole
from trialsync.study.facts import Step as FactStep
from trialsync.study.facts.step import past

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from trialsync.model import Study
    from trialsync.store.steps import Step
    from trialsync.store.writer import Writer

_STUDIES_A_PAGE: Final = 20
"""So many studies are remade in one transaction: few, so that readers and a kill lose nothing by it."""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild did, or would do. ``rows`` are those of the log before it, the baseline's left out, as are those it changed.

    ``changed`` rows stay with another date, tier, maker or other facts (``facts`` of them with other facts); ``baseline`` are the baseline
    rows that it added, removed or changed; ``versions`` those that an older rule had compared.
    """

    rows: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    facts: int = 0
    baseline: int = 0
    versions: int = 0

    @property
    def differs(self) -> int:
        """Return how many rows of the log are not as today's rules make them, those that are missing included."""
        return self.added + self.removed + self.changed

    def count(self, step: Step, done: Remake, whole: int) -> None:
        """Add what was done to a version's rows, and to so many rows about the study as a whole."""
        self.versions += step.rule != RULE
        if step.old is None:
            self.baseline += len(done.added) + len(done.removed) + done.changed
        else:
            self.added += len(done.added)
            self.removed += len(done.removed)
            self.changed += done.changed
            self.facts += len(done.facts)
        self.changed += whole
        self.facts += whole


@dataclass(frozen=True, slots=True)
class _Made:
    """A version's rows as today's rules make them."""

    step: Step
    changes: Sequence[Change]
    facts: dict[int, list[Fact]]

    @property
    def is_first(self) -> bool:
        return self.step.old is None


def rebuild(writer: Writer, fields: BaselineFields, progress: Callable[[int, int | None], None] | None = None) -> Rebuilt:
    """Make log and facts again from the versions, a few studies at a time in one transaction each; return what was done.

    ``fields`` are those that get baseline rows; ``progress`` is told how many studies are done, and of how many. Rows that stand keep their
    ids, new ones get new ids. One that is killed is taken up by the next. Raises StoreDamaged for a version that can't be read, and
    StoreUnwritable; what was committed is kept.
    """
    connection = writer.connection
    done = Rebuilt(rows=_rows(connection))
    last, count, total = "", 0, connection.value("SELECT count(*) FROM studies")
    while names := _studies(connection, last):
        with writer.page():
            for nct_id in names:
                _rebuild_study(writer, nct_id, fields, done)
        last, count = names[-1], count + len(names)
        if progress is not None:
            progress(count, total)
    return done


def rebuild_study(writer: Writer, nct_id: str, fields: BaselineFields, *, older: bool = True) -> Rebuilt:
    """Make one study's log and facts again, inside a page; return what was done (``rows`` stays 0).

    Without ``older`` the versions that an older rule compared keep their rows as they are.
    """
    done = Rebuilt()
    _rebuild_study(writer, nct_id, fields, done, older=older)
    return done


def would_change(path: Path, fields: BaselineFields, progress: Callable[[int, int | None], None] | None = None) -> Rebuilt:
    """Return what a rebuild of a store would do; nothing is written, nobody is kept from writing.

    Raises StoreMissing, StoreForeign, StoreTooNew, StoreDamaged, and what bringing up an older store raises.
    """
    schema.bring_up(path)
    connection = connect(path, writable=False)
    try:
        connection.execute("BEGIN")
        check_version(connection, schema.SCHEMA)
        done = Rebuilt(rows=_rows(connection))
        tiers = dict(connection.rows("SELECT name, tier FROM fields"))
        last, count, total = "", 0, connection.value("SELECT count(*) FROM studies")
        while names := _studies(connection, last):
            for nct_id in names:
                for made in _made(connection, nct_id, fields):
                    step = made.step
                    standing = standing_rows(connection, step.version_id)
                    todo = remake(standing, made.changes, made.facts, baseline=made.is_first, date=step.date, tiers=tiers)
                    done.count(step, todo, len(list(_wholes(connection, step.version_id))))
            last, count = names[-1], count + len(names)
            if progress is not None:
                progress(count, total)
        return done
    finally:
        connection.raw.close()


def _rebuild_study(writer: Writer, nct_id: str, fields: BaselineFields, done: Rebuilt, *, older: bool = True) -> None:
    for made in _made(writer.connection, nct_id, fields):
        step = made.step
        if step.rule != RULE and not older:
            continue
        todo = writer.replace_rows(nct_id, step.number, made.changes, baseline=made.is_first, facts=made.facts)
        wholes = list(_wholes(writer.connection, step.version_id))
        for change_id, facts in wholes:
            writer.replace_facts(change_id, facts)
        done.count(step, todo, len(wholes))


def _made(connection: Connection, nct_id: str, fields: BaselineFields) -> Iterator[_Made]:
    """Yield a study's versions, oldest first, with the rows and facts that today's rules make of each."""
    behind: list[Study] = []
    for step in steps(connection, nct_id):
        if step.old is None:
            yield _Made(step, baseline(step.new, fields), {})
        else:
            changes = step.changes()
            yield _Made(step, changes, facts_of(FactStep(step.old, step.new, changes, step.date, lambda: reversed(behind))))
        behind.append(past(step.new))


def _wholes(connection: Connection, version_id: int) -> Iterator[tuple[int, list[Fact]]]:
    """Yield the rows about the study as a whole, of a version, that don't carry the facts of today's rules, with these."""
    rows = (
        "SELECT c.id, f.name, c.kind FROM changes c INDEXED BY changes_by_version JOIN occasions o ON o.change_id = c.id "
        "JOIN fields f ON f.id = c.field_id WHERE c.version_id = ?"
    )
    for number, name, kind in list(connection.rows(rows, (version_id,))):
        facts = facts_of_whole(Change(name, None, None, Kind(kind), None, None, Tier.HEADLINE, None))
        stands = [orjson.loads(text) for (text,) in connection.rows("SELECT json FROM change_facts WHERE change_id = ?", (number,))]
        if stands != facts:
            yield number, facts


def _studies(connection: Connection, after: str) -> list[str]:
    rows = connection.rows("SELECT nct_id FROM studies WHERE nct_id > ? ORDER BY nct_id LIMIT ?", (after, _STUDIES_A_PAGE))
    return [nct_id for (nct_id,) in rows]


def _rows(connection: Connection) -> int:
    return int(connection.value("SELECT count(*) FROM changes"))
