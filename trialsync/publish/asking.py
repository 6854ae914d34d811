"""What a watch asks, in words, and where the registry's own pages answer the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from trialsync.publish.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trialsync.model import Watch

_REGISTRY: Final = "https://clinicaltrials.gov"
_TEXTS: Final = {
    "query.cond": "condition",
    "query.term": "other terms",
    "query.intr": "intervention",
    "query.titles": "title",
    "query.outc": "outcome",
    "query.spons": "sponsor or collaborator",
    "query.lead": "lead sponsor",
    "query.id": "study number",
    "query.patient": "for patients",
    "query.locn": "place",
}
_OTHERS: Final = {
    "filter.overallStatus": "status",
    "filter.geo": "near",
    "filter.ids": "studies",
    "filter.advanced": "expression",
    "filter.synonyms": "synonyms",
    "aggFilters": "filters",
    "geoDecay": "nearness",
}
_STATUSES: Final = {
    "RECRUITING": "rec",
    "NOT_YET_RECRUITING": "not",
    "ACTIVE_NOT_RECRUITING": "act",
    "COMPLETED": "com",
    "TERMINATED": "ter",
    "ENROLLING_BY_INVITATION": "enr",
    "SUSPENDED": "sus",
    "WITHDRAWN": "wit",
    "UNKNOWN": "unk",
}
_NUMBERS: Final = 10
_MOST_NUMBERS: Final = 40


def asked_in_words(watch: Watch) -> str:
    """Return what a watch asks: ``condition Parkinson Disease; status recruiting or not yet recruiting``."""
    if watch.everything:
        return "the whole registry"
    if watch.nct_ids:
        more = len(watch.nct_ids) - _NUMBERS
        shown = ", ".join(watch.nct_ids[:_NUMBERS])
        noun = "study" if len(watch.nct_ids) == 1 else "studies"
        return f"{len(watch.nct_ids):,} named {noun}: {shown}{f' and {more:,} more' if more > 0 else ''}"
    parts = [f"{_TEXTS.get(name) or _OTHERS.get(name, name)} {_either(name, values)}" for name, values in watch.query.items()]
    return "; ".join(parts)


def search_address(watch: Watch) -> str | None:
    """Return the registry's own search page for what a watch asks, ``None`` where that page can't ask it."""
    if watch.everything:
        return f"{_REGISTRY}/search"
    if watch.nct_ids:
        if len(watch.nct_ids) > _MOST_NUMBERS:
            return None
        return f"{_REGISTRY}/search?{urlencode({'term': ' OR '.join(watch.nct_ids)})}"
    pairs = _pairs(watch.query)
    return f"{_REGISTRY}/search?{urlencode(pairs)}" if pairs else None


def _pairs(query: Mapping[str, Sequence[str]]) -> list[tuple[str, str]] | None:
    """Return the parameters of the search page for those of the API, ``None`` where one of them has no counterpart."""
    pairs: list[tuple[str, str]] = []
    facets: list[str] = []
    for name, values in query.items():
        if name in _TEXTS:
            pairs.append((name.removeprefix("query."), values[0] if len(values) == 1 else " OR ".join(f"({value})" for value in values)))
        elif name == "filter.overallStatus" and all(value in _STATUSES for value in values):
            facets.append(f"status:{' '.join(_STATUSES[value] for value in values)}")
        elif name == "aggFilters":
            facets += values
        else:
            return None
    return [*pairs, *([("aggFilters", ",".join(facets))] if facets else [])]


def _either(name: str, values: Sequence[str]) -> str:
    texts = [one_line(value) for value in values]
    if name == "filter.overallStatus":
        texts = [text.replace("_", " ").lower() for text in texts]
    return " or ".join(texts)
