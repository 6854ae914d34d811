"""The change log, page by page."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from trialsync.publish.sheets import CHANGES, change_json
from trialsync.sync.discreet import discreet, looks_inside
from trialsync.web.api.filters import LIMIT, MOST_ROWS, change_filter, check_known
from trialsync.web.api.formats import Form, address, answer, filled
from trialsync.web.problems import Problem, senseless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json, LoggedChange
    from trialsync.store.filters import ChangeFilter
    from trialsync.store.reader import Reader
    from trialsync.web.answer import Answer
    from trialsync.web.api.operations import Question
    from trialsync.web.desk import Desk


def changes(question: Question, reader: Reader) -> Answer:
    """Return the rows that are asked for, those of one study where the path names it, and where to read on.

    ``cursor`` is the greatest id among the rows, or ``after`` where there is none: asked as ``after`` it gives what came since.
    """
    asked = question.asked
    after, before = asked.one("after"), asked.one("before")
    wanted = change_filter(asked, study=question.study or None)
    check_known(reader, asked.many("study"))
    last = reader.last_id()
    if after is not None and after > last:
        raise Problem(
            410,
            "cursor-gone",
            "The cursor is not of this log",
            f"after {after} is past the log's end, {last}",
            hint="it is of another store, or of one restored; read again from 0",
        )
    newest = asked.one("order") == "newest" if asked.one("order") else after is None
    limit = limit_of(question)
    rows = told(question.desk, reader, wanted, limit + 1, after=after, up_to=None if before is None else before - 1, newest_first=newest)
    found = filled(map(change_json, rows), CHANGES, question.form, limit)
    cursor, following = after, None
    if found.first and found.last:
        cursor = max(found.first["id"], found.last["id"])
        if found.more:
            last = found.last["id"]
            following = further(question, before=last) if newest else further(question, after=last, order="oldest")
    return answer(question.form, "changes", found, beside={"cursor": cursor, "next": following}, following=following)


def told(
    desk: Desk,
    reader: Reader,
    wanted: ChangeFilter,
    limit: int | None,
    *,
    after: int | None = None,
    up_to: int | None = None,
    newest_first: bool = False,
    values: bool = True,
) -> Iterator[LoggedChange]:
    """Yield rows as they are told, ``limit`` at most: without contact persons, unless the settings show them."""
    asked = partial(reader.changes, wanted, after=after, up_to=up_to, newest_first=newest_first, values=values)
    if desk.shows_contacts:
        return asked(limit=limit)
    # Where rows are passed over, so many more are looked at.
    return islice(discreet(reader, wanted, asked(limit=None if looks_inside(wanted) else limit)), limit)


def limit_of(question: Question) -> int:
    """Return how many rows are wanted. Raises Problem (422) for more than JSON has."""
    limit = question.asked.one("limit") or LIMIT
    if question.form is Form.JSON and limit > MOST_ROWS:
        raise senseless(f"limit {limit} is more than an answer in JSON has, {MOST_ROWS:,}", hint="CSV and JSON lines have more")
    return int(limit)


def further(question: Question, **others: Json) -> str:
    """Return the address of the same question in the same form, with other values of some parameters."""
    path = question.path if question.form is Form.JSON else f"{question.path}.{question.form.value}"
    return address(path, question.asked.but(**others))
