"""The parameters of a request, checked one by one as the service checks them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from trialsync.registry.sandbox.answers import Refused
from trialsync.registry.sandbox.vocabulary import vocabulary

if TYPE_CHECKING:
    from collections.abc import Collection

QUERIES = {
    "query.cond": ("ConditionSearch", "Conditions or disease"),
    "query.term": ("BasicSearch", "Other terms"),
    "query.locn": ("LocationSearch", "Location terms"),
    "query.titles": ("TitleSearch", "Title / acronym"),
    "query.intr": ("InterventionSearch", "Intervention / treatment"),
    "query.outc": ("OutcomeSearch", "Outcome measure"),
    "query.spons": ("SponsorSearch", "Sponsor / collaborator"),
    "query.lead": ("LeadSponsorName", "Lead sponsor"),
    "query.id": ("IdSearch", "Study IDs"),
    "query.patient": ("PatientSearch", "Patient"),
}
"""Each query parameter's search area, and the name by which the service's errors call it."""

FILTERS = tuple(
    f"{prefix}.{name}" for prefix in ("filter", "postFilter") for name in ("overallStatus", "geo", "ids", "advanced", "synonyms")
)
STUDIES = frozenset(
    {*QUERIES, *FILTERS, "format", "markupFormat", "aggFilters", "geoDecay", "fields", "sort", "countTotal", "pageSize", "pageToken"}
)
STUDY = frozenset({"format", "markupFormat", "fields"})
_NCT_ID = re.compile(r"[Nn][Cc][Tt]0*([1-9]\d{0,7})", re.ASCII)
_PREFIXES = ("query.", "filter.", "postFilter.")
_DEFAULT_PAGE = 10
_LARGEST_PAGE = 1000


def read(query_string: str, allowed: Collection[str]) -> dict[str, str]:
    """Return the parameters by name, the first of each. Raises Refused for one that the endpoint does not know."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True, errors="replace"):
        if name not in allowed:
            if allowed is not STUDIES and name.startswith(_PREFIXES):
                raise Refused(f"Invalid prefix in parameter name: {name}")
            raise Refused(f"`{name}` is unknown parameter")
        found.setdefault(name, value)
    return found


def items(text: str) -> list[str]:
    """Return the members of a list parted by commas or bars."""
    return [item.strip() for item in re.split(r"[,|]", text)]


def malformed(name: str, item: int | None = None) -> Refused:
    """Return the refusal of a parameter, or of one item of its list, that has the wrong form."""
    return Refused(f"Item {item} in parameter `{name}` has incorrect format" if item else f"Parameter `{name}` has incorrect format")


def study_number(text: str) -> str | None:
    """Return an NCT number in its eight-digit spelling; None where the text is none."""
    match = _NCT_ID.fullmatch(text)
    return f"NCT{int(match[1]):08d}" if match else None


def study_numbers(name: str, text: str) -> list[str]:
    """Return the NCT numbers of a list. Raises Refused for the first malformed item."""
    found: list[str] = []
    for index, item in enumerate(items(text), 1):
        number = study_number(item)
        if number is None:
            raise malformed(name, index)
        found.append(number)
    return found


def only_numbers(text: str) -> list[str] | None:
    """Return the NCT numbers of a query that holds nothing else, parted by commas or spaces; None otherwise."""
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    numbers = [number for part in parts if (number := study_number(part))]
    return numbers if parts and len(numbers) == len(parts) else None


def statuses(name: str, text: str) -> frozenset[str]:
    """Return the statuses of a list. Raises Refused for a value that is none."""
    allowed = vocabulary().by_name["OverallStatus"].values
    found = items(text)
    for value in found:
        if value not in allowed:
            raise Refused(f"Invalid value in parameter `{name.rpartition('.')[2]}`: `{value}`")
    return frozenset(found)


def choice(given: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Return a parameter's value, the first of those allowed where it is absent. Raises Refused for another value."""
    value = given.get(name) or allowed[0]
    if value not in allowed:
        raise Refused(f"Invalid value in parameter `{name}`: `{value}`")
    return value


def page_size(given: dict[str, str]) -> int:
    """Return how many studies a page may hold: 10 where absent or 0, never above 1,000. Raises Refused for what is no whole number."""
    text = given.get("pageSize") or "0"
    if not re.fullmatch(r"\d{1,10}", text, re.ASCII):
        raise malformed("pageSize")
    return min(int(text) or _DEFAULT_PAGE, _LARGEST_PAGE)
