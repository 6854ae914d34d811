"""Rows of the log written anew: the one place where a row that was recorded is altered or removed."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from typing import TYPE_CHECKING

from trialsync.errors import StoreDamaged, StoreError
from trialsync.store.connection import RESTORE_HINT
from trialsync.store.remaking import Remake, Standing, remake, standing_rows
from trialsync.store.seal import VERSION_COLUMNS, seal_version, version_rows
from trialsync.store.study_writer import StudyWriter
from trialsync.store.wording import wording_of
from trialsync.study.diff import RULE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trialsync.model import Change, Json


class LogWriter(StudyWriter):
    """The writer's part for rows that stand already."""

    def replace_rows(
        self,
        nct_id: str,
        number: int,
        changes: Sequence[Change],
        *,
        baseline: bool,
        facts: Mapping[int, Sequence[Mapping[str, Json]]] | None = None,
    ) -> Remake:
        """Have a version's rows be these changes, inside a page, as compared by today's rule; return what was done.

        A row that stands (field, item, attribute, kind, before and after) keeps its id, whatever else of it is new; one that does not hold
        any more is removed, with its facts and its words; what is added gets a new id. Rows about the study as a whole stay as they are.
        ``facts`` are those of a change by its place. Raises StoreError where there is no such version, StoreDamaged where what stands is
        not what was written.
        """
        self._check_page()
        row = self._db.row("SELECT id, date, rule, seal FROM versions WHERE nct_id = ? AND number = ?", (nct_id, number))
        if row is None:
            raise StoreError(f"{nct_id} has no version {number} in {self.path}")
        version_id, date, rule, mark = row
        tiers = {name: tier for name, (_, tier) in self._fields.items()}
        standing = standing_rows(self._db, version_id)
        done = remake(standing, changes, facts or {}, baseline=baseline, date=date, tiers=tiers)
        if not done and rule == RULE:
            return done
        # Sealed anew, nobody would notice it any more.
        self._check_seal(nct_id, number, version_id, rule, mark)
        for gone in done.removed:
            if not gone.baseline:
                self._remove_row(gone)
        self._db.many('UPDATE changes SET date = ?, tier = ?, "by" = ? WHERE id = ?', [(*said, number) for number, *said in done.said])
        for change_id, wanted in done.facts.items():
            self.replace_facts(change_id, wanted)
        added = [changes[place] for place in done.added]
        self._replace_baseline(version_id, standing, done, added if baseline else ())
        if not baseline:
            self._add_rows(version_id, date, added, [(facts or {}).get(place, ()) for place in done.added])
        self.seal_rows(version_id)
        return done

    def _replace_baseline(self, version_id: int, standing: Sequence[Standing], done: Remake, added: Sequence[Change]) -> None:
        """Write the baseline rows of a version that stay, as they are to be, and those that are added."""
        gone = {row.id for row in done.removed}
        tiers = {number: tier for number, _, tier, _ in done.said}
        rows = [
            (row.id, version_id, self._fields[row.field][0], row.item, tiers.get(row.id, row.tier))
            for row in standing
            if row.baseline and row.id not in gone
        ]
        for change in added:
            number, field, item, *_, tier, _, _, _ = self._baseline_row(change.field, change.item, change.tier.value)
            rows.append((number, version_id, self._fields[field][0], item, tier))
        if rows or gone:
            self._db.execute("DELETE FROM baselines WHERE version_id = ?", (version_id,))
            self._write_baseline(rows)

    def replace_facts(self, change_id: int, facts: Sequence[Mapping[str, Json]]) -> None:
        """Have a row of the log carry these facts and no others, inside a page."""
        self._check_page()
        self._db.execute("DELETE FROM change_facts WHERE change_id = ?", (change_id,))
        self._write_facts(change_id, facts)

    def seal_rows(self, version_id: int, rule: int = RULE) -> None:
        """Seal a version anew with the rows that it has now, as compared by a rule, inside a page."""
        self._check_page()
        self._db.execute("UPDATE versions SET rule = ? WHERE id = ?", (rule, version_id))
        self._db.execute("UPDATE versions SET seal = ? WHERE id = ?", (self._seal_due(version_id, rule), version_id))

    def check_seals(self, nct_id: str) -> None:
        """Raise StoreDamaged where a version of a study, or a row of the log that one brought, is not what was written."""
        sql = "SELECT number, id, rule, seal FROM versions WHERE nct_id = ? ORDER BY number"
        for number, *version in list(self._db.rows(sql, (nct_id,))):
            self._check_seal(nct_id, number, *version)

    def _check_seal(self, nct_id: str, number: int, version_id: int, rule: int, mark: int) -> None:
        if self._seal_due(version_id, rule) != mark:
            what = f"{nct_id} version {number}, or a row of the log that it brought, was altered since it was written"
            raise StoreDamaged(f"{self.path} is damaged: {what}", hint=RESTORE_HINT)

    def _seal_due(self, version_id: int, rule: int) -> int:
        """Return the seal that a version should have, as it and its rows stand."""
        columns = self._db.row(f"SELECT {VERSION_COLUMNS} FROM versions WHERE id = ?", (version_id,)) or ()
        return seal_version(columns, rule, *version_rows(self._db, version_id))

    def _remove_row(self, row: Standing) -> None:
        text = wording_of(row.before, row.after)
        if text:
            # An index without content of its own has to be told what it loses.
            self._db.execute("INSERT INTO change_words (change_words, rowid, value) VALUES ('delete', ?, ?)", (row.id, text))
        self._db.execute("DELETE FROM change_facts WHERE change_id = ?", (row.id,))
        self._db.execute("DELETE FROM changes WHERE id = ?", (row.id,))

    def _add_rows(self, version_id: int, date: str, added: Sequence[Change], facts: Sequence[Sequence[Mapping[str, Json]]]) -> None:
        for change, given in zip(added, facts, strict=True):
            row = self._row(change, date)
            self._write_rows(version_id, [row])
            self._write_words(row[0], change, given)
