"""Facts, and what watches ask, in words."""

from __future__ import annotations

from typing import Any

import pytest

from trialsync.model import Watch
from trialsync.publish.asking import asked_in_words, search_address
from trialsync.publish.fact_words import fact_words
from trialsync.registry.address import from_search_url
from trialsync.study.facts import FACTS

SAID: list[tuple[dict[str, Any], str]] = [
    ({"id": "stopped", "status": "TERMINATED", "reason_given": True}, "Stopped: terminated, with a reason"),
    ({"id": "stopped", "reason_given": False}, "Stopped, no reason given"),
    ({"id": "restarted", "from": "SUSPENDED"}, "Restarted after suspended"),
    ({"id": "went-unknown", "last_known": "NOT_YET_RECRUITING"}, "Status unknown, last not yet recruiting"),
    (
        {"id": "completion-slipped", "months": 12, "times": 3, "total_months": 30},
        "Completion slipped +12 months (3rd time, +30 months in all)",
    ),
    ({"id": "completion-slipped", "months": 0, "days": 2, "times": 1, "total_months": 0}, "Completion slipped +2 days"),
    (
        {"id": "completion-slipped", "months": 0, "days": 2, "times": 3, "total_months": 0, "total_days": 24},
        "Completion slipped +2 days (3rd time, +24 days in all)",
    ),
    (
        {"id": "completion-pulled-in", "months": 3, "days": 91, "type_before": "ESTIMATED", "type_after": "ACTUAL"},
        "Completion pulled in \N{MINUS SIGN}3 months, estimated → actual",
    ),
    ({"id": "completion-corrected", "months": 0, "days": None, "type_before": "ACTUAL"}, "Actual completion corrected, actual → no type"),
    ({"id": "start-moved", "months": -3}, "Start moved \N{MINUS SIGN}3 months"),
    ({"id": "enrollment-cut", "percent": 55.6, "before": 18, "after": 8, "type": "ACTUAL"}, "Enrolment cut: 18 → 8 (55.6 %), actual"),
    ({"id": "enrollment-raised", "percent": None, "before": 0, "after": 8}, "Enrolment raised: 0 → 8"),
    (
        {"id": "primary-outcome-reworded", "phase": "after-primary-completion", "with_results": True},
        "Primary outcome reworded, after primary completion with results",
    ),
    ({"id": "outcome-demoted", "to": "secondary", "phase": None}, "Primary outcome demoted to secondary"),
    ({"id": "outcome-promoted", "from": "other", "phase": "before-start"}, "Outcome promoted to primary from other, before start"),
    ({"id": "country-first-site", "country": "Japan"}, "First site in Japan"),
    ({"id": "documents-posted", "documents": ["protocol", "sap"]}, "Documents posted: protocol, sap"),
    ({"id": "publication-linked", "publications": [{"type": "DERIVED", "pmid": "7"}]}, "Publication linked: DERIVED 7"),
    ({"id": "results-outcome-type-changed", "before": "PRIMARY", "after": "POST_HOC"}, "Outcome in the results: primary → post hoc"),
    (
        {"id": "primary-outcome-removed", "phase": "after-start", "phase_basis": "estimated", "count": 3},
        "Primary outcome removed (×3), after start, by an estimated date",  # noqa: RUF001 - times
    ),
    ({"id": "sponsor-changed", "before": "A\x1b", "after": "B"}, "Sponsor changed: A␛ → B"),
    ({"id": "markup-only"}, "Markup only"),
    ({"id": "of-another-time"}, "Of another time"),
]


@pytest.mark.parametrize(("fact", "words"), SAID, ids=lambda each: each if isinstance(each, str) else "")
def test_a_fact_is_said(fact: dict[str, Any], words: str) -> None:
    """A fact's values are put into words; what has no words of its own is its id."""
    assert fact_words(fact) == words


@pytest.mark.parametrize("value", [None, True, -1, 0, 1.5, "x", [], {}, ["x"]])
def test_a_fact_of_any_values_is_said(value: Any) -> None:
    """No value, of a rule however old, makes a fault."""
    names = [
        "status",
        "reason_given",
        "from",
        "to",
        "last_known",
        "months",
        "days",
        "times",
        "total_months",
        "percent",
        "before",
        "after",
        "type",
        "phase",
        "country",
        "documents",
        "publications",
        "type_before",
        "type_after",
        "total_days",
        "phase_basis",
        "count",
    ]
    for rule in FACTS:
        assert fact_words({"id": rule.id, **dict.fromkeys(names, value)})


QUERY = {"query.cond": ("Parkinson Disease",), "filter.overallStatus": ("RECRUITING", "NOT_YET_RECRUITING"), "aggFilters": ("phase:2 3",)}


def test_a_watch_is_said() -> None:
    """A query reads as a sentence; numbers are counted; the whole registry is called so."""
    assert asked_in_words(Watch("a", QUERY)) == ("condition Parkinson Disease; status recruiting or not yet recruiting; filters phase:2 3")
    assert asked_in_words(Watch("a", nct_ids=("NCT00000001",))) == "1 named study: NCT00000001"
    many = tuple(f"NCT{number:08d}" for number in range(1, 61))
    assert asked_in_words(Watch("a", nct_ids=many)).endswith("NCT00000010 and 50 more")
    assert asked_in_words(Watch("a", everything=True)) == "the whole registry"
    assert asked_in_words(Watch("a", {"query.cond": ("x\n\x1b[2J",)})) == "condition x ␛[2J"


def test_the_registrys_own_search_asks_the_same() -> None:
    """The address of the search page, read back as a pasted one, is the watch's query; there is none where the page can't ask it."""
    address = search_address(Watch("a", QUERY))
    assert address is not None
    assert from_search_url(address).query == {
        "query.cond": ("Parkinson Disease",),
        "aggFilters": ("status:rec not,phase:2 3",),
    }
    assert search_address(Watch("a", {"filter.advanced": ("AREA[x]y",)})) is None
    assert search_address(Watch("a", nct_ids=tuple(f"NCT{number:08d}" for number in range(1, 61)))) is None
    assert search_address(Watch("a", nct_ids=("NCT00000001", "NCT00000002"))) == (
        "https://clinicaltrials.gov/search?term=NCT00000001+OR+NCT00000002"
    )
    assert search_address(Watch("a", {"query.locn": ("Austria", "Germany")})) == (
        "https://clinicaltrials.gov/search?locn=%28Austria%29+OR+%28Germany%29"
    )
    assert search_address(Watch("a", everything=True)) == "https://clinicaltrials.gov/search"
    assert search_address(Watch("a")) is None
