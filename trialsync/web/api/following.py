"""What is followed, what polls there were, and the vocabulary."""

from __future__ import annotations

from dataclasses import asdict
from dataclasses import fields as parts_of
from typing import TYPE_CHECKING, Final

from trialsync.model import Notice, Watch
from trialsync.publish.render import Sheet
from trialsync.publish.sheets import FACTS, FIELDS, POLLS, WATCHES, fact_json, field_json, poll_json, watch_json
from trialsync.study.facts import FACTS as RULES
from trialsync.study.fields import ABOUT_THE_WHOLE
from trialsync.study.fields import FIELDS as VOCABULARY
from trialsync.web.api.filters import LIMIT
from trialsync.web.api.formats import answer, filled
from trialsync.web.api.parameters import Parameter
from trialsync.web.api.values import NAME, Day, Whole
from trialsync.web.problems import not_found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json
    from trialsync.store.reader import Reader
    from trialsync.web.answer import Answer
    from trialsync.web.api.operations import Question
    from trialsync.web.desk import Desk

OF_POLLS: Final = (
    Parameter("watch", NAME, "Polls of this watch."),
    Parameter("limit", Whole(1, 1_000), f"At most so many, {LIMIT} by default."),
)
"""How past polls are asked for."""


def watches(question: Question, reader: Reader) -> Answer:
    """Return the watches of the settings and those that the store knows beside them."""
    return answer(question.form, "watches", filled(watch_rows(question.desk, reader), WATCHES, question.form))


def watch_rows(desk: Desk, reader: Reader) -> Iterator[dict[str, Json]]:
    """Yield a row for each watch of the settings, in their order, and for each that only the store knows any more.

    NCT numbers are those that the settings themselves name; a file of numbers is not read for it.
    """
    known = {row.name: row for row in reader.watches()}
    followed = {each.name: Watch(each.name, each.parameters, tuple(each.nct_ids or ()), each.everything) for each in desk.settings.tables}
    for name in dict.fromkeys((*followed, *known)):
        row = known.get(name)
        last, complete = (row.last, row.last_complete) if row else (None, None)
        yield watch_json(
            followed.get(name) or Watch(name),
            studies=row.members if row else None,
            load=complete.load if complete else None,
            seen_since=row.seen.oldest if row and row.seen else None,
            sweep_due=row.seen.due(desk.settings.sync.sweep_days) if row and row.seen else None,
            finished=complete.finished if complete else None,
            ended=last.ended.value if last and last.ended else None,
        )


def polls(question: Question, reader: Reader) -> Answer:
    """Return past polls and imports, the newest first."""
    watch = question.asked.one("watch")
    if watch is not None and watch not in (names := [each["name"] for each in watch_rows(question.desk, reader)]):
        raise not_found(f"there is no watch {watch!r}", word="unknown-watch", hint=f"there are {', '.join(names)}" if names else None)
    rows = reader.polls(limit=question.asked.one("limit") or LIMIT, watch=watch)
    return answer(question.form, "polls", filled((poll_json(row) for row in rows), POLLS, question.form))


def vocabulary(question: Question, reader: Reader) -> Answer:
    """Return the fields: the core in the study page's order, the rest in the registry's, what is said of a study as a whole."""
    del reader
    return answer(question.form, "fields", filled((field_json(each) for each in (*VOCABULARY, *ABOUT_THE_WHOLE)), FIELDS, question.form))


NOTICES: Final = Sheet(tuple(part.name for part in parts_of(Notice)), ())
"""Notices, as CSV has them."""

OF_NOTICES: Final = (Parameter("since", Day(), "Of this load and later ones, or a time ago."),)
"""How notices are asked for."""


def notices(question: Question, reader: Reader) -> Answer:
    """Return what the registry itself changed in many studies in one load, by load."""
    found = reader.notices(since=question.asked.one("since"))
    return answer(question.form, "notices", filled((asdict(each) for each in found), NOTICES, question.form))


def facts(question: Question, reader: Reader) -> Answer:
    """Return the rules of facts, and how many rows of the log carry each."""
    rows, _ = reader.fact_counts({rule.id: rule.rule for rule in RULES})
    listed = (fact_json(rule, rows.get(rule.id, 0) if rule.recorded else None) for rule in RULES)
    return answer(question.form, "facts", filled(listed, FACTS, question.form))
