"""The study page: the example to the byte, the rules that it implies, and registry text that tries to break it."""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from trialsync.model import By, Kind, LoggedChange, Origin, Presence, Tier
from trialsync.publish.page import RULE, front_matter_value, page
from trialsync.registry.sandbox.loads import packaged_loads

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parent.parent.parent / "shared" / "study-page.md"
SEEN = "2026-05-12T07:17:09.285Z"


def changed(number: int, path: str, **other: Any) -> LoggedChange:
    """Return a row of the change log of an invented study, its baseline unless told otherwise."""
    field, _, item = path.partition(".the ") if path.startswith("locations") else (path, "", "")
    values: dict[str, Any] = {
        "id": number,
        "ref": f"NCT09000001@2026-05-12#{path}",
        "nct_id": "NCT09000001",
        "title": None,
        "sponsor": None,
        "version": 1,
        "registry_version": None,
        "date": "2026-05-01",
        "not_before": None,
        "load": "2026-05-12",
        "posted": "2026-05-01",
        "seen": SEEN,
        "path": path,
        "field": field,
        "item": f"the {item}" if item else None,
        "attribute": None,
        "kind": Kind.ADDED,
        "tier": Tier.HEADLINE,
        "before": None,
        "after": None,
        "baseline": True,
        "by": None,
        "origin": Origin.POLL,
        "facts": [],
        "url": "https://clinicaltrials.gov/study/NCT09000001",
    }
    return LoggedChange(**(values | other))


def part(text: str, title: str) -> str:
    """Return the body of a section of a page, or nothing."""
    found = re.search(rf"^## {re.escape(title)}[^\n]*\n\n(.*?)\n\n(?=## |---\n)", text, re.MULTILINE | re.DOTALL)
    return found.group(1) if found else ""


def facts(text: str) -> dict[str, str]:
    """Return the labelled list lines of a section."""
    return dict(re.findall(r"^- \*\*(.+?):\*\* (.+)$", text, re.MULTILINE))


def read_page(text: str) -> dict[str, Any]:
    """Return the record that a page was made of, in the registry's shape, as far as the page tells."""
    matter = dict(line.split(": ", 1) for line in text.split("---\n")[1].splitlines())
    key, eligibility = facts(part(text, "Key Facts")), facts(part(text, "Eligibility"))
    named = re.compile(r"^- \*\*(?P<name>.+)\*\* \((?P<type>[A-Z_]+)\)(?: — (?P<description>.+))?$", re.MULTILINE)
    outcome = re.compile(r"^- \*\*(?P<measure>.+)\*\* _\(time frame: (?P<timeFrame>.+?)\)_(?: — (?P<description>.+))?$", re.MULTILINE)
    official = re.search(r"^\*\*Official Title:\*\* (.+)$", text, re.MULTILINE)
    criteria = re.search(r"^```\n(.*)\n```$", text, re.MULTILINE | re.DOTALL)
    assert official
    assert criteria
    sites = []
    for line in part(text, "Locations").splitlines():
        place, status = line.removeprefix("- ").rsplit(" — ", 1)
        facility, city, country = place.split(", ")
        sites.append({"facility": facility, "status": status.strip("_"), "city": city, "country": country})
    return {
        "protocolSection": {
            "identificationModule": {"nctId": matter["nct_id"], "briefTitle": matter["title"], "officialTitle": official.group(1)},
            "statusModule": {
                "overallStatus": key["Status"],
                "startDateStruct": {"date": key["Start Date"]},
                "primaryCompletionDateStruct": {"date": "2030-12", "type": "ESTIMATED"},
                "completionDateStruct": {"date": key["Completion Date"]},
                "lastUpdatePostDateStruct": {"date": matter["ct_last_update_post_date"]},
            },
            "sponsorCollaboratorsModule": {"leadSponsor": {"name": key["Lead Sponsor"], "class": "INDUSTRY"}},
            "descriptionModule": {"briefSummary": part(text, "Brief Summary")},
            "conditionsModule": {"conditions": [key["Conditions"]]},
            "designModule": {
                "studyType": key["Study Type"],
                "phases": [key["Phase"]],
                "enrollmentInfo": {"count": int(key["Target Enrollment"]), "type": "ESTIMATED"},
            },
            "armsInterventionsModule": {
                "armGroups": [
                    {"label": each["name"], "type": each["type"], "description": "Not shown."}
                    for each in named.finditer(part(text, "Arms"))
                ],
                "interventions": [each.groupdict() for each in named.finditer(part(text, "Interventions"))],
            },
            "outcomesModule": {
                "primaryOutcomes": [each.groupdict() for each in outcome.finditer(part(text, "Primary Outcomes"))],
                "secondaryOutcomes": [
                    each.groupdict() | {"description": "Not shown."} for each in outcome.finditer(part(text, "Secondary Outcomes"))
                ],
            },
            "eligibilityModule": {
                "eligibilityCriteria": criteria.group(1),
                "healthyVolunteers": eligibility["Healthy Volunteers"] == "Yes",
                "sex": eligibility["Sex"],
                "minimumAge": eligibility["Minimum age"],
                "maximumAge": eligibility["Maximum age"],
            },
            "contactsLocationsModule": {"locations": sites},
        },
        "hasResults": False,
    }


@pytest.mark.skipif(not EXAMPLE.exists(), reason="the example page is not beside this checkout")
def test_the_example_page_is_made_to_the_byte() -> None:
    """The record that the example shows, with its baseline and its site's settings, gives the example, to the byte."""
    text = EXAMPLE.read_text(encoding="utf-8")
    paths = re.findall(r"^- `(.+)` — added", text, re.MULTILINE)
    note = text.rstrip("\n").splitlines()[-1].strip("*")
    # The rows come in the wrong order on purpose: the page sorts them.
    changes = [changed(number, path) for number, path in enumerate(paths)][::-1]
    made = page(read_page(text), changes=changes, last_seen_at=SEEN, base_url="https://parkinsonspathways.com/agent", note=note)
    assert made == text


def study(**modules: Any) -> dict[str, Any]:
    """Return an invented record with a number, a title and the modules given."""
    identification = {"nctId": "NCT09000001", "briefTitle": "Walking Aids in Late Gout"}
    return {"protocolSection": {"identificationModule": identification, "statusModule": {"overallStatus": "COMPLETED"}} | modules}


def test_what_is_missing_has_no_line() -> None:
    """A bare record gives a page of nothing but what it holds."""
    assert page(study(), changes=[], last_seen_at="2026-05-12T07:17:09.285Z") == (
        "---\n"
        "title: Walking Aids in Late Gout\n"
        "nct_id: NCT09000001\n"
        "overall_status: COMPLETED\n"
        'clinicaltrials_gov: "https://clinicaltrials.gov/study/NCT09000001"\n'
        'last_seen_at: "2026-05-12T07:17:09.285Z"\n'
        "source: ClinicalTrials.gov (mirrored, no enrichment)\n"
        "---\n"
        "# Walking Aids in Late Gout\n"
        "\n"
        "**NCT ID:** [NCT09000001](https://clinicaltrials.gov/study/NCT09000001)\n"
        "\n"
        "## Key Facts\n"
        "\n"
        "- **Status:** COMPLETED\n"
        "\n"
        "---\n"
        "\n"
        "*Source data (authoritative): https://clinicaltrials.gov/study/NCT09000001*\n"
    )


def test_a_page_of_several_of_everything() -> None:
    """Lists join with a comma, a count that was reached is called so, sites show the parts they have, and the note ends the page."""
    record = study(
        identificationModule={"nctId": "NCT09000001", "briefTitle": "Gout: a Trial", "officialTitle": "Gout,\n in  Full"},
        sponsorCollaboratorsModule={"leadSponsor": {"name": "On"}},
        descriptionModule={
            "briefSummary": "We walk.\r\n\r\n* slowly\r\n* # loudly\r\n===\r\n---\r\n```sh\r\n<!-- x -->\r\n<!-- -->\r\na \\<b\n"
        },
        conditionsModule={"conditions": ["Gout", "Late Gout"]},
        designModule={"studyType": "INTERVENTIONAL", "phases": ["PHASE2", "PHASE3"], "enrollmentInfo": {"count": 0, "type": "ACTUAL"}},
        armsInterventionsModule={
            "armGroups": [{"label": "Cane", "type": "EXPERIMENTAL", "description": "Left."}, {"label": "None"}, {"description": "?"}],
            "interventions": [{"name": "Cane", "type": "DEVICE", "description": "Of\nash."}, {"description": "### loose"}],
        },
        outcomesModule={
            "primaryOutcomes": [{"measure": "Steps", "description": "Counted."}],
            "secondaryOutcomes": [{"measure": "Falls", "timeFrame": "1 year", "description": "Counted too."}],
        },
        eligibilityModule={"eligibilityCriteria": "Inclusion:\n\n````\n* gout \\> 1 year\n", "healthyVolunteers": True},
        contactsLocationsModule={
            "locations": [
                {"facility": "Hôpital A", "city": "Lyon", "state": "Rhône", "country": "France", "status": "WITHDRAWN"},
                {"facility": "# B", "country": "China"},
                {"zip": "12345"},
            ]
        },
    )
    rows = [
        changed(9, "locations.the b", field="locations", item="# b|||china"),
        changed(8, "locations.the a", field="locations", item="hôpital a|lyon|rhône|france"),
        changed(3, "sponsor.lead.na`me", field="sponsor.lead", attribute="na`me", kind=Kind.CHANGED, baseline=False, by=By.SPONSOR),
        changed(4, "design.phases", baseline=False, seen="2026-05-11T00:00:00.000Z"),
        changed(5, "design.phases", kind=Kind.REMOVED, baseline=False, seen="2026-04-12T23:59:59.000Z"),
        changed(6, "design.phases", baseline=False, seen="2026-04-11T23:59:59.000Z"),
        changed(7, "design.phases", baseline=False, origin=Origin.HISTORY),
        changed(10, "conditions.conditions", baseline=False),
    ]
    made = page(record, changes=rows, last_seen_at=SEEN, base_url="https://example.org/", note="A\nmirror.", presence=Presence.REMOVED)
    assert made == (
        "---\n"
        'title: "Gout: a Trial"\n'
        "nct_id: NCT09000001\n"
        "overall_status: COMPLETED\n"
        "registry_presence: removed\n"
        "phase: PHASE2, PHASE3\n"
        'sponsor: "On"\n'
        "study_type: INTERVENTIONAL\n"
        "primary_condition: Gout\n"
        "countries: China, France\n"
        'canonical_url: "https://example.org/trials/NCT09000001.md"\n'
        'clinicaltrials_gov: "https://clinicaltrials.gov/study/NCT09000001"\n'
        'last_seen_at: "2026-05-12T07:17:09.285Z"\n'
        "source: ClinicalTrials.gov (mirrored, no enrichment)\n"
        "---\n"
        "# Gout: a Trial\n"
        "\n"
        "**Official Title:** Gout, in Full\n"
        "\n"
        "**NCT ID:** [NCT09000001](https://clinicaltrials.gov/study/NCT09000001)\n"
        "\n"
        "## Key Facts\n"
        "\n"
        "- **Status:** COMPLETED\n"
        "- **Registry Presence:** removed\n"
        "- **Phase:** PHASE2, PHASE3\n"
        "- **Study Type:** INTERVENTIONAL\n"
        "- **Actual Enrollment:** 0\n"
        "- **Lead Sponsor:** On\n"
        "- **Conditions:** Gout, Late Gout\n"
        "\n"
        "## Brief Summary\n"
        "\n"
        "We walk.\n"
        "\n"
        "* slowly\n"
        "* \\# loudly\n"
        "\\===\n"
        "\\---\n"
        "\\`\\`\\`sh\n"
        "\\<!-- x -->\n"
        "<!-- -->\n"
        "a \\<b\n"
        "\n"
        "## Eligibility\n"
        "\n"
        "- **Healthy Volunteers:** Yes\n"
        "\n"
        "`````\n"
        "Inclusion:\n"
        "\n"
        "````\n"
        "* gout \\> 1 year\n"
        "`````\n"
        "\n"
        "## Arms\n"
        "\n"
        "- **Cane** (EXPERIMENTAL)\n"
        "- **None**\n"
        "\n"
        "## Interventions\n"
        "\n"
        "- **Cane** (DEVICE) — Of ash.\n"
        "- \\### loose\n"
        "\n"
        "## Primary Outcomes\n"
        "\n"
        "- **Steps** — Counted.\n"
        "\n"
        "## Secondary Outcomes\n"
        "\n"
        "- **Falls** _(time frame: 1 year)_\n"
        "\n"
        "## Locations (2)\n"
        "\n"
        "- Hôpital A, Lyon, Rhône, France — _WITHDRAWN_\n"
        "- \\# B, China\n"
        "\n"
        "## Recent Field Changes (last 30 days)\n"
        "\n"
        "- `sponsor.lead.na'me` — changed _(2026-05-12)_\n"
        "- `locations.the a` — added _(2026-05-12)_\n"
        "- `locations.the b` — added _(2026-05-12)_\n"
        "- `design.phases` — added _(2026-05-11)_\n"
        "- `design.phases` — removed _(2026-04-12)_\n"
        "\n"
        "---\n"
        "\n"
        "*Canonical: https://example.org/trials/NCT09000001.md*  \n"
        "*Source data (authoritative): https://clinicaltrials.gov/study/NCT09000001*  \n"
        "*A mirror.*\n"
    )


def test_who_changes_what_a_page_says_raises_its_rule() -> None:
    """The packaged studies' pages are those of this rule: a folder of pages makes them again only where the rule is another."""
    digest = blake2b(digest_size=8)
    for line in packaged_loads():
        if line.study is not None:
            digest.update(page(line.study, changes=[changed(1, "design.phases")], last_seen_at=SEEN, note="A note.").encode())
    assert {RULE: digest.hexdigest()} == {1: "e117cf19fdb37895"}


def test_a_site_may_leave_its_baseline_out() -> None:
    """With the baseline left out, the rows of the first known version are gone, and with them the empty section."""
    made = page(study(), changes=[changed(1, "status.overallStatus")], last_seen_at=SEEN, baseline=False)
    assert "Recent Field Changes" not in made
    assert "`status.overallStatus` — added _(2026-05-12)_" in page(study(), changes=[changed(1, "status.overallStatus")], last_seen_at=SEEN)


@pytest.mark.parametrize("text", ["Gout", "Parkinson's Disease", "2026-01-31", "A - B, C (D) [E]", "1 Day", "Nordic", "x=1", "v1.2"])
def test_plain_values_stay_plain(text: str) -> None:
    """A value that YAML reads as the same text is not quoted, and a date never is."""
    assert front_matter_value(text) == text


@pytest.mark.parametrize(
    "text",
    ["a: b", "C#", "-x", "[x]", "*x", "&x", "!x", "%x", "@x", "`x", "'x'", '"x"', "{x", "|", ">x", "?x", ",x", "12", "-1.5", "1e3", ".5"],
)
def test_values_that_begin_with_an_indicator_or_number_are_quoted_as_json(text: str) -> None:
    """A value with a colon or hash, an indicator in front, or that reads as a number is a JSON string."""
    quoted = front_matter_value(text)
    assert quoted.startswith('"')
    assert json.loads(quoted) == text


@pytest.mark.parametrize("text", ["0x1F", "1_000", "yes", "NO", "Off", "true", "null", "~", ".inf", "---"])
def test_values_that_yaml_would_misread_are_quoted_as_json(text: str) -> None:
    """A value that reads as another type is a JSON string."""
    quoted = front_matter_value(text)
    assert quoted.startswith('"')
    assert json.loads(quoted) == text


HOSTILE = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            [
                "\n",
                "\r",
                "---",
                "# ",
                "## ",
                "```",
                "~~~~",
                "===",
                "- ",
                "1. ",
                "> ",
                "* * *",
                "<script>",
                "<!--",
                "-->",
                "</div>",
                "<div\n>",
                "\x00",
                "\x1b[31m",
                "\u202e",
                "\u2028",
                "\x85",
                "|",
                "`",
                "\\",
                "*",
                "_",
                "title: x",
                "    ",
                "\t",
                "[a]: b",
                "![x](y)",
                "\u0645",
                "é",
            ]
        ),
        max_size=12,
    ).map("".join),
)


@st.composite
def hostile_studies(draw: st.DrawFn) -> dict[str, Any]:
    """Return a record that holds hostile text in every field that the page shows."""

    def text() -> str:
        return draw(HOSTILE)

    return {
        "protocolSection": {
            "identificationModule": {"nctId": "NCT09000001", "briefTitle": text(), "officialTitle": text()},
            "statusModule": {
                "overallStatus": text(),
                "startDateStruct": {"date": text()},
                "completionDateStruct": {"date": text()},
                "lastUpdatePostDateStruct": {"date": text()},
            },
            "sponsorCollaboratorsModule": {"leadSponsor": {"name": text()}},
            "descriptionModule": {"briefSummary": text()},
            "conditionsModule": {"conditions": [text(), text()]},
            "designModule": {"studyType": text(), "phases": [text()]},
            "armsInterventionsModule": {
                "armGroups": [{"label": text(), "type": text()}],
                "interventions": [{"name": text(), "type": text(), "description": text()}],
            },
            "outcomesModule": {"primaryOutcomes": [{"measure": text(), "timeFrame": text(), "description": text()}]},
            "eligibilityModule": {"eligibilityCriteria": text(), "minimumAge": text(), "sex": text()},
            "contactsLocationsModule": {"locations": [{"facility": text(), "city": text(), "country": text(), "status": text()}]},
        }
    }


def front_matter(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a page's front matter, read strictly."""
    for line in text.split("\n---\n", 1)[0].removeprefix("---\n").split("\n"):
        found = re.fullmatch(r'([a-z_]+): ("(?:[^"\\]|\\["\\])*"|[^-?:,\[\]{}#&*!|>\'"%@`\s][^:#]*)', line)
        assert found, line
        yield found.group(1), json.loads(found.group(2)) if found.group(2).startswith('"') else found.group(2)


@given(record=hostile_studies(), path=HOSTILE)
def test_registry_text_never_breaks_the_page(record: dict[str, Any], path: str) -> None:
    """Whatever the registry's texts hold: the front matter reads, the headings and the rule are ours alone, one fence, no HTML."""
    rows = [changed(1, f"outcomes.primary.{path}", field="outcomes.primary", item=path)]
    made = page(record, changes=rows, last_seen_at=SEEN, note="Mirror.")
    assert made == page(record, changes=rows, last_seen_at=SEEN, note="Mirror.")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]", made)
    names = [name for name, _ in front_matter(made)]
    assert len(names) == len(set(names))
    assert dict(front_matter(made))["nct_id"] == "NCT09000001"
    body = made.split("\n---\n", 1)[1]
    tokens = MarkdownIt("commonmark").parse(body)
    headings = [(each.tag, tokens[at + 1].content) for at, each in enumerate(tokens) if each.type == "heading_open"]
    assert headings[0][0] == "h1"
    ours = (
        "Key Facts|Brief Summary|Eligibility|Arms|Interventions|Primary Outcomes|Locations \\(1\\)|Recent Field Changes \\(last 30 days\\)"
    )
    for tag, title in headings[1:]:
        assert tag == "h2"
        assert re.fullmatch(ours, title)
    assert len({title for _, title in headings[1:]}) == len(headings) - 1
    assert sum(each.type == "hr" for each in tokens) == 1
    assert sum(each.type == "fence" for each in tokens) <= 1
    assert not [each for each in tokens if each.type == "html_block" and each.content.strip() != "<!-- -->"]
    assert not [
        inside for each in tokens for inside in each.children or () if inside.type == "html_inline" and inside.content != "<!-- -->"
    ]
    assert tokens[-2].content.endswith("*Mirror.*")
