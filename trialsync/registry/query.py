"""A watch to the API's parameters. PURE: what is asked, not the asking.

Names, patterns and the meaning of each parameter: the registry's specification of ``GET /studies``.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from trialsync.errors import UsageError
from trialsync.model import STATUSES, Watch, nct_id
from trialsync.registry.address import Pasted, from_search_url

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["IDS_PER_REQUEST", "STATUSES", "Pasted", "area_range", "canonical", "from_search_url", "narrowed", "params", "validate"]

IDS_PER_REQUEST: Final = 400
"""NCT numbers in one request: more of them come near the length of address that the service refuses with 414."""

_LONGEST_QUERY: Final = 6_000
"""Bytes of an encoded query; the rest of what the service takes is left to the address, the page token and the page size."""

_EXPRESSIONS: Final = tuple(
    f"query.{part}" for part in ("cond", "term", "locn", "titles", "intr", "outc", "spons", "lead", "id", "patient")
)
_FILTERS: Final = ("overallStatus", "geo", "ids", "advanced", "synonyms")
_NAMES: Final = (
    *_EXPRESSIONS,
    *(f"{prefix}.{part}" for prefix in ("filter", "postFilter") for part in _FILTERS),
    "aggFilters",
    "geoDecay",
)
_OURS: Final = {
    "fields": "whole records are kept",
    "format": "records are kept as JSON",
    "markupFormat": "one flavour of text is compared with itself",
    "sort": "a watch is a set and has no order",
    "countTotal": "every walk counts",
    "pageSize": "pages are as large as the registry allows",
    "pageToken": "a walk begins at the first page",
}
_GEO = re.compile(r"distance\(-?\d+(\.\d+)?,-?\d+(\.\d+)?,\d+(\.\d+)?(km|mi)?\)", re.ASCII)
_DECAY = re.compile(
    r"func:(gauss|exp|linear),scale:(\d+(\.\d+)?(km|mi)),offset:(\d+(\.\d+)?(km|mi)),decay:(\d+(\.\d+)?)",
    re.ASCII,
)
_ONLY_IDS = re.compile(r"[\s,]*(?:NCT0*[1-9]\d{0,7}(?:[\s,]+|$))+", re.IGNORECASE | re.ASCII)
_FACETS = re.compile(r"[A-Za-z]+:[^:,|]+(?:[,|][A-Za-z]+:[^:,|]+)*")
_STATUS_KEYS: Final = frozenset({"not", "rec", "act", "com", "ter", "enr", "sus", "wit", "unk", "ava", "nla", "tna", "afm"})
_AREA = re.compile(r"[A-Za-z][A-Za-z0-9]*", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def params(watch: Watch) -> list[dict[str, str]]:
    """Return the parameters of each request that the watch takes, paging left out: one set, or one for each batch of NCT numbers.

    Several values of one parameter mean any of them. NCT numbers are asked each once, in their order, at most IDS_PER_REQUEST at a time,
    which keeps every address below 7 kB. Raises UsageError as ``validate`` does.
    """
    validate(watch)
    if watch.nct_ids:
        asked = list(dict.fromkeys(nct_id(number) for number in watch.nct_ids))
        return [{"filter.ids": ",".join(asked[start : start + IDS_PER_REQUEST])} for start in range(0, len(asked), IDS_PER_REQUEST)]
    return [{name: _joined(name, watch.query[name]) for name in sorted(watch.query)}]


def canonical(watch: Watch) -> str:
    """Return what is asked as one text: the same for two watches that ask the same, whatever their names and the order of values."""
    if watch.nct_ids:
        return json.dumps({"nct_ids": sorted({nct_id(number) for number in watch.nct_ids})}, separators=(",", ":"))
    if watch.everything:
        return '{"everything":true}'
    asked = {name: sorted(set(_values(name, watch.query[name]))) for name in watch.query}
    return json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def validate(watch: Watch) -> None:
    """Raise UsageError, naming the thing and the way out, if the watch asks nothing, too much, or what the registry would not take."""
    kinds = [bool(watch.query), bool(watch.nct_ids), watch.everything]
    if sum(kinds) == 0:
        raise UsageError("a watch asks for nothing", hint="give it query and filter, or nct_ids, or everything = true")
    if sum(kinds) > 1:
        raise UsageError("a watch asks in two ways", hint="either query and filter, or nct_ids, or everything = true; make two watches")
    for number in watch.nct_ids:
        nct_id(number)
    for name, values in watch.query.items():
        _check(name, values)
    if watch.query:
        _check_together(watch)


def narrowed(watch: Watch, essie: str) -> Watch:
    """Return the watch with one more condition, an Essie expression such as ``area_range`` gives, that must hold as well.

    The whole registry narrowed is a query. NCT numbers cannot be narrowed: UsageError.
    """
    if watch.nct_ids:
        raise UsageError("NCT numbers are asked one by one and cannot be narrowed", hint="narrow a query, or list fewer numbers")
    before = watch.query.get("filter.advanced", ())
    both = f"({_joined('filter.advanced', before)}) AND {essie}" if before else essie
    result = replace(watch, query={**watch.query, "filter.advanced": (both,)}, everything=False)
    validate(result)
    return result


def area_range(area: str, start: date | str | None, end: date | str | None) -> str:
    """Return ``AREA[area]RANGE[start,end]``, both ends inclusive, an open end for ``None``.

    Days are ISO text or dates. A range never finds studies without a value; ``AREA[area]MISSING`` does. Raises UsageError for what is no
    day.
    """
    if not _AREA.fullmatch(area):
        raise UsageError(f"{area!r} is not the name of a search area", hint="for example LastUpdatePostDate")
    return f"AREA[{area}]RANGE[{_day(start, 'MIN')},{_day(end, 'MAX')}]"


def _day(value: date | str | None, otherwise: str) -> str:
    if value is None:
        return otherwise
    if isinstance(value, date):
        return value.isoformat()[:10]
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise UsageError(f"{value!r} is not a day", hint="write it as 2026-02-18") from error


def _listed(name: str) -> bool:
    return name.endswith((".overallStatus", ".ids", ".synonyms"))


def _values(name: str, values: Iterable[str]) -> list[str]:
    """Return the single values, those of comma- or pipe-separated lists taken apart, white space around them gone."""
    parts = (part for value in values for part in (re.split(r"[,|]", value) if _listed(name) else [value]))
    stripped = [part.strip() for part in parts if part.strip()]
    return [nct_id(part) for part in stripped] if name.endswith(".ids") else stripped


def _joined(name: str, values: Iterable[str]) -> str:
    single = list(dict.fromkeys(_values(name, values)))
    if _listed(name):
        return ",".join(single)
    return single[0] if len(single) == 1 else " OR ".join(f"({value})" for value in single)


def _check(name: str, values: tuple[str, ...]) -> None:
    if name in _OURS:
        raise UsageError(f"{name} cannot be part of a watch: {_OURS[name]}", hint="leave it out")
    if name not in _NAMES:
        near = difflib.get_close_matches(name, _NAMES, n=1)
        raise UsageError(
            f"{name!r} is not a parameter of the registry", hint=f"did you mean {near[0]}?" if near else f"one of {', '.join(_NAMES)}"
        )
    single = _values(name, values)
    if not single:
        raise UsageError(f"{name} is empty", hint="give it a value, or leave it out")
    if any(_CONTROL.search(value) for value in single):
        raise UsageError(f"{name} holds a control character", hint="write it in one line, without tabs")
    kind = name.rpartition(".")[2]
    if kind == "overallStatus":
        _check_statuses(single)
    if len(set(single)) > 1 and kind in {"geo", "aggFilters", "geoDecay"}:
        raise UsageError(f"{name} has several values, of which the registry takes one", hint="give one, or make a watch of each")
    _check_form(kind, single[0])


def _check_statuses(statuses: list[str]) -> None:
    for status in statuses:
        if status not in STATUSES:
            near = difflib.get_close_matches(status.upper().replace(" ", "_"), STATUSES, n=1)
            raise UsageError(
                f"{status!r} is not a status of the registry", hint=f"did you mean {near[0]}?" if near else f"one of {', '.join(STATUSES)}"
            )


def _check_form(kind: str, value: str) -> None:
    if kind == "geo" and not _GEO.fullmatch(value):
        raise UsageError(f"{value!r} is not a place", hint="distance(latitude,longitude,radius), for example distance(39.0,-77.1,50mi)")
    if kind == "geoDecay" and not _DECAY.fullmatch(value):
        raise UsageError(f"{value!r} is not a geoDecay", hint="for example func:exp,scale:300mi,offset:0mi,decay:0.5")
    if kind == "aggFilters":
        _check_facets(value)


def _check_facets(value: str) -> None:
    """Check the form, and the keys of the status facet: the service answers an unknown key with no studies at all, and with 200."""
    if not _FACETS.fullmatch(value):
        raise UsageError(f"{value!r} is not an aggFilters", hint="facet:options pairs, for example results:with,status:rec not")
    for pair in re.split(r"[,|]", value):
        facet, _, options = pair.partition(":")
        unknown = sorted(set(options.split()) - _STATUS_KEYS) if facet == "status" else []
        if unknown:
            raise UsageError(
                f"{unknown[0]!r} is not a status key of aggFilters",
                hint=f"one of {' '.join(sorted(_STATUS_KEYS))}; or filter.overallStatus",
            )


def _check_together(watch: Watch) -> None:
    for name in _EXPRESSIONS:
        if name in watch.query and len(watch.query) > 1 and _ONLY_IDS.fullmatch(_joined(name, watch.query[name])):
            raise UsageError(
                f"{name} holds nothing but NCT numbers, and the registry then ignores every other part of the query",
                hint='list them as nct_ids = ["NCT…"] in a watch of their own',
            )
    length = len(urlencode([(name, _joined(name, values)) for name, values in watch.query.items()]))
    if length > _LONGEST_QUERY:
        raise UsageError(
            f"the query takes {length:,} bytes of the address, and the registry refuses long ones",
            hint=f"shorten it below {_LONGEST_QUERY:,}; NCT numbers in any number go into nct_ids",
        )
