"""A pasted address of the registry's own pages to what it asks. PURE.

The search page's parameters are not documented; what they mean is taken from what maintained clients make of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from trialsync.errors import UsageError
from trialsync.model import nct_id

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOSTS: Final = frozenset({"clinicaltrials.gov", "www.clinicaltrials.gov", "classic.clinicaltrials.gov", "beta.clinicaltrials.gov"})
_EXAMPLE: Final = "for example https://clinicaltrials.gov/search?cond=Parkinson%20Disease"

_TEXTS: Final = frozenset({"cond", "term", "intr", "titles", "outc", "spons", "lead", "id", "patient", "locn"})
_DATES: Final = {
    "start": "StartDate",
    "primComp": "PrimaryCompletionDate",
    "studyComp": "CompletionDate",
    "firstPost": "StudyFirstPostDate",
    "resFirstPost": "ResultsFirstPostDate",
    "lastUpdPost": "LastUpdatePostDate",
}
_PLACES: Final = {"country": "LocationCountry", "state": "LocationState", "city": "LocationCity"}
_GEO: Final = frozenset({"lat", "lng", "distance", "locStr"})
_SHOWN: Final = frozenset(
    {"rank", "page", "limit", "sort", "viewType", "checkSpell", "tab", "a", "b", "pageSize", "pageToken", "countTotal"}
)
_API_SHOWN: Final = frozenset({"format", "markupFormat", "fields", "sort", "countTotal", "pageSize", "pageToken"})
_UNITS: Final = {"y": "years", "m": "months", "w": "weeks", "d": "days", "h": "hours", "": "years"}
_DEFAULT_MILES: Final = "50"

_DAY = r"\d{4}(?:-\d{2}(?:-\d{2})?)?"
_DAYS = re.compile(rf"({_DAY})?(?:_({_DAY})?)?", re.ASCII)
_AGES = re.compile(r"(?:(\d{1,4})([ymwdh]?))?(?:_(?:(\d{1,4})([ymwdh]?))?)?", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,3}(?:\.\d+)?", re.ASCII)
_RADIUS = re.compile(r"(\d{1,4}(?:\.\d+)?)(mi|km)?", re.ASCII)
_ONLY_IDS = re.compile(r"[\s,]*(?:NCT0*[1-9]\d{0,7}(?:[\s,]+|$))+", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Pasted:
    """What a pasted address asks: ``query`` or ``nct_ids``, as a Watch takes them, and ``notes``, sentences on what was read how."""

    query: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nct_ids: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def from_search_url(text: str) -> Pasted:
    """Return what an address of the registry's search page, of one study, or of its API asks.

    Raises UsageError for another site's address, for a part that cannot be followed (named), and for a search without any condition.
    """
    address = urlsplit(_checked(text))
    path = unquote(address.path).rstrip("/")
    study = re.fullmatch(r"(?:/api/v2/studies|/study|/ct2/show|/show|/ct2/history)/(\w+)", path)
    if study:
        return Pasted(nct_ids=(nct_id(study[1]),))
    pairs = [(name, value.strip()) for name, value in parse_qsl(address.query, keep_blank_values=True)]
    asked = {name: value for name, value in pairs if value}
    twice = sorted({name for name in asked if sum(name == other and bool(value) for other, value in pairs) > 1})
    if twice:
        raise UsageError(f"the address has {twice[0]!r} twice", hint="keep one of them")
    if path == "/api/v2/studies":
        pasted = _api(asked)
    elif path in {"/search", "/expert-search", "/ct2/results"}:
        pasted = _search(asked, path)
    else:
        raise UsageError(f"{path or '/'!r} is not the address of a search", hint=_EXAMPLE)
    if not pasted.query and not pasted.nct_ids:
        raise UsageError(
            "the address holds no condition, so it means the whole registry", hint="to follow all of it, write everything = true"
        )
    return pasted


def _checked(text: str) -> str:
    stripped = text.strip().strip("<>\"'")
    whole = stripped if "://" in stripped else f"https://{stripped}"
    try:
        address = urlsplit(whole)
        host = (address.hostname or "").lower()
    except ValueError as error:
        raise UsageError(f"{text[:120]!r} is not an address", hint=_EXAMPLE) from error
    if address.scheme not in {"http", "https"} or host not in _HOSTS:
        raise UsageError(f"{text[:120]!r} is not an address of ClinicalTrials.gov", hint=_EXAMPLE)
    return whole


def _api(asked: Mapping[str, str]) -> Pasted:
    """Return what an address of the API asks; whether its parameters exist is for ``query.validate`` to say."""
    query = {name: (value,) for name, value in asked.items() if name not in _API_SHOWN}
    if set(query) == {"filter.ids"}:
        return Pasted(nct_ids=tuple(nct_id(part) for part in re.split(r"[,|]", asked["filter.ids"]) if part.strip()))
    return Pasted(query=query)


def _search(asked: Mapping[str, str], path: str) -> Pasted:
    known = _TEXTS | _DATES.keys() | _PLACES.keys() | _GEO | {"aggFilters", "ageRange"}
    for name in asked:
        if name not in known | _SHOWN:
            old = " of the classic site" if path == "/ct2/results" else ""
            raise UsageError(
                f"{name!r} in the address{old} cannot be followed",
                hint="take it out, or write the watch in the API's own parameters (query, filter)",
            )
    query: dict[str, tuple[str, ...]] = {f"query.{name}": (value,) for name, value in asked.items() if name in _TEXTS}
    if "aggFilters" in asked:
        query["aggFilters"] = (asked["aggFilters"],)
    conditions = [f"AREA[{area}]RANGE[{_range(name, asked[name])}]" for name, area in _DATES.items() if name in asked]
    conditions += _ages(asked.get("ageRange", ""))
    notes: list[str] = []
    geo = _circle(asked, notes)
    if geo:
        query["filter.geo"] = (geo,)
    else:
        conditions += _place(asked, query, notes)
    if conditions:
        query["filter.advanced"] = (" AND ".join(conditions),)
    return _ids_alone(Pasted(query=query, notes=tuple(notes)))


def _ids_alone(pasted: Pasted) -> Pasted:
    """Return a search for nothing but NCT numbers as what it is: the registry ignores every other part of such a query."""
    for name in ("query.term", "query.id"):
        value = pasted.query.get(name, ("",))[0]
        if _ONLY_IDS.fullmatch(value):
            rest = sorted(set(pasted.query) - {name})
            notes = (f"{', '.join(rest)} left out: the registry ignores the rest of a search for NCT numbers",) if rest else ()
            return Pasted(nct_ids=tuple(nct_id(part) for part in re.split(r"[\s,]+", value) if part), notes=(*pasted.notes, *notes))
    return pasted


def _range(name: str, value: str) -> str:
    days = _DAYS.fullmatch(value)
    if days is None or not (days[1] or days[2]):
        raise UsageError(
            f"{name}={value!r} in the address is not a range of days", hint="for example 2024-01-01_2024-12-31, either end may be left out"
        )
    return f"{days[1] or 'MIN'},{days[2] or 'MAX'}"


def _ages(value: str) -> list[str]:
    if not value:
        return []
    ages = _AGES.fullmatch(value)
    if ages is None or not (ages[1] or ages[3]):
        raise UsageError(
            f"ageRange={value!r} in the address is not a range of ages", hint="for example 18y_64y, either end may be left out"
        )
    low = [f"AREA[MinimumAge]RANGE[{ages[1]} {_UNITS[ages[2]]},MAX]"] if ages[1] else []
    return low + ([f"AREA[MaximumAge]RANGE[MIN,{ages[3]} {_UNITS[ages[4]]}]"] if ages[3] else [])


def _circle(asked: Mapping[str, str], notes: list[str]) -> str | None:
    """Return the API's ``distance(…)`` where the address has coordinates; the place's name is then only a label."""
    latitude, longitude, radius = asked.get("lat"), asked.get("lng"), asked.get("distance")
    whole = (radius or "").split(",")
    if len(whole) == len(("latitude", "longitude", "radius")):
        latitude, longitude, radius = (part.strip() for part in whole)
    if latitude is None and longitude is None:
        return None
    size = _RADIUS.fullmatch(radius or _DEFAULT_MILES)
    if not (latitude and longitude and size and _DECIMAL.fullmatch(latitude) and _DECIMAL.fullmatch(longitude)):
        raise UsageError("lat, lng and distance in the address do not make a place", hint="for example lat=42.36&lng=-71.06&distance=50")
    if radius is None:
        notes.append(f"the address names no distance: {_DEFAULT_MILES} miles around its place are followed")
    return f"distance({latitude},{longitude},{size[1]}{size[2] or 'mi'})"


def _place(asked: Mapping[str, str], query: dict[str, tuple[str, ...]], notes: list[str]) -> list[str]:
    """Return the conditions of a place that is named: all of them must hold of one and the same site."""
    named = {name: asked[name] for name in _PLACES if name in asked}
    if named.get("state") == named.get("city"):
        named.pop("state", None)
    if "distance" in asked:
        where = ", ".join(named.values()) or asked.get("locStr", "")
        notes.append(
            f"distance={asked['distance']} left out: the address has no coordinates" + (f"; sites in {where} are followed" if where else "")
        )
    if not named:
        if "locStr" in asked:
            query["query.locn"] = (f"({asked['locn']}) AND ({asked['locStr']})" if "locn" in asked else asked["locStr"],)
        return []
    areas = [f"AREA[{_PLACES[name]}]{_quoted(value)}" for name, value in named.items()]
    return [areas[0] if len(areas) == 1 else f"SEARCH[Location]({' AND '.join(areas)})"]


def _quoted(value: str) -> str:
    """Return a phrase as Essie takes it: in quotes, so that words such as ``AND`` in it are words."""
    plain = value.replace("\\", " ").replace('"', " ")
    return f'"{" ".join(plain.split())}"'
