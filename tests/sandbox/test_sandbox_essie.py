"""Search expressions, on invented studies whose answer is plain to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox_studies import find, invent, refusal

if TYPE_CHECKING:
    from trialsync.model import Study


def _titled(*titles: str) -> list[Study]:
    return [invent(number, identificationModule={"briefTitle": title}) for number, title in enumerate(titles, 1)]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("asthma", {1, 2}),
        ("ASTHMA", {1, 2}),
        ("severe asthma", {2}),
        ('"asthma severe"', set()),
        ('"severe asthma"', {2}),
        ("asthma OR psoriasis", {1, 2, 3}),
        ("asthma or psoriasis", set()),
        ("asthma AND NOT severe", {1}),
        ("asthma NOT severe", {1}),
        ("NOT asthma", {3, 4}),
        ("severe, asthma", {2}),
        ("asthma AND (severe OR psoriasis)", {2}),
        ("psoriasis OR asthma AND severe", {2, 3}),
        ("uber", {4}),
        ("über", {4}),
        ("child", {4}),
        ("sth", set()),
        (r"asthma \AND severe", {2}),
        ("ALL", {1, 2, 3, 4}),
        ("EXPANSION[None]child", set()),
        ("EXPANSION[Term]child", {4}),
        ("-", {1, 2, 3, 4}),
    ],
)
def test_words(query: str, found: set[int]) -> None:
    """Words match whole, whatever their case, accents and plural; operators count in capitals only, AND before OR, NOT before AND."""
    studies = _titled("Asthma in adults", "Severe asthma and treatment", "Psoriasis", "Über die Childs Studies")
    assert find(studies, query_titles=query) == found
    assert find(studies, query_term=query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("AREA[BriefTitle]COVERAGE[FullMatch]lung cancer", {1}),
        ("AREA[BriefTitle]COVERAGE[StartsWith]lung", {1, 2}),
        ("AREA[BriefTitle]COVERAGE[EndsWith]cancer", {1, 3}),
        ("AREA[BriefTitle]COVER[Contains]lung", {1, 2, 3}),
    ],
)
def test_coverage(query: str, found: set[int]) -> None:
    """COVERAGE says how much of a value the words must cover."""
    studies = _titled("Lung cancer", "Lung cancer in smokers", "Small cell lung cancer")
    assert find(studies, filter_advanced=query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("AREA[StartDate]2022", {1, 2, 3}),
        ("AREA[StartDate]2022-05", {2, 3}),
        ("AREA[StartDate]2022-05-17", {3}),
        ("AREA[StartDate]05/17/2022", {3}),
        ("AREA[StartDate]RANGE[2022-05,2022-05]", {2, 3}),
        ("AREA[StartDate]RANGE[2022-05-02,MAX]", {3, 4}),
        ("AREA[StartDate]RANGE[MIN,2022-05-01]", {1, 2}),
        ("AREA[StartDate]RANGE[MIN, MAX]", {1, 2, 3, 4}),
        ("AREA[StartDate]MISSING", {5}),
        ("NOT AREA[StartDate]MISSING", {1, 2, 3, 4}),
        ("AREA[protocolSection.statusModule.startDateStruct.date]RANGE[05/17/2022, 12/31/2022]", {3}),
        ("AREA[START-DATE]2023", {4}),
        ("AREA[VersionHolder]RANGE[2026-01-05,MAX]", {1, 2, 3, 4, 5}),
        ("AREA[VersionHolder]RANGE[2026-01-06,MAX]", set()),
    ],
)
def test_dates(query: str, found: set[int]) -> None:
    """A partial date in a query covers its whole month or year, in a record it counts as its first day; no value is in no range."""
    dates = ["2022", "2022-05", "2022-05-17", "2023-01", None]
    studies = [
        invent(number, statusModule={"overallStatus": "COMPLETED"} | ({"startDateStruct": {"date": date}} if date else {}))
        for number, date in enumerate(dates, 1)
    ]
    assert find(studies, filter_advanced=query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("AREA[EnrollmentCount]RANGE[10, 100]", {1, 2}),
        ("AREA[EnrollmentCount]100", {2}),
        ("AREA[EnrollmentCount]RANGE[101,MAX]", {3}),
        ("AREA[Phase]PHASE2", {1, 2}),
        ("AREA[Phase](PHASE1 OR PHASE3)", {1, 3}),
        ("AREA[Phase:size]2", {1}),
        ("AREA[Phase:size]RANGE[1,MAX]", {1, 2, 3}),
        ("AREA[OverallStatus]NOT_YET_RECRUITING", {2}),
        ("AREA[OverallStatus]Not yet recruiting", {2}),
        ("AREA[HasResults]true", {3}),
        ("AREA[MinimumAge]RANGE[MIN, 16 years]", {2, 3}),
        ("AREA[MinimumAge]RANGE[6 months, 2 years]", {3}),
        ("AREA[MinimumAge]12 Months", {3}),
        ('AREA[Sex]"ALL"', {1}),
        ("AREA[Sex]ALL", {1, 2, 3}),
        ("AREA[NCTId]RANGE[NCT00000002, NCT00000003]", {2, 3}),
        ("AREA[DesignModule]MISSING", set()),
        ("AREA[ResultsSection]MISSING", {1, 2, 3}),
    ],
)
def test_typed_pieces(query: str, found: set[int]) -> None:
    """Numbers, ages, enumerations, yes-or-no pieces and list lengths compare as what they are."""
    rows = [
        (10, ["PHASE1", "PHASE2"], "RECRUITING", False, "18 Years", "ALL"),
        (100, ["PHASE2"], "NOT_YET_RECRUITING", False, "16 Years", "MALE"),
        (1000, ["PHASE3"], "COMPLETED", True, "1 Year", "FEMALE"),
    ]
    studies = [
        invent(
            number,
            designModule={"phases": phases, "enrollmentInfo": {"count": count}},
            statusModule={"overallStatus": status},
            eligibilityModule={"minimumAge": age, "sex": sex},
            hasResults=results,
        )
        for number, (count, phases, status, results, age, sex) in enumerate(rows, 1)
    ]
    assert find(studies, filter_advanced=query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("AREA[LocationCity]Boston AND AREA[LocationStatus]RECRUITING", {1, 2}),
        ("SEARCH[Location](AREA[LocationCity]Boston AND AREA[LocationStatus]RECRUITING)", {1}),
        ("SEARCH[Study](AREA[LocationCity]Boston AND AREA[LocationStatus]RECRUITING)", {1, 2}),
        ("SEARCH[Location](AREA[LocationCity]Boston AND AREA[OverallStatus]COMPLETED)", set()),
        ("DISTANCE[42.36,-71.06,50mi]", {1, 2}),
        ("DISTANCE[42.36,-71.06,5000km]", {1, 2}),
        ("SEARCH[Location](DISTANCE[42.36,-71.06,50mi] AND AREA[LocationStatus]RECRUITING)", {1}),
        ("AREA[Location:size]2", {1, 2}),
    ],
)
def test_sites(query: str, found: set[int]) -> None:
    """SEARCH[Location] asks all of one and the same site; DISTANCE looks at geoPoints."""
    boston = {"city": "Boston", "geoPoint": {"lat": 42.35843, "lon": -71.05977}}
    paris = {"city": "Paris", "geoPoint": {"lat": 48.85341, "lon": 2.3488}}
    studies = [
        invent(1, locations=[boston | {"status": "RECRUITING"}, paris]),
        invent(2, locations=[boston | {"status": "COMPLETED"}, paris | {"status": "RECRUITING"}]),
        invent(3),
    ]
    assert find(studies, filter_advanced=query) == found


@pytest.mark.parametrize(
    ("parameter", "query", "sentence"),
    [
        ("filter_advanced", "AREA[X]y", "Error parsing query in advanced filter: Unknown area name: `X`"),
        ("filter_advanced", "AREA[phase]PHASE2", "Error parsing query in advanced filter: Unknown area name: `phase`"),
        ("postFilter_advanced", "AREA[X]y", "Error parsing query in advanced filter: Unknown area name: `X`"),
        ("query_term", "(foo", "Error parsing query in Other terms: missing ')' at '<EOF>'"),
        ("query_cond", "AND foo", "Error parsing query in Conditions or disease: no viable alternative at input 'AND'"),
        ("query_intr", "foo OR", "Error parsing query in Intervention / treatment: no viable alternative at input '<EOF>'"),
        ("query_cond", "NOT", "inner bool query clause cannot be null"),
        ("query_term", "COVERAGE[FullMatc]x", "Invalid coverage: FullMatc"),
        ("query_term", "AREA x", "Error parsing query in Other terms: mismatched input 'x' expecting '['"),
        ("query_cond", "word " * 700, "Too complicated query"),
        ("query_cond", "(" * 100 + "x" + ")" * 100, "Too complicated query"),
        ("query_term", "NOT " * 100 + "x", "Too complicated query"),
        ("query_term", '"open', "Error parsing query in Other terms: no viable alternative at input '\"open'"),
    ],
)
def test_refused_expressions(parameter: str, query: str, sentence: str) -> None:
    """What cannot be parsed is refused in the service's words, naming the query as the search page does."""
    assert refusal(**{parameter: query}) == sentence


def test_refused_character() -> None:
    """A bracket in the wrong place names all that could have stood there."""
    sentence = refusal(query_term="foo bar [")
    assert sentence.startswith("Error parsing query in Other terms: mismatched input '[' expecting {<EOF>, '(', ',', 'NOT', 'AND', 'OR', ")
    assert sentence.endswith(
        "'MISSING', 'MIN', 'MAX', EscapedKeyword, BooleanLiteral, DecimalLiteral, DateLiteral, TimeLiteral, "
        "RadiusLiteral, StringLiteral, Term}"
    )


def test_refused_enumeration() -> None:
    """A value that an enumeration does not have is refused with those that it has."""
    assert refusal(filter_advanced="AREA[Phase]PHASE9") == (
        "Error parsing query in advanced filter: Allowed values for enum field `protocolSection.designModule.phases` are "
        "`NA`, `EARLY_PHASE1`, `PHASE1`, `PHASE2`, `PHASE3`, `PHASE4`"
    )
