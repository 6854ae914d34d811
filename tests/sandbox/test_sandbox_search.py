"""Filters, facets, sorting and relevance of the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sandbox_studies import client_of, invent, lines, refusal, spelled

from trialsync.registry.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def ask() -> Callable[..., list[int]]:
    """Return a function that asks a sandbox of five varied studies, and returns the numbers found in their order."""
    boston, paris = {"lat": 42.36, "lon": -71.06}, {"lat": 48.85, "lon": 2.35}
    studies = [
        invent(
            1,
            statusModule={"overallStatus": "RECRUITING", "startDateStruct": {"date": "2024-03"}},
            designModule={"studyType": "INTERVENTIONAL", "phases": ["PHASE1"], "enrollmentInfo": {"count": 10}},
            eligibilityModule={"sex": "FEMALE", "stdAges": ["ADULT"], "healthyVolunteers": True},
            conditionsModule={"conditions": ["Asthma"]},
            locations=[{"geoPoint": boston}],
        ),
        invent(
            2,
            statusModule={"overallStatus": "COMPLETED", "startDateStruct": {"date": "2024-03-15"}},
            designModule={"studyType": "INTERVENTIONAL", "phases": ["NA"], "enrollmentInfo": {"count": 10}},
            eligibilityModule={"sex": "ALL", "stdAges": ["CHILD", "ADULT"]},
            identificationModule={"briefTitle": "Asthma inhalers"},
            conditionsModule={"conditions": ["Asthma"]},
            locations=[{"geoPoint": paris}],
            hasResults=True,
        ),
        invent(
            3,
            statusModule={"overallStatus": "UNKNOWN"},
            designModule={"studyType": "OBSERVATIONAL", "patientRegistry": True, "enrollmentInfo": {"count": 500}},
            sponsorCollaboratorsModule={
                "leadSponsor": {"name": "Akeso", "class": "INDUSTRY"},
                "collaborators": [{"name": "NIAID", "class": "NIH"}],
            },
        ),
        invent(4, aliases=["NCT00000040"], conditionsModule={"conditions": ["Psoriasis"]}),
        invent(5, statusModule={"overallStatus": "WITHHELD", "startDateStruct": {"date": "2023"}}),
    ]
    loads = lines("2026-01-05", *studies)

    def found(**parameters: str) -> list[int]:
        with client_of(Sandbox(loads)) as client:
            answer = client.get("/studies", params=spelled(parameters))
        assert answer.status_code == 200, answer.text
        return [int(study["protocolSection"]["identificationModule"]["nctId"][3:]) for study in answer.json()["studies"]]

    return found


@pytest.mark.parametrize(
    ("parameters", "numbers"),
    [
        ({}, {1, 2, 3, 4, 5}),
        ({"filter_overallStatus": "RECRUITING,COMPLETED"}, {1, 2, 4}),
        ({"filter_overallStatus": "UNKNOWN|WITHHELD"}, {3, 5}),
        ({"postFilter_overallStatus": "UNKNOWN", "filter_overallStatus": "UNKNOWN,WITHHELD"}, {3}),
        ({"filter_ids": "NCT1,nct2"}, {1, 2}),
        ({"filter_ids": "NCT00000040"}, {4}),
        ({"filter_ids": "NCT1,NCT2", "postFilter_ids": "NCT2,NCT3"}, {2}),
        ({"filter_ids": "NCT1,NCT2", "query_cond": "asthma", "filter_overallStatus": "COMPLETED"}, {2}),
        ({"query_term": "NCT00000003, nct4", "filter_overallStatus": "WITHHELD", "query_cond": "asthma", "filter_ids": "NCT1"}, {3, 4}),
        ({"query_id": "NCT00000040"}, {4}),
        ({"query_cond": "asthma", "query_titles": "inhaler"}, {2}),
        ({"query_spons": "akeso"}, {3}),
        ({"query_spons": "niaid"}, {3}),
        ({"query_lead": "niaid"}, set()),
        ({"filter_geo": "distance(42.36,-71.06,50mi)"}, {1}),
        ({"filter_geo": "distance(48.9,2.3,100km)"}, {2}),
        ({"filter_synonyms": "ConditionSearch:1651367"}, set()),
        ({"aggFilters": "status:rec com"}, {1, 2, 4}),
        ({"aggFilters": "results:with,status:com"}, {2}),
        ({"aggFilters": "phase:NA"}, {2}),
        ({"aggFilters": "phase:na"}, set()),
        ({"aggFilters": "sex:f"}, {1, 2}),
        ({"aggFilters": "healthy:y|studyType:int"}, {1}),
        ({"aggFilters": "studyType:obs_patreg"}, {3}),
        ({"aggFilters": "funderType:nih"}, {3}),
        ({"aggFilters": "ages:child older"}, {2}),
        ({"aggFilters": "ressub:y"}, set()),
    ],
)
def test_filters(ask: Callable[..., list[int]], parameters: dict[str, str], numbers: set[int]) -> None:
    """Each filter keeps what it names; together all hold; a query of NCT numbers alone sets every other part aside."""
    assert set(ask(**parameters)) == numbers


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("StartDate:asc", [5, 1, 2]),
        ("StartDate", [2, 1, 5]),
        ("EnrollmentCount:desc,StartDate:asc", [3, 1, 2]),
        ("EnrollmentCount|StartDate:desc", [2, 1, 3]),
        ("protocolSection.designModule.enrollmentInfo.count:desc", [3]),
    ],
)
def test_sort(ask: Callable[..., list[int]], sort: str, order: list[int]) -> None:
    """Dates sort latest first and numbers least first unless told otherwise; studies without a value come last."""
    assert ask(sort=sort)[: len(order)] == order


def test_relevance(ask: Callable[..., list[int]]) -> None:
    """By relevance, a match in a weightier field comes first; geoDecay prefers what is near, in either direction on request."""
    assert ask(query_cond="asthma", sort="@relevance:desc")[0] in {1, 2}
    assert ask(query_intr="asthma OR invented", sort="@relevance") is not None
    near = {
        "query_cond": "asthma",
        "filter_geo": "distance(42.36,-71.06,500mi)",
        "geoDecay": "func:linear,scale:100km,offset:10km,decay:0.1",
    }
    assert ask(**near, sort="@relevance") == [1]


def test_too_many_sorts() -> None:
    """A third sort key is refused, and so is a facet that there is none of."""
    assert "at most 2" in refusal(sort="StartDate,EnrollmentCount,CompletionDate")
    assert refusal(aggFilters="colour:red") == "Invalid value in parameter `aggFilters`: `colour`"


def test_csv(ask: Callable[..., list[int]]) -> None:
    """CSV has the service's columns in its order, a header on the first page alone, and its counts in headers."""
    assert ask()
    study = invent(
        8,
        designModule={"phases": ["PHASE1", "PHASE2"], "designInfo": {"allocation": "RANDOMIZED", "maskingInfo": {"masking": "NONE"}}},
        armsInterventionsModule={"interventions": [{"type": "DRUG", "name": "Ivonescimab"}]},
        locations=[{"facility": "Site, 1", "city": "Bonn", "country": "Germany"}],
    )
    with client_of(Sandbox(lines("2026-01-05", study, invent(9)))) as client:
        asked = {"format": "csv", "fields": "Locations|NCT Number,Phases,Interventions,Study Design", "pageSize": "1", "countTotal": "true"}
        first = client.get("/studies", params=asked | {"filter.ids": "NCT8,NCT9", "sort": "EnrollmentCount"})
        second = client.get(
            "/studies",
            params=asked | {"filter.ids": "NCT8,NCT9", "sort": "EnrollmentCount", "pageToken": first.headers["x-next-page-token"]},
        )
        assert len(client.get("/studies/NCT8", params={"format": "csv"}).text.splitlines()[0].split(",")) == 30
    assert first.headers["x-total-count"] == "2"
    assert "x-total-count" not in second.headers
    assert first.text.splitlines()[0] == "NCT Number,Interventions,Phases,Study Design,Locations"
    row = 'NCT00000008,DRUG: Ivonescimab,PHASE1|PHASE2,Allocation: RANDOMIZED|Masking: NONE,"Site, 1, Bonn, Germany"'
    assert {*first.text.splitlines()[1:], *second.text.splitlines()} == {row, "NCT00000009,,,,"}
