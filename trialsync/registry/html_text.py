r"""The texts of the registry's history, which are HTML, brought to the Markdown that its API gives for the same words. PURE.

Read off real answers and the API's answers for the same records: rich text (the 50 leaves that ``/studies/metadata`` calls ``markup``)
has paragraphs and lists, everything else entities alone, and both have line breaks after sentences that mean nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trialsync.model import Json, Study

HISTORIC_ONLY: Final[Mapping[str, str]] = MappingProxyType(
    {"reviewUnit": "a number of the registry's reviewers, which the API never shows"},
)
"""Names inside historic records that no record of the API has (``includeHistoricOnly``), each with the reason why it is left out."""

_BRANCHES: Final = (
    (
        "protocolSection",
        """
        statusModule.whyStopped descriptionModule.briefSummary descriptionModule.detailedDescription
        designModule.designInfo.interventionModelDescription designModule.designInfo.maskingInfo.maskingDescription
        designModule.bioSpec.description armsInterventionsModule.armGroups.description armsInterventionsModule.interventions.description
        outcomesModule.primaryOutcomes.description outcomesModule.secondaryOutcomes.description outcomesModule.otherOutcomes.description
        eligibilityModule.eligibilityCriteria eligibilityModule.genderDescription eligibilityModule.studyPopulation
        referencesModule.seeAlsoLinks.label referencesModule.availIpds.comment ipdSharingStatementModule.description
        ipdSharingStatementModule.timeFrame ipdSharingStatementModule.accessCriteria
        """,
    ),
    (
        "resultsSection.participantFlowModule",
        """
        preAssignmentDetails recruitmentDetails groups.description periods.milestones.comment periods.milestones.achievements.comment
        periods.dropWithdraws.comment periods.dropWithdraws.reasons.comment
        """,
    ),
    (
        "resultsSection.baselineCharacteristicsModule",
        """
        populationDescription groups.description measures.description measures.populationDescription
        measures.classes.categories.measurements.comment
        """,
    ),
    (
        "resultsSection.outcomeMeasuresModule.outcomeMeasures",
        """
        description populationDescription groups.description classes.categories.measurements.comment analyses.statisticalComment
        analyses.pValueComment analyses.ciLowerLimitComment analyses.ciUpperLimitComment analyses.estimateComment
        analyses.nonInferiorityComment analyses.otherAnalysisDescription analyses.groupDescription
        """,
    ),
    (
        "resultsSection.adverseEventsModule",
        "description allCauseMortalityComment eventGroups.description seriousEvents.notes otherEvents.notes",
    ),
    ("resultsSection.moreInfoModule", "limitationsAndCaveats.description certainAgreement.otherDetails"),
)

MARKUP: Final = frozenset(f"{branch}.{leaf}" for branch, leaves in _BRANCHES for leaf in leaves.split())
"""The paths of the leaves that hold rich text, as ``/studies/metadata`` says, without places in lists."""

_SPACE: Final = re.compile(r"[\s\u00a0]+")
_ESCAPED: Final = re.compile(r"([\\*_^~&<>\[\]|`])")
_NUMBERED: Final = re.compile(r"(\d+)([.)])(?=\s)")
_BULLET: Final = re.compile(r"[-+](?=[\s+-]|$)")
_MARK: Final = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*)(?P<attributes>(?:[\s/][^<>]*)?)>|<!--[^<>]*-->")
"""An element's beginning or end, or a comment."""
_START: Final = re.compile(r"\sstart\s*=\s*[\"']?([0-9]{1,6})(?![0-9])")
_LISTS: Final = frozenset({"ul", "ol"})
_BLOCKS: Final = frozenset({"p", "div", "blockquote", "table", "tr", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "pre"})
_CELLS: Final = frozenset({"td", "th"})
_DEEPEST: Final = 100


def as_markdown(study: Study) -> Study:
    """Return a historic record with its texts as the API gives them, and without what only history has; the given one stays as it is."""
    return {name: _converted(value, name) for name, value in study.items() if name not in HISTORIC_ONLY}


def _converted(value: Json, path: str) -> Json:
    if isinstance(value, str):
        return markdown(value) if path in MARKUP else plain(value)
    if isinstance(value, list):
        return [_converted(each, path) for each in value]
    if isinstance(value, dict):
        return {name: _converted(each, f"{path}.{name}") for name, each in value.items() if name not in HISTORIC_ONLY}
    return value


def plain(text: str) -> str:
    """Return a text that is not rich with its entities resolved, once, and its white space collapsed."""
    return " ".join(unescape(text).split()) if "&" in text or "\n" in text else text


def markdown(text: str) -> str:
    """Return rich text as the API's Markdown: items as ``* `` and ``1. ``, an empty line between blocks, escapes where it puts them."""
    reader = _Reader()
    reader.feed(text)
    return "\n\n".join(_joined(reader.root.blocks()))


@dataclass(slots=True)
class _Node:
    """An element: its name, its number where it begins a numbered list, and what is in it, texts and elements in their order."""

    name: str
    start: int = 1
    children: list[_Node | str] = field(default_factory=list)

    def blocks(self) -> list[_Block]:
        """Return what is in here as blocks; texts beside each other are one."""
        found: list[_Block] = []
        words: list[str] = []
        for child in self.children:
            if isinstance(child, str):
                words.append(child)
                continue
            _end(words, found)
            found += [_Block(child.items(), is_list=True)] if child.name in _LISTS else child.blocks()
        _end(words, found)
        return found

    def items(self) -> str:
        """Return a list as Markdown."""
        lines = []
        members = [child for child in self.children if isinstance(child, _Node)]
        for number, member in enumerate(members, self.start):
            mark = f"{number}. " if self.name == "ol" else "* "
            inside = "\n\n".join(_joined(member.blocks() if member.name not in _LISTS else [_Block(member.items(), is_list=True)]))
            lines.append(mark + inside.replace("\n", "\n" + " " * len(mark)))
        return re.sub(r"\n +(?=\n)", "\n", "\n".join(lines))


@dataclass(frozen=True, slots=True)
class _Block:
    text: str
    is_list: bool


def _end(words: list[str], found: list[_Block]) -> None:
    text = _SPACE.sub(" ", "".join(words)).strip()
    words.clear()
    if text:
        text = _ESCAPED.sub(r"\\\1", text)
        text = _NUMBERED.sub(r"\1\\\2", text, count=1) if _NUMBERED.match(text) else text
        found.append(_Block("\\" + text if _BULLET.match(text) else text, is_list=False))


def _joined(blocks: Iterable[_Block]) -> list[str]:
    """Return the texts of blocks; two lists in a row are kept apart as the registry does it, by an empty comment."""
    found: list[str] = []
    after_list = False
    for block in blocks:
        if block.is_list and after_list:
            found.append("<!-- -->")
        found.append(block.text)
        after_list = block.is_list
    return found


class _Reader:
    """Rich text to a tree of the elements that matter; others count for what is in them. Nothing raises on what is no HTML.

    It takes time in proportion to the text, whatever the text is, which the standard library's parser does not: on a hostile one that
    searches for the end of each thing that has none.
    """

    def __init__(self) -> None:
        self.root = _Node("")
        self._open = [self.root]

    def feed(self, text: str) -> None:
        """Take a text, all of it. What looks like an element and does not end is words."""
        words_from = 0
        for found in _MARK.finditer(text):
            self._words(text[words_from : found.start()])
            words_from = found.end()
            tag = (found["name"] or "").lower()
            if found["end"]:
                self._end(tag)
            elif tag:
                self._start(tag, found["attributes"])
        self._words(text[words_from:])

    def _start(self, tag: str, attributes: str) -> None:
        """Open an element."""
        if tag == "br":
            self._open[-1].children.append(_Node("p"))
        if tag in _CELLS:
            self._words(" ")
        if tag not in _LISTS | _BLOCKS | {"li"} or len(self._open) > _DEEPEST:
            return
        if tag in {"p", "li"}:
            self._end_before(tag)
        start = _START.search(attributes)
        node = _Node(tag, int(start[1]) if start else 1)
        self._open[-1].children.append(node)
        self._open.append(node)

    def _end(self, tag: str) -> None:
        """Close an element, and what was left open in it."""
        names = [node.name for node in self._open]
        if tag in names[1:]:
            del self._open[len(names) - 1 - names[::-1].index(tag) :]

    def _words(self, data: str) -> None:
        """Take words; white space between the items of a list is none."""
        data = unescape(data)
        if self._open[-1].name not in _LISTS:
            self._open[-1].children.append(data)
        elif data.strip():
            self._open[-1].children.append(_Node("li", children=[data]))

    def _end_before(self, tag: str) -> None:
        """Close what a paragraph, or an item, ends by beginning: HTML lets both be left open."""
        if self._open[-1].name == "p" or (tag == "li" and self._open[-1].name == "li"):
            self._open.pop()
            if tag == "li" and self._open[-1].name == "li":
                self._open.pop()
