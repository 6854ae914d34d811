"""Named readers of a study: what they return, and that no shape of a record is too odd for them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_laws import at, edited, places
from study_records import lines, minimal, put, study_of

from trialsync.errors import RecordError
from trialsync.study import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from trialsync.model import Json, Study

READERS: list[Callable[[Study], Json]] = [
    reader
    for name, reader in inspect.getmembers(record, inspect.isfunction)
    if reader.__module__ == record.__name__ and not name.startswith("_") and name not in {"at", "check"}
]


def full() -> Study:
    """Return a study that has what every reader reads."""
    return {
        "protocolSection": {
            "identificationModule": {
                "nctId": "NCT00000105",
                "nctIdAliases": ["NCT00000106"],
                "briefTitle": "Brief",
                "officialTitle": "Official",
            },
            "statusModule": {
                "overallStatus": "UNKNOWN",
                "lastKnownStatus": "RECRUITING",
                "startDateStruct": {"date": "2024-01"},
                "primaryCompletionDateStruct": {"date": "2025-02"},
                "completionDateStruct": {"date": "2026"},
                "studyFirstPostDateStruct": {"date": "2023-12-01"},
                "lastUpdateSubmitDate": "2026-01-02",
                "lastUpdatePostDateStruct": {"date": "2026-01-05"},
            },
            "sponsorCollaboratorsModule": {"leadSponsor": {"name": "Sponsor", "class": "INDUSTRY"}},
            "descriptionModule": {"briefSummary": "Summary"},
            "conditionsModule": {"conditions": ["Ennui", "Boredom"]},
            "designModule": {
                "studyType": "INTERVENTIONAL",
                "phases": ["PHASE2", "PHASE3"],
                "enrollmentInfo": {"count": 12, "type": "ACTUAL"},
            },
            "armsInterventionsModule": {"armGroups": [{"label": "A"}], "interventions": [{"name": "B"}]},
            "outcomesModule": {"primaryOutcomes": [{"measure": "C"}], "secondaryOutcomes": [{"measure": "D"}]},
            "eligibilityModule": {
                "eligibilityCriteria": "Criteria",
                "minimumAge": "18 Years",
                "maximumAge": "75 Years",
                "sex": "ALL",
                "healthyVolunteers": False,
            },
            "contactsLocationsModule": {
                "locations": [{"facility": "E", "country": "Sylvania"}, {"country": "Freedonia"}, {"country": "Sylvania"}, {}],
            },
        },
        "derivedSection": {"miscInfoModule": {"versionHolder": "2026-02-04"}},
        "hasResults": True,
    }


EXPECTED: dict[str, Any] = {
    "nct_id": "NCT00000105",
    "aliases": ("NCT00000106",),
    "title": "Brief",
    "official_title": "Official",
    "overall_status": "UNKNOWN",
    "last_known_status": "RECRUITING",
    "posted": "2026-01-05",
    "submitted": "2026-01-02",
    "first_posted": "2023-12-01",
    "start_date": "2024-01",
    "primary_completion_date": "2025-02",
    "completion_date": "2026",
    "load": "2026-02-04",
    "sponsor": "Sponsor",
    "sponsor_class": "INDUSTRY",
    "study_type": "INTERVENTIONAL",
    "phases": ("PHASE2", "PHASE3"),
    "enrollment": 12,
    "enrollment_type": "ACTUAL",
    "conditions": ("Ennui", "Boredom"),
    "locations": ({"facility": "E", "country": "Sylvania"}, {"country": "Freedonia"}, {"country": "Sylvania"}, {}),
    "countries": ("Freedonia", "Sylvania"),
    "brief_summary": "Summary",
    "criteria": "Criteria",
    "minimum_age": "18 Years",
    "maximum_age": "75 Years",
    "sex": "ALL",
    "healthy_volunteers": False,
    "arms": ({"label": "A"},),
    "interventions": ({"name": "B"},),
    "primary_outcomes": ({"measure": "C"},),
    "secondary_outcomes": ({"measure": "D"},),
    "has_results": True,
    "is_withheld": False,
}


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_each_reader(reader: Callable[[Study], Json]) -> None:
    """A reader returns its leaf as a plain value, and ``None``, false or an empty tuple where the record has none."""
    assert reader(full()) == EXPECTED[reader.__name__]
    assert reader({}) in (None, (), False)


def test_every_reader_is_tested() -> None:
    """There is an expected value for each reader."""
    assert {reader.__name__ for reader in READERS} == set(EXPECTED)


@given(st.data())
@settings(max_examples=200)
def test_no_shape_is_too_odd(data: st.DataObject) -> None:
    """Whatever stands anywhere in a record, a reader returns the type that it promises."""
    study = full()
    found = list(places(study))
    path = found[data.draw(st.integers(0, len(found) - 1))]
    odd = edited(
        study, path, data.draw(st.sampled_from([None, 3, 1.5, True, "x", [], [[]], ["x", 3, None], {}, {"date": {}}, [{"country": 3}]]))
    )
    for reader in READERS:
        value, expected = reader(odd), EXPECTED[reader.__name__]
        assert value is None or type(value) is type(expected), reader.__name__
        if isinstance(value, tuple):
            assert all(type(member) is type(expected[0]) for member in value)


def test_real_records_can_be_read() -> None:
    """Every record at hand is one that can be kept, and has a title, a status and a posted date."""
    for line in lines():
        study = study_of(line)
        if study["protocolSection"]["identificationModule"]["nctId"] != "NCT00000101":
            assert record.check(study) == record.nct_id(study)
            assert record.overall_status(study)
            assert record.posted(study)


def test_check_gives_the_number_in_its_one_spelling() -> None:
    """A record's number is ``NCT`` and eight digits; one in another spelling is not the registry's, and would be a second study's."""
    assert record.check(full()) == "NCT00000105"
    study = minimal()
    put(study, ("protocolSection", "identificationModule", "nctId"), " nct00000105 ")
    with pytest.raises(RecordError, match="which the registry spells NCT00000105"):
        record.check(study)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (None, "a record is not an object but NoneType"),
        ([], "a record is not an object but list"),
        ({}, "a record has no NCT number"),
        ({"protocolSection": {"identificationModule": {"nctId": 5}}}, "a record has no NCT number"),
        ({"protocolSection": {"identificationModule": {"nctId": "NCT1 \x1b[31m" + "x" * 99}}}, "which is not an NCT number"),
        ({"protocolSection": {"identificationModule": {"nctId": "NCT00000105"}}}, "NCT00000105: the record has no status module"),
        (
            minimal() | {"protocolSection": {"identificationModule": {"nctId": "NCT00000001"}, "statusModule": {}}},
            "NCT00000001: the record has no",
        ),
    ],
)
def test_a_record_that_cannot_be_kept(broken: Json, sentence: str) -> None:
    """A record without a number or a status module is an error that names what is missing, in printable words of bounded length."""
    with pytest.raises(RecordError) as caught:
        record.check(broken)
    assert sentence in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_enrollment_is_a_number() -> None:
    """A truth value is no number of participants, and zero is one."""
    study = full()
    put(study, ("protocolSection", "designModule", "enrollmentInfo", "count"), 0)
    assert record.enrollment(study) == 0
    put(study, ("protocolSection", "designModule", "enrollmentInfo", "count"), True)  # noqa: FBT003
    assert record.enrollment(study) is None


@pytest.mark.parametrize(
    ("path", "value"), [("statusModule.overallStatus", "WITHHELD"), ("sponsorCollaboratorsModule.leadSponsor.name", "[Redacted]")]
)
def test_a_withheld_study_is_recognised(path: str, value: str) -> None:
    """A withheld study is known by its status, or by the sponsor that the registry blanked."""
    study = full()
    put(study, ("protocolSection", *path.split(".")), value)
    assert record.is_withheld(study)


def test_at_follows_objects_alone() -> None:
    """A path leads through objects; where anything else stands in the way there is nothing."""
    assert record.at({"a": {"b": 1}}, "a", "b") == 1
    assert record.at({"a": [{"b": 1}]}, "a", "b") is None
    assert record.at("text", "a") is None
    assert at({"a": 1}, ("a",)) == record.at({"a": 1}, "a")
