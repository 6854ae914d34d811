"""The registry's history is not documented: whatever of it has another form than it had is an error that names it, never a version."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from trialsync.errors import HistoryChanged, RegistryUnavailable, StudyNotFound
from trialsync.registry import history
from trialsync.registry.client import Registry
from trialsync.registry.history import Entry

if TYPE_CHECKING:
    from collections.abc import Callable

REGISTRY = Path(__file__).resolve().parent.parent.parent / "shared" / "registry"
NUMBER = "NCT00000001"
LIST: dict[str, Any] = {
    "changes": [
        {"version": 0, "date": "2020-04-29", "status": "RECRUITING", "studyType": "INTERVENTIONAL", "moduleLabels": []},
        {"version": 1, "date": "2020-04-29", "status": "RECRUITING", "moduleLabels": ["Study Status"], "reviewNotPassed": True},
        {"version": 2, "date": "2021-01-04", "status": "COMPLETED", "moduleLabels": ["Study Status", "Eligibility"]},
    ],
    "outcomesUpdateCount": 1,
}
ANSWER: dict[str, Any] = {
    "studyVersion": 2,
    "study": {
        "protocolSection": {
            "identificationModule": {"nctId": NUMBER, "briefTitle": "A &amp; B"},
            "statusModule": {
                "overallStatus": "COMPLETED",
                "resultsFirstSubmitDate": "2021-01-02",
                "lastUpdateSubmitDate": "2021-01-04",
                "lastUpdatePostDateStruct": {"date": "2021-01-06", "type": "ACTUAL"},
            },
        },
        "derivedSection": {"miscInfoModule": {"versionHolder": "2026-02-02"}},
        "annotationSection": {},
    },
}


def registry(answers: dict[str, Any], api: str = "https://registry.example/api/v2") -> Registry:
    """Return a client of a registry that answers by path and query; anything else is not there."""

    def handle(request: httpx.Request) -> httpx.Response:
        said = answers.get(request.url.raw_path.decode())
        if isinstance(said, httpx.Response):
            return said
        return httpx.Response(200, json=said) if said is not None else httpx.Response(404, html="<html>404</html>")

    return Registry(
        api,
        requests_per_second=1_000_000,
        contact=None,
        transport=httpx.MockTransport(handle),
        now=lambda: datetime(2026, 11, 22, tzinfo=UTC),
        sleep=lambda _: None,
        monotonic=lambda: 0.0,
        attempts=2,
    )


def missing(nct_id: str = NUMBER) -> httpx.Response:
    """Return what the registry says of a number without history."""
    return httpx.Response(404, text=f"No study {nct_id} history summary")


def altered(whole: Any, path: str, value: Any) -> Any:
    """Return a copy with a value replaced at a dotted path, ``...`` takes it away."""
    new = copy.deepcopy(whole)
    *way, name = path.split(".")
    node = new
    for step in way:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if value is ...:
        del node[name]
    else:
        node[int(name) if isinstance(node, list) else name] = value
    return new


LISTED = f"/api/int/studies/{NUMBER}/history"


def test_the_list_of_versions() -> None:
    """The list gives each version's number, day of submission, and whether it was ever posted."""
    with registry({LISTED: LIST}) as here:
        assert history.entries(here, NUMBER) == (
            Entry(0, "2020-04-29"),
            Entry(1, "2020-04-29", was_posted=False),
            Entry(2, "2021-01-04"),
        )


def test_a_version() -> None:
    """A version's record is what history carries, in the API's texts, with the flag of results as the registry computes it."""
    with registry({f"{LISTED}/2": ANSWER}) as here:
        study = history.study_of(NUMBER, 2, history.content(here, NUMBER, 2))
    assert list(study) == ["protocolSection", "hasResults"]
    assert study["protocolSection"]["identificationModule"]["briefTitle"] == "A & B"
    assert study["hasResults"] is True


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("changes", ..., "has no list of changes but nothing"),
        ("changes", [], "has no list of changes but an empty list"),
        ("changes", {}, "has no list of changes but an object"),
        ("changes.1", None, "has nothing in the place of version 1"),
        ("changes.0.version", 1, "has version 1 where 0 is due"),
        ("changes.2.version", 3, "has version 3 where 2 is due"),
        ("changes.1.version", "1", "has version 1 where 1 is due"),
        ("changes.1.version", True, "has version True where 1 is due"),
        ("changes.1.version", ..., "has version None where 1 is due"),
        ("changes.0.date", "April 29, 2020", "has the date 'April 29, 2020' at version 0"),
        ("changes.0.date", ..., "has the date 'None' at version 0"),
        ("changes.2.date", "2019-01-01", "goes back from 2020-04-29 to 2019-01-01 at version 2"),
        ("changes.1.reviewNotPassed", "yes", "has reviewNotPassed 'yes' at version 1"),
        ("changes.1.moduleLabels", "Study Status", "has moduleLabels at version 1"),
        ("changes.1.moduleLabels", [1], "has moduleLabels at version 1"),
    ],
)
def test_a_list_of_another_form_is_named(path: str, value: Any, named: str) -> None:
    """Each part of the list that is relied on is checked, and named where it is otherwise."""
    with registry({LISTED: altered(LIST, path, value)}) as here, pytest.raises(HistoryChanged) as error:
        history.entries(here, NUMBER)
    assert f"the list of {NUMBER}'s versions {named}" in str(error.value)
    assert error.value.exit_code == 4


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("studyVersion", ..., "says that it is version None"),
        ("studyVersion", 1, "says that it is version 1"),
        ("studyVersion", "2", "says that it is version 2"),
        ("study", ..., "has no study with a protocol section"),
        ("study", [], "has no study with a protocol section"),
        ("study.protocolSection", ..., "has no study with a protocol section"),
        ("study.protocolSection.statusModule", [], "has a statusModule that is not an object but an empty list"),
        ("study.resultsSection", "none", "has a resultsSection that is not an object but a text"),
        ("study.protocolSection.identificationModule.nctId", "NCT00000002", "is of NCT00000002"),
        ("study.protocolSection.identificationModule.nctId", ..., "is of None"),
        ("study.protocolSection.statusModule.lastUpdatePostDateStruct.date", "2021-02-30", "was updated on '2021-02-30'"),
        (
            "study.protocolSection.statusModule.lastUpdatePostDateStruct",
            "2021-01-06",
            "has a lastUpdatePostDateStruct that is not",
        ),
        ("study.protocolSection.statusModule.lastUpdateSubmitDate", 2021, "was updated on '2021'"),
    ],
)
def test_a_version_of_another_form_is_named(path: str, value: Any, named: str) -> None:
    """Each part of a version that is relied on is checked, and named where it is otherwise."""
    with registry({f"{LISTED}/2": altered(ANSWER, path, value)}) as here, pytest.raises(HistoryChanged) as error:
        history.content(here, NUMBER, 2)
    assert f"version 2 of {NUMBER} {named}" in str(error.value)


def test_a_version_that_is_nested_too_deeply_is_named() -> None:
    """A record that nobody can follow to its end is refused with a sentence."""
    deep = '{"a":' * 900 + "1" + "}" * 900
    answer = f'{{"studyVersion":0,"study":{{"protocolSection":{{"identificationModule":{{"nctId":"{NUMBER}"}},"x":{deep}}}}}}}'
    with pytest.raises(HistoryChanged, match=f"version 0 of {NUMBER} is nested too deeply"):
        history.study_of(NUMBER, 0, answer.encode())


@pytest.mark.parametrize("said", [[], "text", 3])
def test_an_answer_that_is_no_object_is_named(said: Any) -> None:
    """An answer that is JSON and not an object is named, for the list and for a version."""
    ask: tuple[Callable[[Registry], Any], ...] = (lambda here: history.entries(here, NUMBER), lambda here: history.content(here, NUMBER, 2))
    for each in ask:
        with registry({LISTED: said, f"{LISTED}/2": said}) as here, pytest.raises(HistoryChanged, match="is not an object"):
            each(here)


def test_the_list_is_looked_for_beside_the_record() -> None:
    """Where the list alone is not there, it is taken from the record's own answer, if that is of this study."""
    beside = {"study": ANSWER["study"], "topics": {}, "history": LIST}
    with registry({LISTED: missing(), f"/api/int/studies/{NUMBER}?history=true": beside}) as here:
        assert len(history.entries(here, NUMBER)) == 3
    for path, value, named in (
        ("study", [], "has no study"),
        ("history", ..., "is not an object but nothing"),
        ("study.protocolSection.identificationModule.nctId", "NCT00000002", "is of NCT00000002"),
    ):
        changed = altered(beside, path, value)
        with (
            registry({LISTED: missing(), f"/api/int/studies/{NUMBER}?history=true": changed}) as here,
            pytest.raises(HistoryChanged, match=named),
        ):
            history.entries(here, NUMBER)


def test_an_alias_names_the_study_that_it_became() -> None:
    """A number whose record is another study's, which lists it as its alias, is told with that study's number."""
    became = altered(ANSWER["study"], "protocolSection.identificationModule.nctId", "NCT00000002")
    became["protocolSection"]["identificationModule"]["nctIdAliases"] = [NUMBER]
    answers = {LISTED: missing(), f"/api/int/studies/{NUMBER}?history=true": {"study": became, "history": LIST}}
    with registry(answers) as here, pytest.raises(StudyNotFound, match=f"{NUMBER} has become NCT00000002"):
        history.entries(here, NUMBER)


def test_no_history_is_told_only_in_the_registrys_own_sentence() -> None:
    """The registry's sentence about this number says that there is no history; any other 404 says nothing about a study."""
    beside = f"/api/int/studies/{NUMBER}?history=true"
    with registry({LISTED: missing(), beside: missing()}) as here, pytest.raises(StudyNotFound, match="has no history of NCT00000001"):
        history.entries(here, NUMBER)
    for other in (missing("NCT00000002"), None):
        with registry({LISTED: other}) as here, pytest.raises(RegistryUnavailable, match="has no record history"):
            history.entries(here, NUMBER)


def test_what_may_be_better_the_next_time_is_asked_again() -> None:
    """An answer that is cut short is asked for again, and then no usable answer, not a change of form."""
    broken = httpx.Response(200, content=json.dumps(LIST)[:-5], headers={"content-type": "application/json"})
    with registry({LISTED: broken}) as here, pytest.raises(RegistryUnavailable, match="in 2 attempts"):
        history.entries(here, NUMBER)


def test_an_address_without_a_neighbour_is_told() -> None:
    """An api_url that does not end in /v2 has no internal API beside it, which is said without asking anybody."""
    with registry({}, "https://mirror.example/trials") as here, pytest.raises(RegistryUnavailable, match="api_url has to end in /v2"):
        history.entries(here, NUMBER)


@pytest.mark.skipif(not REGISTRY.is_dir(), reason="no real records here")
@pytest.mark.parametrize("name", ["NCT02540993", "NCT03690141.2023", "NCT04435626", "NCT05254002"])
def test_real_answers_are_read(name: str) -> None:
    """Real lists, alone or beside the record, have the form that is checked, and real records too."""
    number = name[:11]
    said = json.loads((REGISTRY / "history" / f"{name}.json").read_text())
    listed = said.get("history", said)
    with registry({f"/api/int/studies/{number}/history": listed}) as here:
        found = history.entries(here, number)
    assert len(found) == len(listed["changes"])
    if "study" in said:
        answer = {"studyVersion": 7, "study": said["study"]}
        with registry({f"/api/int/studies/{number}/history/7": answer}) as here:
            study = history.study_of(number, 7, history.content(here, number, 7))
        assert study["hasResults"] == said["study"]["hasResults"]
