"""Every fact: its id, the version of its rule, what it says, and where the notion comes from.

Facts state what was changed, by definitions that anybody can apply again; they never score. A rule that is defined anew gets the next
version, so that rows that an older one gave can be told apart; ``trialsync rebuild`` makes them by today's.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

OURS: Final = "trialsync"
_REGISTRY: Final = "ClinicalTrials.gov, Protocol Registration Data Element Definitions"
_ICMJE: Final = "ICMJE, clinical trial registration: registered at or before the time of first patient enrollment"
_COMPARE: Final = "Goldacre et al. 2019 (COMPare): outcomes added, and moved between primary and secondary"

_SLIP: Final = (
    "The {what} date is later than the old version's, which was not an ACTUAL one; dates that can't be told apart as precisely as both are "
    "given are no slip, and a date without a type is taken for an estimate. months are whole ones, days are given where both dates name "
    "one; type_after ACTUAL says that {what} came later than estimated. Over the study's known versions, this one included: times counts "
    "the moves of an estimate to a later estimate; total_days adds up the days of these moves and of those to an ACTUAL date (null where "
    "one of them has no days), total_months are the whole months of the same moves laid end to end on the calendar from the first date "
    "that slipped; what was pulled in between is not taken off. "
    "net_months and net_days are counted from the first date known to this one."
)
_PULLED_IN: Final = (
    "The {what} date is earlier than the old version's, by months (whole ones) and days (where both dates name one), both positive; "
    "type_before and type_after tell estimates from ACTUAL dates: an estimate pulled in, {what} that came sooner than estimated, or an "
    "ACTUAL date corrected to an earlier one."
)
_CORRECTED: Final = (
    "The old version's {what} date was ACTUAL, and the new version gives another one, none, or calls it an estimate (type_after): what was "
    "reported as past was corrected. That the same date is given more or less precisely is none. months and days, "
    "negative to before, are null where one of the dates is missing."
)
_EDIT: Final = (
    "phase is that of the day when the update was submitted (of the day since when the version holds, where none is given). An ACTUAL "
    "start or primary completion date settles it, the new version's before the old one's; otherwise the later of the old and the new "
    "version's estimates counts, and by an estimate alone no study is past its start that is NOT_YET_RECRUITING in the new version, and "
    "none past primary completion that still enrolls by it (RECRUITING, ENROLLING_BY_INVITATION). The start's own day is after-start, the "
    "day of primary completion not after it. phase_basis says whether the date that the phase is named after was an ACTUAL one (actual) "
    "or not (estimated); both are null where dates are missing or not precise enough. with_results: results were first posted in the same "
    "update; results_before: they stood there already."
)
_AS_EDITED: Final = "phase, phase_basis, with_results and results_before say what they say in primary-outcome-added."
_SAME: Final = (
    "two primary outcomes are held for the same where more than half of what they are recognised by (measure, description, time frame: "
    "trialsync fields --help) agrees"
)


@dataclass(frozen=True, slots=True)
class Rule:
    """What one fact says. ``rule`` is the version of its definition; ``recorded`` is false for one that is only asked, as of a day."""

    id: str
    rule: int
    definition: str
    source: str = OURS
    recorded: bool = True


FACTS: Final[tuple[Rule, ...]] = (
    Rule("registered", 1, "The study was first posted after the watch that found it was last looked at."),
    Rule(
        "stopped",
        1,
        "The overall status turned TERMINATED, SUSPENDED or WITHDRAWN; reason_given says whether the new version tells why.",
        f"{_REGISTRY}: Overall Recruitment Status, Why Study Stopped",
    ),
    Rule(
        "restarted",
        1,
        "The overall status was TERMINATED, SUSPENDED, WITHDRAWN or COMPLETED (from) and says now that the study goes on: "
        "NOT_YET_RECRUITING, RECRUITING, ENROLLING_BY_INVITATION or ACTIVE_NOT_RECRUITING.",
        f"{_REGISTRY}: Overall Recruitment Status",
    ),
    Rule(
        "went-unknown",
        1,
        "The registry turned the overall status to UNKNOWN; last_known is the status that it had, by the new version.",
        "ClinicalTrials.gov, glossary: recruitment status Unknown (past its completion date, and not verified within the past 2 years)",
    ),
    Rule("primary-completion-slipped", 2, _SLIP.format(what="primary completion")),
    Rule("completion-slipped", 2, _SLIP.format(what="completion")),
    Rule("primary-completion-pulled-in", 1, _PULLED_IN.format(what="primary completion")),
    Rule("completion-pulled-in", 1, _PULLED_IN.format(what="completion")),
    Rule("primary-completion-corrected", 1, _CORRECTED.format(what="primary completion")),
    Rule("completion-corrected", 1, _CORRECTED.format(what="completion")),
    Rule(
        "start-moved",
        1,
        "The start date of the new version is another than the old version's, as far as both are given; months (whole ones, negative where "
        "the start was moved to before) and days where both name one; type_before and type_after tell an estimate from an ACTUAL date.",
    ),
    Rule(
        "start-moved-past-registration",
        1,
        "The old version's start date lies before the day when the study was first submitted (registered, by the new version), the new "
        "version's on or after it: what looked registered late looks registered in time now. Where a date without a day leaves that open "
        "there is no such fact.",
        _ICMJE,
    ),
    Rule(
        "enrollment-cut",
        1,
        "The number of participants is smaller than in the old version, by percent of it; type is the new version's (ESTIMATED: a target, "
        "ACTUAL: who took part), type_before the old one's. Placeholders (99999999) are passed over.",
        f"{_REGISTRY}: Enrollment",
    ),
    Rule(
        "enrollment-raised",
        1,
        "The number of participants is greater than in the old version, by percent of it, null where it was 0; otherwise as "
        "enrollment-cut.",
        f"{_REGISTRY}: Enrollment",
    ),
    Rule(
        "primary-outcome-added",
        2,
        "The new version has a primary outcome that the old one did not have as such; a second copy of one that stood there is none. count "
        "and measures say of how many the row speaks and how their measures read: one, or all of a list that is new. " + _EDIT,
        _COMPARE,
    ),
    Rule(
        "primary-outcome-removed",
        2,
        "The old version had a primary outcome that the new one does not have as such; that one of two copies went is none. count and "
        f"measures, of one or of all of a list that is gone; {_AS_EDITED}",
        _COMPARE,
    ),
    Rule(
        "primary-outcome-reworded",
        2,
        "The measure of a primary outcome reads otherwise than in the old version, beyond mark-up, capitals, white space and closing "
        f"punctuation; {_SAME}, otherwise one was removed and one added. likeness, 0 to 1, is how many of their words the two measures "
        "share (twice those in common by those of both, in any order, capitals apart): a threshold of one's own can be laid there. "
        f"The values {_AS_EDITED}",
    ),
    Rule(
        "primary-outcome-timeframe-changed",
        2,
        "The time frame of a primary outcome reads otherwise than in the old version, is new or is gone, beyond mark-up, capitals, white "
        f"space and closing punctuation; {_SAME}; {_AS_EDITED}",
    ),
    Rule(
        "primary-outcome-description-changed",
        1,
        "The description of a primary outcome reads otherwise than in the old version, is new or is gone (the row's kind), beyond mark-up, "
        f"capitals, white space and closing punctuation; {_SAME}; {_AS_EDITED}",
    ),
    Rule(
        "outcome-demoted",
        2,
        "A primary outcome of the old version is gone, and one of the same measure, or one that shares at least three quarters of its "
        "words (reworded), was added in the same update among the secondary or other outcomes (to); count and measures as the row's, "
        f"{_AS_EDITED}",
        _COMPARE,
    ),
    Rule(
        "outcome-promoted",
        2,
        "A primary outcome was added, and one of the same measure, or one that shares at least three quarters of its words (reworded), is "
        f"gone in the same update from the old version's secondary or other outcomes (from); count and measures as the row's, {_AS_EDITED}",
        _COMPARE,
    ),
    Rule(
        "results-posted",
        1,
        "The new version has results, the old one had none.",
        "ClinicalTrials.gov, Study Data Structure: hasResults",
    ),
    Rule(
        "results-withdrawn",
        1,
        "The old version had results, the new one has none.",
        "ClinicalTrials.gov, Study Data Structure: hasResults",
    ),
    Rule("results-corrected", 1, "A part of the results reads otherwise than in the old version, which had results too; mark-up apart."),
    Rule(
        "results-outcome-type-changed",
        1,
        "An outcome measure of the posted results has another type than in the old version, which had results too: before and after are "
        "PRIMARY, SECONDARY, OTHER_PRE_SPECIFIED or POST_HOC.",
        _COMPARE,
    ),
    Rule(
        "documents-posted",
        1,
        "The new version has a document that the old one did not have; documents says what is in it: protocol, sap (statistical analysis "
        "plan), icf (informed consent form).",
        f"{_REGISTRY}: Document Type",
    ),
    Rule(
        "publication-linked",
        1,
        "The new version cites a publication of the study's results that the old one did not cite: type RESULT (the sponsor says so) or "
        "DERIVED (the registry found it in PubMed).",
        f"{_REGISTRY}: Citations",
    ),
    Rule(
        "eligibility-age-widened",
        1,
        "An age limit (minimum or maximum) lets in more than in the old version; an absent one, or N/A, is no limit; a year is 12 months "
        "or 365.25 days.",
        f"{_REGISTRY}: Age Limits",
    ),
    Rule(
        "eligibility-age-narrowed",
        1,
        "An age limit (minimum or maximum) lets in less than in the old version; otherwise as eligibility-age-widened.",
        f"{_REGISTRY}: Age Limits",
    ),
    Rule("criteria-changed", 1, "The eligibility criteria read otherwise than in the old version, mark-up apart."),
    Rule("site-opened", 1, "The new version lists a site that the old one did not list; country and status are the site's own."),
    Rule(
        "site-closed",
        1,
        "The old version listed a site that the new one does not list; country and status are what it said. A site that stays listed with "
        "another status is not closed.",
    ),
    Rule(
        "country-first-site",
        2,
        "The new version lists a site in a country in which the old version listed none: one that opened, or one that was moved there. A "
        "country that is only spelled otherwise is not new: its sites that stay all say so, and not all in another city.",
    ),
    Rule(
        "country-last-site",
        2,
        "The old version listed a site in a country in which the new version lists none: one that closed, or one that was moved away. "
        "Otherwise as country-first-site.",
    ),
    Rule("sponsor-changed", 1, "The lead sponsor's name is another than in the old version; a new spelling is another, mark-up apart."),
    Rule("markup-only", 1, "Only white space, Markdown escapes, entities or accents that render alike differ from the old version."),
    Rule(
        "overdue",
        1,
        "As of a day: an expected (not ACTUAL) primary completion or completion date is past and the status is still open; or the ACTUAL "
        "primary completion was a year or more ago and no results are posted, whether or not any law asks for them. By the version of that "
        "day. Not recorded: trialsync facts --overdue",
        "the year until results: 42 CFR 11.44(a); late results as counted: DeVito, Bacon, Goldacre 2020",
        recorded=False,
    ),
)  # fmt: skip
"""All facts, in the order in which they are listed, and stand on a row."""

BY_ID: Final = {rule.id: rule for rule in FACTS}
ORDER: Final = {rule.id: place for place, rule in enumerate(FACTS)}


def nearest(fact: str) -> str | None:
    """Return the id that was probably meant by one that there is not, or ``None``."""
    found = get_close_matches(fact, BY_ID, n=1)
    return found[0] if found else next((each for each in BY_ID if fact and fact in each), None)
