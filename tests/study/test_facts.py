"""Facts about outcomes, the plan, sites and postings; and what holds of all facts."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from following import edited, invent, site
from hypothesis import given
from hypothesis import strategies as st
from study_laws import places
from study_records import SHARED, lines, real_lines, study_of, versions
from telling import dated, ids, study, the, told

from trialsync.model import By, Kind, Presence
from trialsync.study import record
from trialsync.study.diff import diff
from trialsync.study.facts import BY_ID, FACTS, Step, facts_of, facts_of_whole, may_be_overdue, nearest, overdue
from trialsync.sync.arrivals import membership_change, presence_change

if TYPE_CHECKING:
    from random import Random

    from trialsync.model import Study

GAIT = {"measure": "Gait speed", "timeFrame": "1 year"}
PAIN = {"measure": "Pain on walking", "timeFrame": "6 months"}


def outcomes(*primary: dict[str, Any], secondary: tuple[dict[str, Any], ...] = (), base: Study | None = None, **leaves: Any) -> Study:
    """Return a study with these outcomes."""
    lists = {"outcomesModule__primaryOutcomes": list(primary) or None, "outcomesModule__secondaryOutcomes": list(secondary) or None}
    return edited(base or invent(1), **lists, **leaves)  # type: ignore[arg-type]


def with_results(new: Study, **measure: Any) -> Study:
    """Return a study with posted results: one outcome measure."""
    return {**new, "hasResults": True, "resultsSection": {"outcomeMeasuresModule": {"outcomeMeasures": [{"type": "PRIMARY", **measure}]}}}


# Outcomes


def test_primary_outcomes_that_come_and_go() -> None:
    """One that is listed anew was added, one that is not listed any more removed."""
    assert ids(outcomes(GAIT), outcomes(GAIT, PAIN)) == ["primary-outcome-added"]
    assert ids(outcomes(GAIT, PAIN), outcomes(GAIT)) == ["primary-outcome-removed"]
    assert ids(outcomes(), outcomes(GAIT)) == ["primary-outcome-added"]
    assert ids(outcomes(GAIT), outcomes()) == ["primary-outcome-removed"]
    assert ids(outcomes(GAIT), outcomes(GAIT, secondary=(PAIN,))) == []


@pytest.mark.parametrize(
    ("measure", "facts"),
    [
        ("Gait speed over ten metres", ["primary-outcome-reworded"]),
        ("gait  speed.", []),
        ("GAIT SPEED", []),
        (r"Gait speed\.", []),
        ("Gait velocity", ["primary-outcome-reworded"]),
    ],
)
def test_an_outcome_that_reads_otherwise_was_reworded(measure: str, facts: list[str]) -> None:
    """Other words count, capitals, white space, mark-up and a full stop do not."""
    old = {**GAIT, "description": "Walked as fast as is safe"}
    assert ids(outcomes(old), outcomes({**old, "measure": measure})) == facts


def test_text_that_renders_alike_is_markup_only() -> None:
    """An escape or an entity is no rewording, of an outcome or of criteria: the row says that it is mark-up."""
    old, new = ({"measure": text, "timeFrame": "1 year"} for text in ("Gait > 1 m/s", r"Gait \> 1 m/s"))
    assert ids(outcomes(old), outcomes(new)) == ["markup-only"]
    one, other = (study(eligibilityModule__eligibilityCriteria=text) for text in ("Age > 18 & fit", r"Age \> 18  &amp; fit"))
    assert ids(one, other) == ["markup-only"]
    assert ids(one, study(eligibilityModule__eligibilityCriteria="Age > 21 & fit")) == ["criteria-changed"]
    assert ids(one, study()) == ["criteria-changed"]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [("1 year", "2 years", True), ("1 year", "1 Year.", False), ("1 year", None, True), (None, "1 year", True)],
)
def test_another_time_frame(before: str | None, after: str | None, changed: bool) -> None:  # noqa: FBT001 - a case
    """Another one, one that is new or gone; not another spelling."""
    old, new = ({"measure": "Gait speed", **({"timeFrame": each} if each else {})} for each in (before, after))
    assert ids(outcomes(old), outcomes(new)) == (["primary-outcome-timeframe-changed"] if changed else [])


def test_an_outcome_moved_to_the_secondary_ones_was_demoted() -> None:
    """Gone from the primary ones and come among the secondary ones in one update: demoted; the other way: promoted."""
    one, other = outcomes(GAIT, PAIN), outcomes(GAIT, secondary=(PAIN,))
    assert ids(one, other) == ["outcome-demoted", "primary-outcome-removed"]
    demoted = the("outcome-demoted", one, other)
    assert demoted is not None
    assert (demoted["to"], demoted["reworded"]) == ("secondary", False)
    assert ids(other, one) == ["outcome-promoted", "primary-outcome-added"]
    promoted = the("outcome-promoted", other, one)
    assert promoted is not None
    assert promoted["from"] == "secondary"


def test_a_moved_outcome_may_be_reworded_but_not_another_one() -> None:
    """Three quarters of the words make it the same; fewer do not, though the lists changed alike."""
    longer = {"measure": "Mean pain on walking", "timeFrame": "6 months"}
    old = outcomes(GAIT, PAIN)
    demoted = the("outcome-demoted", old, outcomes(GAIT, secondary=(longer,)))
    assert demoted is not None
    assert demoted["reworded"] is True
    other = {"measure": "Falls while walking on ice", "timeFrame": "6 months"}
    assert ids(old, outcomes(GAIT, secondary=(other,))) == ["primary-outcome-removed"]


def test_what_stood_among_the_secondary_ones_before_was_not_demoted() -> None:
    """Only what came there in the same update was moved."""
    assert ids(outcomes(GAIT, PAIN, secondary=(PAIN,)), outcomes(GAIT, secondary=(PAIN,))) == ["primary-outcome-removed"]


def test_each_moved_outcome_has_one_counterpart() -> None:
    """Two primary ones and one secondary of the same words: one was demoted, the other only removed."""
    twice = (PAIN, {**PAIN, "timeFrame": "1 year"})
    found = Counter(ids(outcomes(GAIT, *twice), outcomes(GAIT, secondary=(PAIN,))))
    assert found == {"primary-outcome-removed": 2, "outcome-demoted": 1}


# The plan


@pytest.mark.parametrize(
    ("before", "after", "fact", "percent"),
    [
        (40, 30, "enrollment-cut", 25.0),
        (40, 0, "enrollment-cut", 100.0),
        (40, 41, "enrollment-raised", 2.5),
        (3, 1, "enrollment-cut", 66.7),
        (0, 5, "enrollment-raised", None),
        (99_999_999, 40, None, None),
        (40, 99_999_999, None, None),
        (-1, 40, None, None),
        ("40", 30, None, None),
        (None, 30, None, None),
        (40, None, None, None),
    ],
)
def test_enrollment_by_percent(before: Any, after: Any, fact: str | None, percent: float | None) -> None:
    """Cut or raised by so much of what stood there; placeholders and what is no number are passed over."""
    kinds = [
        invent(1, designModule={"enrollmentInfo": {"count": count, "type": kind} if count is not None else {}})
        for count, kind in ((before, "ESTIMATED"), (after, "ACTUAL"))
    ]
    assert ids(*kinds) == ([fact] if fact else [])
    if fact:
        wanted = {"percent": percent, "before": before, "after": after, "type": "ACTUAL", "type_before": "ESTIMATED"}
        assert the(fact, *kinds) == wanted


@pytest.mark.parametrize(
    ("limit", "before", "after", "fact"),
    [
        ("minimumAge", "18 Years", "17 Years", "widened"),
        ("minimumAge", "18 Years", "21 Years", "narrowed"),
        ("minimumAge", "18 Years", None, "widened"),
        ("minimumAge", None, "1 Month", "narrowed"),
        ("minimumAge", "0 Days", None, None),
        ("maximumAge", "65 Years", "66 Years", "widened"),
        ("maximumAge", "65 Years", "64 Years", "narrowed"),
        ("maximumAge", None, "99 Years", "narrowed"),
        ("maximumAge", "99 Years", None, "widened"),
        ("maximumAge", "N/A", "99 Years", "narrowed"),
        ("maximumAge", "1 Year", "12 Months", None),
        ("maximumAge", "216 Months", "18 Years", None),
        ("maximumAge", "4 Weeks", "1 Month", "widened"),
        ("maximumAge", "24 Hours", "1 Day", None),
        ("maximumAge", "30 Minutes", "1 Hour", "widened"),
        ("maximumAge", "old", "18 Years", None),
        ("maximumAge", 18, "18 Years", None),
    ],
)
def test_age_limits(limit: str, before: Any, after: Any, fact: str | None) -> None:
    """An age limit lets in more or less; other units of the same age are no change of it, none is no limit."""
    old, new = (study(**{f"eligibilityModule__{limit}": each}) for each in (before, after))
    assert ids(old, new) == ([f"eligibility-age-{fact}"] if fact else [])
    if fact:
        assert the(f"eligibility-age-{fact}", old, new) == {"limit": limit[:-3], "before": before, "after": after}


def test_another_sponsor() -> None:
    """Another name is another sponsor, whoever it is; another class, or a name that renders alike, is not."""
    old, new, alike, other_class = (
        study(sponsorCollaboratorsModule__leadSponsor={"name": name, "class": kind})
        for name, kind in (("A & B", "OTHER"), ("A and B", "OTHER"), ("A &amp; B", "OTHER"), ("A & B", "INDUSTRY"))
    )
    assert the("sponsor-changed", old, new) == {"before": "A & B", "after": "A and B"}
    assert ids(old, alike) == ["markup-only"]
    assert ids(old, other_class) == []


# Sites


def sites(*listed: dict[str, Any]) -> Study:
    """Return a study with these sites."""
    return study(contactsLocationsModule__locations=list(listed) or None)


LYON, OSLO = site("Clinic A", "Lyon", "France", status="RECRUITING"), site("Clinic B", "Oslo", "Norway")


def test_sites_that_open_and_close() -> None:
    """A site that is listed anew opened, one that is not listed any more closed; the first and last of a country are told."""
    found = told(sites(LYON), sites(LYON, OSLO, site("Clinic C", "Bergen", "Norway")))
    assert [(fact["id"], fact["country"]) for _, fact in found] == [
        ("site-opened", "Norway"),
        ("country-first-site", "Norway"),
        ("site-opened", "Norway"),
    ]
    assert ids(sites(LYON, OSLO), sites(OSLO)) == ["country-last-site", "site-closed"]
    assert the("site-closed", sites(LYON, OSLO), sites(OSLO)) == {"country": "France", "status": "RECRUITING"}
    assert ids(sites(), sites(LYON)) == ["country-first-site", "site-opened"]


def test_a_status_of_a_site_closes_nothing() -> None:
    """A site that stays listed is not closed, whatever its status says."""
    assert ids(sites(LYON), sites({**LYON, "status": "COMPLETED"})) == []
    assert ids(sites(LYON), sites({key: value for key, value in LYON.items() if key != "status"})) == []


def test_a_country_that_is_renamed_is_not_new() -> None:
    """A site that stays and whose country is spelled otherwise opens no country and closes none, nor does one beside it."""
    old = [site("Clinic A", "Praha", "Czech Republic", zip="1"), site("Clinic B", "Brno", "Czech Republic", zip="2")]
    new = [{**each, "country": "Czechia"} for each in old]
    assert ids(sites(*old), sites(*new)) == []
    assert ids(sites(*old), sites(*new, site("Clinic C", "Plzen", "Czechia"))) == ["site-opened"]


def test_a_country_to_which_every_site_moved_is_new() -> None:
    """A site that is the same and lies in another city and country made one country the first time listed, the other the last."""
    contact = [{"name": "Dr. Ann Example", "role": "CONTACT", "phone": "+49 1"}]
    old, new = (site("Clinic A", *place, contacts=contact) for place in (("Lyon", "France"), ("Oslo", "Norway")))
    assert ids(sites(old), sites(new)) == ["country-first-site", "country-last-site"]
    assert the("country-first-site", sites(old), sites(new)) == {"country": "Norway"}
    assert ids(sites(old, LYON), sites(new, LYON)) == ["country-first-site"]
    spellings = (("Praha", "Czech Republic"), ("Prague", "Czechia"))
    respelled = [site("Clinic A", *spelling, contacts=contact) for spelling in spellings]
    others = [site("Clinic B", "Brno", country, zip="2") for country in ("Czech Republic", "Czechia")]
    assert ids(sites(respelled[0], others[0]), sites(respelled[1], others[1])) == []


# Postings


def test_results_posted_and_corrected() -> None:
    """First results are posted, on one row; later a number that reads otherwise was corrected, on its own row."""
    old, posted = invent(1), with_results(invent(1), title="Gait", timeFrame="1 year")
    assert [(path, fact["id"]) for path, fact in told(old, posted)] == [("results.hasResults", "results-posted")]
    corrected = with_results(invent(1), title="Gait", timeFrame="2 years")
    ((path, fact),) = told(posted, corrected)
    assert fact["id"] == "results-corrected"
    assert path.endswith(".timeFrame")
    assert [(path, fact["id"]) for path, fact in told(corrected, old)] == [("results.hasResults", "results-withdrawn")]


def test_an_outcome_of_the_results_that_turns_secondary_is_told() -> None:
    """The type of an outcome measure in the results is a fact of its own, beside the correction."""
    one, other = (with_results(invent(1), title="Gait", timeFrame="1 year") for _ in range(2))
    other["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"][0]["type"] = "SECONDARY"
    assert ids(one, other) == ["results-corrected", "results-outcome-type-changed"]
    assert the("results-outcome-type-changed", one, other) == {"before": "PRIMARY", "after": "SECONDARY"}


def test_results_of_the_registrys_history_need_no_flag() -> None:
    """Where a record lacks the flag, its results tell that they are there, and the first row of theirs carries the fact."""
    old = {name: value for name, value in invent(1).items() if name != "hasResults"}
    new = with_results(old, title="Gait")
    del new["hasResults"]
    assert [fact["id"] for _, fact in told(old, new)] == ["results-posted"]


def test_documents_and_publications() -> None:
    """A document that came names its parts; a publication of results its number; what is only background is none."""
    protocol = {"typeAbbrev": "Prot_SAP", "hasProtocol": True, "hasSap": True, "hasIcf": False, "filename": "a.pdf"}
    consent = {"typeAbbrev": "ICF", "hasIcf": True, "filename": "b.pdf"}
    none, one, both = (
        {**invent(1), "documentSection": {"largeDocumentModule": {"largeDocs": docs}}} for docs in ([], [protocol], [protocol, consent])
    )
    assert the("documents-posted", none, one) == {"documents": ["protocol", "sap"]}
    assert the("documents-posted", one, both) == {"documents": ["icf"]}
    assert ids(both, one) == []
    cited = [study(referencesModule={"references": references}) for references in (
        [], [{"pmid": "1", "type": "BACKGROUND"}], [{"pmid": "1", "type": "BACKGROUND"}, {"pmid": "2", "type": "DERIVED"}],
    )]  # fmt: skip
    assert ids(cited[0], cited[1]) == []
    assert the("publication-linked", cited[1], cited[2]) == {"publications": [{"type": "DERIVED", "pmid": "2"}]}
    assert the("publication-linked", cited[0], cited[2]) == {"publications": [{"type": "DERIVED", "pmid": "2"}]}
    paper = study(referencesModule={"references": [{"citation": "A paper", "type": "RESULT"}]})
    assert the("publication-linked", cited[0], paper) == {"publications": [{"type": "RESULT", "pmid": None}]}


def test_a_study_first_posted_was_registered() -> None:
    """The row that says that a study is new carries it, no other row about the whole does."""
    assert facts_of_whole(presence_change(None, Presence.LISTED)) == [{"id": "registered", "rule": 1}]
    assert facts_of_whole(presence_change(Presence.REMOVED, Presence.LISTED)) == []
    assert facts_of_whole(membership_change("w", Kind.ADDED, By.REGISTRY)) == []


# Overdue


@pytest.mark.parametrize(
    ("day", "kind", "as_of", "what"),
    [
        ("2026-03-31", "ESTIMATED", "2026-04-01", ["primary-completion"]),
        ("2026-03-31", "ESTIMATED", "2026-03-31", []),
        ("2026-03", None, "2026-04-01", ["primary-completion"]),
        ("2026-03", "ESTIMATED", "2026-03-31", []),
        ("2026", "ESTIMATED", "2026-12-31", []),
        ("2026", "ESTIMATED", "2027-01-01", ["primary-completion"]),
        ("2025-03-31", "ACTUAL", "2026-03-31", ["results"]),
        ("2025-03-31", "ACTUAL", "2026-03-30", []),
        ("2025-03", "ACTUAL", "2026-03-30", []),
        ("2025-03", "ACTUAL", "2026-03-31", ["results"]),
        (None, "ACTUAL", "2026-03-31", []),
    ],
)
def test_what_is_overdue_to_the_day(day: str | None, kind: str | None, as_of: str, what: list[str]) -> None:
    """An expected date is past when it is over, results are late a year after the last day of an actual one."""
    found = overdue(dated("primaryCompletionDate", day, kind), date.fromisoformat(as_of))
    assert [fact["what"] for fact in found] == what
    assert all(fact["id"] == "overdue" and fact["date"] == day for fact in found)


def test_what_is_not_overdue() -> None:
    """A study that ended, one that nobody took part in, one with results: nothing of them is late."""
    today = date(2030, 1, 1)
    expected = dated("completionDate", "2026-01")
    assert [fact["what"] for fact in overdue(expected, today)] == ["completion"]
    assert overdue(edited(expected, statusModule__overallStatus="COMPLETED"), today) == []
    done = dated("primaryCompletionDate", "2026-01", "ACTUAL")
    assert [fact["what"] for fact in overdue(done, today)] == ["results"]
    assert overdue(edited(done, statusModule__overallStatus="WITHDRAWN"), today) == []
    assert overdue(with_results(done), today) == []
    submitted = edited(done, statusModule__dispFirstSubmitDate="2026-12-01")
    assert overdue(submitted, today)[0]["delay_requested"] is True


@given(
    st.sampled_from([None, "RECRUITING", "NOT_YET_RECRUITING", "COMPLETED", "WITHDRAWN", "UNKNOWN"]),
    *(st.sampled_from([None, "2024", "2025-02", "2025-06-30", "2027-01", "soon"]) for _ in range(2)),
    *(st.sampled_from([None, "ACTUAL", "ESTIMATED"]) for _ in range(2)),
    st.sampled_from(["", "posted"]),
)
def test_what_is_overdue_is_suspected_by_its_headlines(
    status: str | None, primary: str | None, completed: str | None, one: str | None, other: str | None, posted: str
) -> None:
    """Whatever is overdue is so by a record that the status, the dates and the flag for results let one suspect."""
    new = edited(
        invent(1),
        statusModule__overallStatus=status,
        statusModule__primaryCompletionDateStruct={"date": primary, "type": one},
        statusModule__completionDateStruct={"date": completed, "type": other},
    )
    new = with_results(new) if posted else new
    as_of = date(2026, 3, 1)
    suspected = may_be_overdue(
        record.overall_status(new),
        record.primary_completion_date(new),
        record.completion_date(new),
        has_results=record.has_results(new),
        as_of=as_of,
    )
    assert suspected or not overdue(new, as_of)


# All of them


def test_rules_are_named_once_and_defined() -> None:
    """Every rule has an id of its own, a version, a sentence and a source; only what is asked as of a day is not recorded."""
    assert len(BY_ID) == len(FACTS)
    assert all(rule.rule >= 1 and rule.definition.endswith((".", "--overdue")) and rule.source for rule in FACTS)
    assert [rule.id for rule in FACTS if not rule.recorded] == ["overdue"]
    assert nearest("site-open") == "site-opened"
    assert nearest("slip") is not None
    assert nearest("zzz") is None


def _check(old: Study, new: Study) -> list[str]:
    """Return the ids of a step's facts, having checked what holds of all."""
    changes = diff(old, new)
    found = facts_of(Step(old, new, changes, "2026-02-10", lambda: [old]))
    for place, facts in found.items():
        assert 0 <= place < len(changes)
        names = [fact["id"] for fact in facts]
        assert len(set(names)) == len(names)
        assert all(fact["rule"] == BY_ID[fact["id"]].rule and BY_ID[fact["id"]].recorded for fact in facts)
        assert orjson.loads(orjson.dumps(facts)) == facts
    overdue(new, date(2026, 11, 1))
    return [fact["id"] for facts in found.values() for fact in facts]


def test_facts_of_every_step_at_hand() -> None:
    """Every version of every study at hand, ours and the registry's own, gives facts that can be recorded, without fail."""
    found: Counter[str] = Counter()
    for texts in versions():
        for old, new in pairwise(texts):
            found.update(_check(study_of(old), study_of(new)))
    assert {"stopped", "went-unknown", "start-moved", "outcome-promoted", "results-corrected", "documents-posted"} <= found.keys()
    if SHARED.is_dir():
        assert found["site-opened"] >= 69
        assert found["completion-slipped"] >= 4


def test_facts_of_steps_that_never_were() -> None:
    """Even between two different studies everything is told in facts that can be recorded: no shape of a record is too odd."""
    records = [study_of(line) for line in (real_lines() or lines())[::40]][:70]
    for old, new in pairwise(records):
        _check(old, new)
        assert record.nct_id(new) is not None


ODD: tuple[Any, ...] = (None, True, 7, -1.5, "", "text", [], ["text"], [["text"]], {}, {"date": "2026"}, [{"measure": 1}], [None, 3])


@given(st.randoms(use_true_random=False))
def test_facts_survive_any_shape_of_a_record(chance: Random) -> None:
    """Whatever stands in place of any value, on either side, facts are told without fail."""
    texts = chance.choice([each for each in versions() if len(each[0]) < 40_000][:60])
    sides = [study_of(chance.choice(texts)) for _ in range(2)]
    for side in sides:
        for _ in range(chance.randrange(4)):
            *way, last = chance.choice([path for path in places(side) if path])
            node: Any = side
            for step in way:
                node = node[step]
            node[last] = copy.deepcopy(chance.choice(ODD))
    _check(*sides)
