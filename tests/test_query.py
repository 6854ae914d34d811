"""What a watch, or a pasted address, asks in the API's own parameters."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from trialsync.errors import BadNctId, UsageError
from trialsync.model import Watch
from trialsync.registry import query
from trialsync.registry.query import IDS_PER_REQUEST, STATUSES, area_range, canonical, from_search_url, narrowed, params, validate

SPECIFICATION = Path(__file__).parents[2] / "shared" / "registry" / "openapi-2.0.5.yaml"

numbers = st.integers(1, 99_999_999).map(lambda number: f"NCT{number:08d}")


def asked(**parameters: str | tuple[str, ...]) -> Watch:
    """Return a watch of a query; ``__`` stands for the dot."""
    return Watch("w", query={name.replace("__", "."): (value,) if isinstance(value, str) else value for name, value in parameters.items()})


# --- parameters -------------------------------------------------------------------------------------------------------------------------


@limits(max_examples=60, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=1300))
def test_numbers_are_split_without_loss_below_the_limit(listed: list[str]) -> None:
    """Each number is asked once, in its first place, in any spelling, and each whole address stays below 7 kB."""
    spelled = tuple(f"nct{number[3:]}" if index % 2 else number for index, number in enumerate(listed))
    batches = params(Watch("w", nct_ids=spelled))
    assert all(batch.keys() == {"filter.ids"} for batch in batches)
    parts = [batch["filter.ids"].split(",") for batch in batches]
    assert [number for part in parts for number in part] == list(dict.fromkeys(listed))
    assert all(len(part) <= IDS_PER_REQUEST for part in parts)
    for batch in batches:
        whole = {**batch, "pageSize": "1000", "countTotal": "true", "pageToken": "x" * 60}
        assert len(str(httpx.URL("https://clinicaltrials.gov/api/v2/studies", params=whole))) < 7_000


def test_several_values_mean_any_of_them() -> None:
    """Expressions are joined by OR, lists by commas, a single value stays as it is."""
    watch = asked(query__cond=("lung cancer", "asthma"), query__term="x", filter__overallStatus=("RECRUITING", "COMPLETED|UNKNOWN"))
    assert params(watch) == [
        {"filter.overallStatus": "RECRUITING,COMPLETED,UNKNOWN", "query.cond": "(lung cancer) OR (asthma)", "query.term": "x"}
    ]
    assert params(asked(filter__advanced=("AREA[Phase]PHASE1", "AREA[Phase]PHASE2"))) == [
        {"filter.advanced": "(AREA[Phase]PHASE1) OR (AREA[Phase]PHASE2)"}
    ]
    assert params(asked(filter__ids=("nct00000001", "NCT00000002,NCT00000003"))) == [{"filter.ids": "NCT00000001,NCT00000002,NCT00000003"}]


def test_everything_has_no_parameters() -> None:
    """The whole registry is one request without conditions."""
    assert params(Watch("all", everything=True)) == [{}]


@pytest.mark.parametrize(
    ("watch", "names"),
    [
        (Watch("w"), "asks for nothing"),
        (Watch("w", nct_ids=("NCT04852770",), everything=True), "two ways"),
        (Watch("w", query={"query.cond": ("x",)}, everything=True), "two ways"),
        (asked(query__condition="x"), r"query\.cond\?"),
        (asked(whatever="x"), "whatever"),
        (asked(sort="LastUpdatePostDate"), "sort"),
        (asked(fields="NCTId"), "fields"),
        (asked(pageSize="10"), "pageSize"),
        (asked(query__cond=" "), r"query\.cond is empty"),
        (asked(query__cond=()), r"query\.cond is empty"),
        (asked(query__cond="a\nb"), "control"),
        (asked(filter__overallStatus="Recruiting"), r"RECRUITING\?"),
        (asked(filter__overallStatus="OPEN"), "one of"),
        (asked(postFilter__overallStatus="OPEN"), "OPEN"),
        (asked(filter__geo="Boston"), "distance"),
        (asked(filter__geo=("distance(1,2,3mi)", "distance(4,5,6mi)")), "several"),
        (asked(geoDecay="fast"), "geoDecay"),
        (asked(aggFilters=("phase:1", "phase:2")), "several"),
        (asked(aggFilters="recruiting"), "aggFilters"),
        (asked(aggFilters="phase:2,status:recruiting"), "recruiting"),
        (asked(query__term="NCT04852770, nct01728545", filter__overallStatus="COMPLETED"), "nct_ids"),
        (asked(query__id="NCT04852770", query__cond="x"), "nct_ids"),
        (asked(query__cond="x" * 7_000), "bytes"),
        (asked(query__cond="é" * 1_200), "bytes"),
    ],
)
def test_what_cannot_be_asked_is_named(watch: Watch, names: str) -> None:
    """A watch that asks nothing, two things, or what the registry would refuse or silently misread, is refused with the way out."""
    for check in (validate, params):
        with pytest.raises(UsageError, match=names) as caught:
            check(watch)
        assert caught.value.hint


@pytest.mark.parametrize(
    "watch",
    [
        asked(query__term="NCT04852770 NCT01728545"),
        asked(query__term="NCT04852770 AND asthma", filter__overallStatus="COMPLETED"),
        asked(filter__geo="distance(39.0035707,-77.1013313,50mi)", geoDecay="func:linear,scale:100km,offset:10km,decay:0.1"),
        asked(aggFilters="results:with,status:not rec,sex:f,healthy:y"),
        asked(postFilter__synonyms=("ConditionSearch:1651367|BasicSearch:2013558",)),
        asked(filter__overallStatus=STATUSES),
    ],
)
def test_what_the_registry_takes_is_taken(watch: Watch) -> None:
    """The specification's own examples, and numbers that stand alone or among other words, are fine."""
    validate(watch)


def test_a_number_that_is_none_is_named() -> None:
    """One malformed number would fail the whole request, so it is named before."""
    with pytest.raises(BadNctId, match="NCT123456789"):
        params(Watch("w", nct_ids=("NCT04852770", "NCT123456789")))


@pytest.mark.skipif(not SPECIFICATION.exists(), reason="the official specification is not beside the project")
def test_the_vocabulary_is_the_specifications() -> None:
    """Every parameter of GET /studies, and every status, is known here, and no other."""
    lines = SPECIFICATION.read_text().splitlines()
    end = next(index for index, line in enumerate(lines) if line.startswith("  /studies/{nctId}"))
    named = {line.split('"')[1] for line in lines[lines.index("  /studies:") : end] if line.startswith("      - name:")}
    assert named == {*query._NAMES, *query._OURS}
    start = lines.index("    Status:")
    values = [line.split('"')[1] for line in lines[start + 3 : start + 3 + len(STATUSES) + 1] if line.startswith("      - ")]
    assert sorted(values) == sorted(STATUSES)


def test_the_canonical_text_tells_queries_apart() -> None:
    """The name, the order and the spelling of values do not matter; what is asked does."""
    one = asked(query__cond=("a", "b"), filter__overallStatus="COMPLETED,UNKNOWN")
    same = Watch("other", query={"filter.overallStatus": ("UNKNOWN", "COMPLETED"), "query.cond": (" b", "a")})
    assert canonical(one) == canonical(same)
    assert canonical(Watch("a", nct_ids=("NCT04852770", "nct00000001"))) == canonical(
        Watch("b", nct_ids=("NCT00000001", "nct04852770", "nct00000001"))
    )
    several = [one, asked(query__cond="a"), asked(query__term="a"), Watch("w", nct_ids=("NCT00000001",)), Watch("w", everything=True)]
    assert len({canonical(watch) for watch in several}) == len(several)


def test_a_watch_is_narrowed_by_what_moved() -> None:
    """One more condition is joined by AND, around what stood there; the whole registry becomes a query; numbers cannot be narrowed."""
    moved = area_range("LastUpdatePostDate", "2026-02-18", None)
    assert moved == "AREA[LastUpdatePostDate]RANGE[2026-02-18,MAX]"
    assert params(narrowed(Watch("all", everything=True), moved)) == [{"filter.advanced": moved}]
    assert params(narrowed(asked(query__cond="x", filter__advanced=("a", "b")), moved)) == [
        {"filter.advanced": f"((a) OR (b)) AND {moved}", "query.cond": "x"}
    ]
    with pytest.raises(UsageError, match="narrow"):
        narrowed(Watch("w", nct_ids=("NCT04852770",)), moved)
    with pytest.raises(UsageError, match="nct_ids"):
        narrowed(asked(query__term="NCT04852770"), moved)


def test_a_range_of_days() -> None:
    """A range takes dates, ISO days and open ends, and nothing else."""
    assert area_range("StudyFirstPostDate", date(2026, 1, 2), "2026-01-31") == "AREA[StudyFirstPostDate]RANGE[2026-01-02,2026-01-31]"
    assert area_range("StudyFirstPostDate", None, None) == "AREA[StudyFirstPostDate]RANGE[MIN,MAX]"
    with pytest.raises(UsageError, match="18 Feb"):
        area_range("StudyFirstPostDate", "18 Feb", None)
    with pytest.raises(UsageError, match="search area"):
        area_range("X] OR AREA[Y", None, None)


# --- pasted addresses -------------------------------------------------------------------------------------------------------------------

SEARCH = "https://clinicaltrials.gov/search?"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("cond=Parkinson%20Disease", {"query.cond": "Parkinson Disease"}),
        (
            "cond=a&term=b&intr=c&titles=d&outc=e&spons=f&lead=g&id=h&patient=i&locn=j",
            {
                f"query.{n}": v
                for n, v in zip(
                    ("cond", "term", "intr", "titles", "outc", "spons", "lead", "id", "patient", "locn"), "abcdefghij", strict=True
                )
            },
        ),
        ("cond=x&term=&viewType=Table&rank=3&page=2&limit=100&sort=nwst&checkSpell=false", {"query.cond": "x"}),
        ("cond=x&aggFilters=phase:2%203,status:rec%20not", {"query.cond": "x", "aggFilters": "phase:2 3,status:rec not"}),
        (
            "start=2024-01-01_2024-12-31&primComp=2025-06_&lastUpdPost=_2026-01-31",
            {
                "filter.advanced": "AREA[StartDate]RANGE[2024-01-01,2024-12-31] AND AREA[PrimaryCompletionDate]RANGE[2025-06,MAX] "
                "AND AREA[LastUpdatePostDate]RANGE[MIN,2026-01-31]"
            },
        ),
        (
            "firstPost=2024-01-01&resFirstPost=_2024&studyComp=2020_2021",
            {
                "filter.advanced": "AREA[CompletionDate]RANGE[2020,2021] AND AREA[StudyFirstPostDate]RANGE[2024-01-01,MAX] "
                "AND AREA[ResultsFirstPostDate]RANGE[MIN,2024]"
            },
        ),
        (
            "cond=x&lat=42.36&lng=-71.06&distance=50&locStr=Boston,%20MA&country=United%20States",
            {"query.cond": "x", "filter.geo": "distance(42.36,-71.06,50mi)"},
        ),
        ("cond=x&distance=42.36,-71.06,80km", {"query.cond": "x", "filter.geo": "distance(42.36,-71.06,80km)"}),
        ("cond=x&lat=42.36&lng=-71.06", {"query.cond": "x", "filter.geo": "distance(42.36,-71.06,50mi)"}),
        ("country=Germany", {"filter.advanced": 'AREA[LocationCountry]"Germany"'}),
        (
            "locStr=Boston&country=United%20States&state=Massachusetts&city=Boston",
            {
                "filter.advanced": 'SEARCH[Location](AREA[LocationCountry]"United States" AND AREA[LocationState]"Massachusetts" '
                'AND AREA[LocationCity]"Boston")'
            },
        ),
        (
            "country=Germany&state=Berlin&city=Berlin",
            {"filter.advanced": 'SEARCH[Location](AREA[LocationCountry]"Germany" AND AREA[LocationCity]"Berlin")'},
        ),
        ("locStr=Boston", {"query.locn": "Boston"}),
        ("locStr=Boston&locn=Mass%20General", {"query.locn": "(Mass General) AND (Boston)"}),
        ("ageRange=18y_64y", {"filter.advanced": "AREA[MinimumAge]RANGE[18 years,MAX] AND AREA[MaximumAge]RANGE[MIN,64 years]"}),
        ("ageRange=6m_", {"filter.advanced": "AREA[MinimumAge]RANGE[6 months,MAX]"}),
        ("term=AREA%5BPhase%5DPHASE3", {"query.term": "AREA[Phase]PHASE3"}),
    ],
)
def test_a_pasted_search_becomes_a_query(address: str, expected: dict[str, str]) -> None:
    """Each part of a search address becomes a parameter of the API, what only shows things is dropped, and the outcome is a valid watch."""
    pasted = from_search_url(SEARCH + address)
    assert dict(pasted.query) == {name: (value,) for name, value in expected.items()}
    assert pasted.nct_ids == ()
    validate(Watch("w", query=pasted.query))


@pytest.mark.parametrize(
    "address",
    [
        "https://clinicaltrials.gov/search?term=NCT04852770%20NCT01728545",
        "https://clinicaltrials.gov/search?id=NCT04852770,NCT01728545",
        "https://clinicaltrials.gov/api/v2/studies?filter.ids=nct04852770%7CNCT01728545&format=json",
    ],
)
def test_a_search_for_numbers_becomes_numbers(address: str) -> None:
    """A search for nothing but NCT numbers is followed as those numbers."""
    pasted = from_search_url(address)
    assert (dict(pasted.query), pasted.nct_ids) == ({}, ("NCT04852770", "NCT01728545"))


@pytest.mark.parametrize(
    "address",
    [
        "https://clinicaltrials.gov/study/NCT04852770",
        "clinicaltrials.gov/study/NCT04852770?cond=x&rank=1",
        "<https://www.clinicaltrials.gov/study/nct04852770/>",
        "https://clinicaltrials.gov/api/v2/studies/NCT04852770",
        "https://classic.clinicaltrials.gov/ct2/show/NCT04852770",
        "http://clinicaltrials.gov/show/NCT04852770",
    ],
)
def test_the_address_of_one_study_is_its_number(address: str) -> None:
    """A study's own page, in any of its addresses, is a watch of one number."""
    assert from_search_url(address).nct_ids == ("NCT04852770",)


def test_an_address_of_the_api_is_taken_as_it_is() -> None:
    """The API's own address keeps its parameters but for those of paging and layout."""
    address = "https://clinicaltrials.gov/api/v2/studies?query.cond=x&filter.overallStatus=RECRUITING|COMPLETED&fields=NCTId&pageSize=5&countTotal=true"
    assert dict(from_search_url(address).query) == {"query.cond": ("x",), "filter.overallStatus": ("RECRUITING|COMPLETED",)}


def test_a_classic_address_is_read_as_far_as_it_goes() -> None:
    """An address of the classic site is read where its words mean the same, and its other parts are named."""
    assert dict(from_search_url("https://clinicaltrials.gov/ct2/results?cond=asthma&term=&Search=").query) == {"query.cond": ("asthma",)}
    with pytest.raises(UsageError, match="recrs"):
        from_search_url("https://clinicaltrials.gov/ct2/results?cond=asthma&recrs=a")


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("https://example.org/search?cond=x", "not an address of ClinicalTrials"),
        ("asthma", "not an address"),
        ("https://clinicaltrials.gov.evil.example/search?cond=x", "not an address of"),
        ("ftp://clinicaltrials.gov/search?cond=x", "not an address of"),
        ("https://[clinicaltrials.gov/search?cond=x", "not an address"),
        ("https://clinicaltrials.gov/data-api/api", "/data-api/api"),
        ("https://clinicaltrials.gov/study/NCT1234567890", "not an NCT number"),
        (SEARCH + "cond=x&colour=red", "colour"),
        (SEARCH, "everything = true"),
        (SEARCH + "viewType=Table&cond=", "everything = true"),
        (SEARCH + "start=yesterday", "start"),
        (SEARCH + "start=_", "start"),
        (SEARCH + "ageRange=old", "ageRange"),
        (SEARCH + "cond=x&lat=42.36", "lat"),
        (SEARCH + "cond=x&lat=42.36&lng=-71.06&distance=far", "distance"),
        (SEARCH + "cond=x&cond=y", "cond"),
    ],
)
def test_an_address_that_cannot_be_followed_is_named(address: str, names: str) -> None:
    """Another site, an unknown part, a broken range and a search without conditions are refused with the way out."""
    with pytest.raises(UsageError, match=names) as caught:
        from_search_url(address)
    assert caught.value.hint


def test_what_was_left_out_is_said() -> None:
    """A distance without coordinates, and what the registry would ignore beside numbers, is left out with a note."""
    assert "distance" in from_search_url(SEARCH + "country=Germany&distance=50").notes[0]
    assert "query.cond" in from_search_url(SEARCH + "term=NCT04852770&cond=x").notes[0]
    assert "50 miles" in from_search_url(SEARCH + "lat=1&lng=2").notes[0]
    assert from_search_url(SEARCH + "cond=x").notes == ()


@limits(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["cond", "term", "city", "country", "start", "distance", "locStr", "aggFilters", "id"]), st.text(max_size=30)
    )
)
def test_no_address_ends_in_a_traceback(parts: dict[str, str]) -> None:
    """Whatever stands in an address, the outcome is a query or a UsageError; values with quotes or operators stay values."""
    address = SEARCH + urlencode(parts)
    assert parse_qs(urlsplit(address).query, keep_blank_values=True).keys() == parts.keys()
    try:
        pasted = from_search_url(address)
    except UsageError:
        return
    assert pasted.query or pasted.nct_ids
