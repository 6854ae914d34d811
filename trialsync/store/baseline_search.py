"""The baseline rows that a filter wants, in the log's order, a version's at a time."""

# ruff: noqa: S608 - statements are put together from constants; every value is bound

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from trialsync.store.filters import BASELINE, conditions
from trialsync.store.ranges import Counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.store.connection import Connection
    from trialsync.store.filters import ChangeFilter
    from trialsync.store.ranges import Range


class BaselineSearch:
    """A filter over the baseline rows of one range of the log; whether it wants any is not asked.

    With ``many``, very many rows will be read or counted. Columns that are asked for are of ``baselines b``, ``json_each(b.rows) j``,
    ``fields f``, ``versions v`` and ``studies s``. Raises BadFilter, UnknownWatch.
    """

    def __init__(self, connection: Connection, wanted: ChangeFilter, within: Range, *, many: bool = False) -> None:
        self._db = connection
        self._found = conditions(connection, wanted, BASELINE, many=many)
        self._order = within.order
        low, high = within.bounds
        # Rows that are packed together go by the id of their first.
        before = connection.value("SELECT max(id) FROM baselines WHERE id <= ?", (low,))
        self._bounds = (low if before is None else before, high, low, high)
        # A few studies are looked up; otherwise the rows are walked in their order, and never put in order.
        self._way = "INDEXED BY baselines_by_version" if wanted.studies else "NOT INDEXED"

    def rows(self, columns: str = BASELINE.id) -> Iterator[tuple[Any, ...]]:
        """Yield these columns of the rows that the filter wants, by id, one at a time; the first column has to be the id."""
        # SQLite would put all of them in order, not only those that stand together.
        statement = self._statement(f"b.id, {columns}", f"ORDER BY b.id {self._order}")
        found = self._db.rows(statement, (*self._found.parameters, *self._bounds))
        for _, together in groupby(found, key=itemgetter(0)):
            yield from sorted((row[1:] for row in together), key=itemgetter(0), reverse=self._order == "DESC")

    def count(self, *, most: int | None = None, looked: int | None = None) -> Counted:
        """Return how many rows the filter wants, without counting past ``most`` or looking at many more than ``looked``."""
        first, last, low, high = self._bounds
        whole = True
        if looked is not None:
            end = self._db.row(
                f"SELECT b.id, {BASELINE.id} FROM baselines b NOT INDEXED CROSS JOIN json_each(b.rows) j WHERE {_WITHIN} "
                f"ORDER BY b.id {self._order} LIMIT 1 OFFSET ?",
                (*self._bounds, looked),
            )
            if end is not None:
                low, high, whole = (max(low, end[0]), high, False) if self._order == "DESC" else (low, end[1], False)
                first = end[0] if self._order == "DESC" else first
        statement = self._statement("1", "LIMIT ?")
        bounds = (first, min(last, high), low, high)
        rows = self._db.value(f"SELECT count(*) FROM ({statement})", (*self._found.parameters, *bounds, -1 if most is None else most))
        return Counted(rows, whole and (most is None or rows < most))

    def _statement(self, columns: str, end: str) -> str:
        return f"SELECT {columns} FROM baselines b {self._way} {BASELINE.joined} WHERE {self._found.where} AND {_WITHIN} {end}"


_WITHIN: Final = f"b.id BETWEEN ? AND ? AND {BASELINE.id} BETWEEN ? AND ?"
