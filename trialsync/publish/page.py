"""One study as a Markdown page: front matter, key facts, sections, and what changed in the last thirty days.

The page is a pure function of the study, its changes, the dates and the site's settings: the same to the byte wherever it is made.
It shows the description of interventions and of primary outcomes; arms and secondary outcomes are listed without theirs.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from trialsync.model import Origin, Presence
from trialsync.publish.text import block_markdown, code_span, fenced, inline_markdown, line_markdown, one_line
from trialsync.study import align, fields, record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trialsync.model import Json, LoggedChange, Study

RULE: Final = 1
"""The number of the rules by which a page is made. Whoever changes what a page says raises it: a site makes its pages again then."""

RECENT_DAYS: Final = 30
"""How many days before ``last_seen_at`` a change counts as recent."""

_SOURCE: Final = "ClinicalTrials.gov (mirrored, no enrichment)"
_INDICATORS: Final = frozenset("-?:,[]{}#&*!|>'\"%@`")
_RESERVED: Final = frozenset(
    ("null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", "-.inf", "+.inf", ".nan", "=", "<<")
)
_NUMBER: Final = re.compile(
    r"[-+]?(?:0x[0-9a-f_]+|0o?[0-7_]+|0b[01_]+|(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[-+]?\d+)?)", re.IGNORECASE | re.ASCII
)
_JSON_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"'})


def page(
    study: Study,
    *,
    changes: Sequence[LoggedChange],
    last_seen_at: str,
    base_url: str | None = None,
    note: str | None = None,
    baseline: bool = True,
    presence: Presence = Presence.LISTED,
    merged_into: str | None = None,
) -> str:
    """Return the study's Markdown page, ending in a line feed.

    ``changes`` are the study's logged changes in any order, up to the version shown; the page picks the recent ones of the core fields.
    ``last_seen_at`` is a UTC instant ending in ``Z``: when the last complete poll or import covered the study. Pages are at
    ``<base_url>/trials/<NCT_ID>.md``; without ``base_url`` nothing is called canonical. ``note`` ends the page. ``baseline`` says whether
    rows of the first known version are shown. A study that the registry no longer lists says so in the front matter and the key facts,
    with the number that it was merged into.
    """
    number = one_line(record.nct_id(study) or "")
    source_url = f"https://clinicaltrials.gov/study/{number}"
    canonical = f"{base_url.rstrip('/')}/trials/{number}.md" if base_url else None
    heading = next((text for text in (record.title(study), record.official_title(study)) if text and text.strip()), number)
    gone = None if presence is Presence.LISTED else presence.value
    parts = [
        _front_matter(
            (
                ("title", heading),
                ("nct_id", number),
                ("overall_status", record.overall_status(study)),
                ("registry_presence", gone),
                ("merged_into", merged_into),
                ("phase", _joined(record.phases(study))),
                ("sponsor", record.sponsor(study)),
                ("study_type", record.study_type(study)),
                ("primary_condition", next(iter(record.conditions(study)), None)),
                ("countries", _joined(record.countries(study))),
                ("canonical_url", canonical),
                ("clinicaltrials_gov", source_url),
                ("ct_last_update_post_date", record.posted(study)),
                ("last_seen_at", last_seen_at),
                ("source", _SOURCE),
            )
        )
        + f"\n# {inline_markdown(heading)}",
        _labelled("Official Title", record.official_title(study)),
        f"**NCT ID:** [{number}]({source_url})",
        _section("Key Facts", _key_facts(study, gone, merged_into)),
        _section("Brief Summary", block_markdown(record.brief_summary(study) or "")),
        _section("Eligibility", _eligibility(study)),
        _section("Arms", _lines(_arm(arm) for arm in record.arms(study))),
        _section("Interventions", _lines(_intervention(each) for each in record.interventions(study))),
        _section("Primary Outcomes", _lines(_outcome(each, described=True) for each in record.primary_outcomes(study))),
        _section("Secondary Outcomes", _lines(_outcome(each, described=False) for each in record.secondary_outcomes(study))),
        _locations(study),
        _section(f"Recent Field Changes (last {RECENT_DAYS} days)", _recent(study, changes, last_seen_at, baseline=baseline)),
        "---",
        _footer(canonical, source_url, note),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter_value(text: str) -> str:
    """Return a text as a YAML scalar on one line.

    Quoted as JSON where it holds ``:`` or ``#``, begins with an indicator, or reads as a number, a boolean or null; plain otherwise.
    """
    plain = one_line(text)
    if not plain or ":" in plain or "#" in plain or plain[0] in _INDICATORS or plain.lower() in _RESERVED or _NUMBER.fullmatch(plain):
        return f'"{plain.translate(_JSON_ESCAPES)}"'
    return plain


def _front_matter(values: Iterable[tuple[str, str | None]]) -> str:
    lines = [f"{name}: {front_matter_value(value)}" for name, value in values if value and one_line(value)]
    return "\n".join(("---", *lines, "---"))


def _joined(texts: Iterable[str]) -> str | None:
    return ", ".join(line for line in map(one_line, texts) if line) or None


def _string(value: Json) -> str:
    return inline_markdown(value) if isinstance(value, str) else ""


def _labelled(label: str, text: str | None) -> str:
    shown = inline_markdown(text or "")
    return f"**{label}:** {shown}" if shown else ""


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line_markdown(line)}" for line in lines if line)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _key_facts(study: Study, gone: str | None, merged_into: str | None) -> str:
    count = record.enrollment(study)
    enrollment = "Actual Enrollment" if record.enrollment_type(study) == "ACTUAL" else "Target Enrollment"
    facts = (
        ("Status", record.overall_status(study)),
        ("Registry Presence", gone),
        ("Merged Into", merged_into),
        ("Phase", _joined(record.phases(study))),
        ("Study Type", record.study_type(study)),
        (enrollment, None if count is None else str(count)),
        ("Lead Sponsor", record.sponsor(study)),
        ("Conditions", _joined(record.conditions(study))),
        ("Start Date", record.start_date(study)),
        ("Completion Date", record.completion_date(study)),
        ("CT.gov Last Update", record.posted(study)),
    )
    return _lines(_labelled(label, text) for label, text in facts)


def _eligibility(study: Study) -> str:
    healthy = record.healthy_volunteers(study)
    facts = (
        ("Minimum age", record.minimum_age(study)),
        ("Maximum age", record.maximum_age(study)),
        ("Sex", record.sex(study)),
        ("Healthy Volunteers", None if healthy is None else "Yes" if healthy else "No"),
    )
    criteria = record.criteria(study) or ""
    parts = (_lines(_labelled(label, text) for label, text in facts), fenced(criteria) if criteria.strip() else "")
    return "\n\n".join(part for part in parts if part)


def _named(name: Json, kind: Json) -> str:
    """Return ``**name** (KIND)``; what is missing has no parenthesis."""
    shown, shown_kind = _string(name), _string(kind)
    return " ".join(part for part in (f"**{shown}**" if shown else "", f"({shown_kind})" if shown_kind else "") if part)


def _arm(arm: dict[str, Json]) -> str:
    return _named(arm.get("label"), arm.get("type"))


def _intervention(intervention: dict[str, Json]) -> str:
    parts = (_named(intervention.get("name"), intervention.get("type")), _string(intervention.get("description")))
    return " — ".join(part for part in parts if part)


def _outcome(outcome: dict[str, Json], *, described: bool) -> str:
    frame = _string(outcome.get("timeFrame"))
    named = (_named(outcome.get("measure"), None), f"_(time frame: {frame})_" if frame else "")
    parts = (" ".join(part for part in named if part), _string(outcome.get("description")) if described else "")
    return " — ".join(part for part in parts if part)


def _locations(study: Study) -> str:
    sites = [line for line in map(_location, record.locations(study)) if line]
    return _section(f"Locations ({len(sites)})", _lines(sites))


def _location(site: dict[str, Json]) -> str:
    place = ", ".join(part for part in (_string(site.get(name)) for name in ("facility", "city", "state", "country")) if part)
    status = _string(site.get("status"))
    return " — ".join(part for part in (place, f"_{status}_" if status else "") if part)


def _recent(study: Study, changes: Sequence[LoggedChange], last_seen_at: str, *, baseline: bool) -> str:
    first_day = str(date.fromisoformat(last_seen_at[:10]) - timedelta(days=RECENT_DAYS))
    recent = [
        row
        for row in changes
        if row.field in fields.CORE and row.origin is not Origin.HISTORY and (baseline or not row.baseline) and row.seen[:10] >= first_day
    ]
    places = {name: _places(study, name) for name in {row.field for row in recent if row.item is not None}}

    def place(row: LoggedChange) -> tuple[int, int, int]:
        listed = places.get(row.field, {})
        return fields.order(row.field), listed.get(row.item or "", len(listed)), row.id

    # Two stable sorts: the newest instant comes first, and in it the vocabulary's order runs upwards.
    recent.sort(key=place)
    recent.sort(key=lambda row: row.seen, reverse=True)
    return _lines(f"{code_span(row.path)} — {row.kind.value} _({row.seen[:10]})_" for row in recent)


def _places(study: Study, name: str) -> dict[str, int]:
    """Return the place in the registry's list of each item of a keyed field, by the item's label."""
    field = fields.by_name(name)
    if field is None or field.items is None:
        return {}
    members = record.at(study, *field.path.split("."))
    return {label: place for place, label in enumerate(align.labels(members, field.items))} if align.is_keyed(members) else {}


def _footer(canonical: str | None, source_url: str, note: str | None) -> str:
    lines = (
        f"*Canonical: {canonical}*" if canonical else "",
        f"*Source data (authoritative): {source_url}*",
        f"*{inline_markdown(note)}*" if note and note.strip() else "",
    )
    return "  \n".join(line for line in lines if line)
