"""What a study is about, for reading: its summary, its criteria, its outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from trialsync.study import record
from trialsync.web.pages.rendering import in_a_line
from trialsync.web.pages.rows import cut

if TYPE_CHECKING:
    from trialsync.model import Json, Study

_LONGEST: Final = 6_000
_MOST: Final = 40
_DESCRIPTION: Final = 1_200
_TEXTS: Final = (
    ("Brief summary", "descriptionModule", "briefSummary"),
    ("Eligibility criteria", "eligibilityModule", "eligibilityCriteria"),
)
_OUTCOMES: Final = (
    ("Primary outcomes", "primaryOutcomes"),
    ("Secondary outcomes", "secondaryOutcomes"),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome measure: what is measured, when, and how; each empty where the record does not say."""

    measure: str
    when: str
    how: str


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a protocol: a long text, or outcomes; ``is_cut`` where the record has more of it."""

    name: str
    text: str
    outcomes: tuple[Outcome, ...]
    is_cut: bool


def protocol(study: Study) -> list[Part]:
    """Return the parts that a record has, in the order of reading; what is long is cut."""
    found = []
    for name, module, leaf in _TEXTS:
        value = record.at(study, "protocolSection", module, leaf)
        if isinstance(value, str) and value.strip():
            text, is_cut = cut(value.strip(), _LONGEST)
            found.append(Part(name, text, (), is_cut))
    for name, leaf in _OUTCOMES:
        value = record.at(study, "protocolSection", "outcomesModule", leaf)
        listed = [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
        if listed:
            found.append(Part(name, "", tuple(map(_outcome, listed[:_MOST])), len(listed) > _MOST))
    return found


def _outcome(value: dict[str, Json]) -> Outcome:
    measure, when, how = (_text(value.get(name)) for name in ("measure", "timeFrame", "description"))
    return Outcome(in_a_line(measure) or "—", in_a_line(when), cut(how, _DESCRIPTION)[0])


def _text(value: Json) -> str:
    return value.strip() if isinstance(value, str) else ""
