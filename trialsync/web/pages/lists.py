"""The pages that list: a sponsor's studies, the vocabulary, the rules of facts, and what this is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import STATUSES
from trialsync.store.filters import ChangeFilter
from trialsync.store.study_filters import StudyFilter
from trialsync.study.facts import FACTS
from trialsync.study.fields import ABOUT_THE_WHOLE, FIELDS
from trialsync.sync.health import health
from trialsync.web.api.filters import STUDIES, study_filter
from trialsync.web.api.parameters import Parameter, read
from trialsync.web.api.values import NCT_ID, WORDS, BadValue
from trialsync.web.pages import rendering
from trialsync.web.pages.asking import linked
from trialsync.web.pages.recent import advised, lines
from trialsync.web.problems import not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from trialsync.store.reader import Reader
    from trialsync.web.answer import Answer
    from trialsync.web.desk import Desk

_STUDIES: Final = 50
_LINES: Final = 40


def sponsor(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers a sponsor's page: studies whose lead sponsor's name holds these words, and their recent changes."""
    table = (Parameter("after", NCT_ID, "Studies with a greater number."),)

    def answered(request: Request, reader: Reader) -> Answer:
        try:
            name = str(WORDS.read("sponsor", request.path_params["name"], desk.now()))
        except BadValue:
            raise not_found("there is no such sponsor") from None
        asked = read(request.scope["query_string"], table, desk.now())
        after = asked.one("after")
        found = list(reader.find_studies(StudyFilter(sponsors=(name,)), after=after, limit=_STUDIES + 1))
        if not found and after is None:
            raise not_found(f"no study in the store has a lead sponsor with these words: {name}", word="unknown-sponsor")
        studies = found[:_STUDIES]
        return rendering.page(
            "sponsor.html",
            name=name,
            studies=studies,
            names=sorted({study.sponsor for study in studies if study.sponsor}),
            next=linked(f"/sponsors/{rendering.segment(name)}", asked.but(after=studies[-1].nct_id)) if len(found) > _STUDIES else None,
            found=lines(desk, reader, ChangeFilter(sponsors=(name,), housekeeping=False), limit=_LINES) if after is None else None,
        )

    return answered


def studies(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers the studies in the store: by words in title and conditions, sponsor, status, country and watch."""
    table = tuple(each for each in STUDIES if each.name != "limit")

    def answered(request: Request, reader: Reader) -> Answer:
        asked = read(request.scope["query_string"], table, desk.now())
        found = list(reader.find_studies(study_filter(asked), after=asked.one("after"), limit=_STUDIES + 1))
        shown = found[:_STUDIES]
        chosen = [pair for pair in asked.typed if pair[0] != "after"]
        return rendering.page(
            "studies.html",
            typed=dict(asked.typed),
            studies=shown,
            count=reader.study_count(),
            statuses=STATUSES,
            json=linked("/api/studies", chosen),
            csv=linked("/api/studies.csv", chosen),
            next=linked("/studies", asked.but(after=shown[-1].nct_id)) if len(found) > _STUDIES else None,
        )

    return answered


def fields(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers the vocabulary."""

    def answered(request: Request, reader: Reader) -> Answer:
        read(request.scope["query_string"], (), desk.now())
        modules: dict[str, list[object]] = {}
        for field in FIELDS:
            modules.setdefault(field.name.partition(".")[0], []).append(field)
        return rendering.page("fields.html", modules=modules, whole=ABOUT_THE_WHOLE, count=len(FIELDS), unknown=reader.unknown_fields())

    return answered


def facts(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers the rules of facts."""

    def answered(request: Request, reader: Reader) -> Answer:
        read(request.scope["query_string"], (), desk.now())
        counts, older = reader.fact_counts({rule.id: rule.rule for rule in FACTS})
        return rendering.page("facts.html", rules=FACTS, counts=counts, older=older)

    return answered


def about(desk: Desk) -> Callable[[Request, Reader], Answer]:
    """Return who answers what this is, what its words mean, and how the store stands."""

    def answered(request: Request, reader: Reader) -> Answer:
        read(request.scope["query_string"], (), desk.now())
        stands = health(reader, desk.settings, desk.now())
        # What changes with the clock alone stays out, so that the page keeps its tag between two polls.
        return rendering.page("about.html", stands=stands, advice=advised(desk, stands), note=desk.settings.site.note)

    return answered
