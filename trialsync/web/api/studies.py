"""Studies: which there are, and one of them as it is or was."""

from __future__ import annotations

from dataclasses import asdict, replace
from dataclasses import fields as parts_of
from typing import TYPE_CHECKING, Final

from trialsync.errors import BadDate
from trialsync.publish.between import NET, net_json
from trialsync.publish.privacy import difference_without_contacts, without_contacts
from trialsync.publish.render import Sheet, json_text
from trialsync.publish.sheets import VERSIONS, version_json
from trialsync.store.headlines import Headlines
from trialsync.sync.between import study_between
from trialsync.sync.pages import look
from trialsync.web.answer import Answer
from trialsync.web.api.changes import further, limit_of
from trialsync.web.api.filters import study_filter
from trialsync.web.api.formats import answer, filled
from trialsync.web.api.parameters import Parameter
from trialsync.web.api.values import Day
from trialsync.web.problems import not_found, senseless

if TYPE_CHECKING:
    from trialsync.model import Json
    from trialsync.store.reader import Reader
    from trialsync.web.api.operations import Question


STUDIES: Final = Sheet((*(part.name for part in parts_of(Headlines)), "url"), ())
"""Studies, as CSV has them."""


def study_row(study: Headlines) -> dict[str, Json]:
    """Return a study's row as a JSON object, with the address of the record at the registry."""
    return {**asdict(study), "url": f"https://clinicaltrials.gov/study/{study.nct_id}"}


def studies(question: Question, reader: Reader) -> Answer:
    """Return the rows of the studies that are asked for, by number, and where to read on."""
    limit = limit_of(question)
    rows = reader.find_studies(study_filter(question.asked), after=question.asked.one("after"), limit=limit + 1)
    found = filled((study_row(row) for row in rows), STUDIES, question.form, limit)
    following = further(question, after=found.last["nct_id"]) if found.more and found.last else None
    return answer(question.form, "studies", found, beside={"next": following}, following=following)


def study(question: Question, reader: Reader) -> Answer:
    """Return one study as it is, or as it was on a day or at a version: the registry's JSON, and what is known of it beside that."""
    asked = question.asked
    as_of, number = asked.one("as_of"), asked.one("version")
    if as_of is not None and number is not None:
        raise senseless("as_of and version together name two versions", hint="give one of them")
    if number is not None and number > (count := len(reader.versions(question.study))):
        raise not_found(f"{question.study} has no version {number}", word="unknown-version", hint=f"it has 1 to {count}")
    try:
        sight = look(reader, question.study, as_of=as_of, version=number)
    except BadDate as error:
        raise not_found(error.message, word="unknown-version", hint=error.hint) from error
    record = sight.study if question.desk.shows_contacts else without_contacts(sight.study)
    found = {
        "nct_id": question.study,
        "version": version_json(sight.version),
        "latest": sight.is_latest,
        "last_seen": sight.last_seen,
        "presence": sight.presence.value,
        "merged_into": sight.merged_into,
        "study": record,
    }
    return Answer(json_text(found).encode())


DIFFERENCE: Final = (
    Parameter("from", Day(), "The earlier day, or a time ago (90d).", required=True),
    Parameter("to", Day(), "The later day, or a time ago; today where it is not given."),
)
"""How two days are compared."""


def difference(question: Question, reader: Reader) -> Answer:
    """Return what differs between a study at the end of two days, all in all: one row a path, whatever steps led there."""
    start, end = question.asked.one("from"), question.asked.one("to") or question.desk.now().date().isoformat()
    if start > end:
        raise senseless(f"from {start} is after to {end}")
    try:
        between = study_between(reader, question.study, start, end)
    except BadDate as error:
        raise not_found(error.message, word="unknown-version") from error
    if not question.desk.shows_contacts:
        between = replace(between, changes=tuple(difference_without_contacts(between.changes)))
    return answer(question.form, "changes", filled(net_json(between), NET, question.form))


def versions(question: Question, reader: Reader) -> Answer:
    """Return a study's versions, the oldest first."""
    found = filled((version_json(version) for version in reader.versions(question.study)), VERSIONS, question.form)
    return answer(question.form, "versions", found)
