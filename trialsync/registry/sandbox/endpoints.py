"""The API's endpoints: a request to an answer, for one dataset."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson

from trialsync.registry.sandbox import parameters, projection, search, table
from trialsync.registry.sandbox.answers import DATA_CHANGED, JSON, Answer, Refused, html_answer, json_answer
from trialsync.registry.sandbox.faults import Fault
from trialsync.registry.sandbox.tokens import Place, place
from trialsync.registry.sandbox.vocabulary import metadata, search_areas, vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

    from trialsync.registry.sandbox.dataset import Dataset, Held

API_VERSION = "2.0.5"
_NOT_FILTERS = {"format", "markupFormat", "fields", "countTotal", "pageSize", "pageToken"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API: the dataset it is asked of, the path below ``/api/v2``, the raw query, and a fault for its page."""

    dataset: Dataset
    path: str
    query_string: str
    fault: Fault | None
    order: Callable[[Dataset, tuple[object, ...], Callable[[], search.Search], int], list[Held]]
    seed: Callable[[], int]


def answer(request: Request) -> Answer:
    """Return the answer to a request. Raises Refused where the service refuses it."""
    fixed = _FIXED.get(request.path)
    if fixed is not None:
        return fixed(request)
    head, _, rest = request.path.removeprefix("/").partition("/")
    if head == "studies" and rest and "/" not in rest:
        return _study(request, rest)
    return html_answer(404)


def _version(request: Request) -> Answer:
    parameters.read(request.query_string, ())
    stamps = {Fault.BAD_TIMESTAMP: "soon", Fault.NO_TIMESTAMP: None}
    stamp = stamps.get(request.fault, request.dataset.timestamp) if request.fault else request.dataset.timestamp
    return json_answer({"apiVersion": API_VERSION} | ({"dataTimestamp": stamp} if stamp else {}))


def _studies(request: Request) -> Answer:
    given = parameters.read(request.query_string, parameters.STUDIES)
    layout = _layout(given, ("json", "csv"))
    parameters.choice(given, "countTotal", ("false", "true"))
    size = parameters.page_size(given)
    wanted = search.parse(given)
    names = table.columns(given.get("fields")) if layout == "csv" else ()
    tree = projection.parse(given["fields"], wanted.queried) if layout == "json" and "fields" in given else None
    start = _start(request, given.get("pageToken", ""))
    key = tuple(sorted((name, value) for name, value in given.items() if name not in _NOT_FILTERS))
    found = request.order(request.dataset, key, lambda: wanted, start.seed)
    page, following = _page(found, start, size, request.fault)
    first = not given.get("pageToken")
    total = len(found) if first and given.get("countTotal") == "true" else None
    if layout == "csv":
        body = table.table((held.study(request.dataset.label) for held in page), names, header=first)
        headers = [] if total is None else [("x-total-count", str(total))]
        headers.extend([("x-next-page-token", following.token())] if following else [])
        return Answer(200, body, "text/csv; charset=UTF-8", [("Access-Control-Allow-Origin", "*"), *headers], tagged=True)
    parts = [_line(held, request.dataset.label, tree) for held in page]
    if request.fault is Fault.RECORD_WITHOUT_ID and parts:
        parts[0] = _without_id(parts[0])
    # An empty list has just two spaces in it; otherwise every study stands on a line of its own.
    body = b"[\n" + b",\n".join(parts) + b"\n]" if parts else b"[  ]"
    count = "" if total is None else f'"totalCount":{total},'
    tail = f',"nextPageToken":"{following.token()}"' if following else ""
    return Answer(200, f'{{{count}"studies":'.encode() + body + f"{tail}}}".encode(), JSON, tagged=True)


def _page(found: list[Held], start: Place, size: int, fault: Fault | None) -> tuple[list[Held], Place | None]:
    """Return the studies of a page and the place of the next; there is one whenever the page is full."""
    first = max(0, start.offset - 1) if fault is Fault.PAGE_SHIFT else start.offset
    page = found[first : first + size]
    following = Place(start.version, start.offset + size, start.seed) if len(page) == size else None
    if fault is Fault.REPEATED_TOKEN:
        following = start
    elif fault is Fault.RESTARTED_LIST:
        following = Place(start.version, 0, start.seed)
    elif fault is Fault.SHORT_PAGE:
        page = page[: len(page) // 2]
    return page, following


def _start(request: Request, token: str) -> Place:
    if not token:
        return Place(request.dataset.serial, 0, request.seed())
    start = place(token)
    if start is None:
        raise parameters.malformed("pageToken")
    if start.version != request.dataset.serial:
        raise Refused(DATA_CHANGED)
    return start


def _line(held: Held, load: str, tree: projection.Tree | None) -> bytes:
    return held.raw(load) if tree is None else orjson.dumps(projection.project(held.study(load), tree))


def _without_id(line: bytes) -> bytes:
    study = orjson.loads(line)
    study.get("protocolSection", {}).get("identificationModule", {}).pop("nctId", None)
    return orjson.dumps(study)


def _layout(given: dict[str, str], formats: tuple[str, ...]) -> str:
    wanted = parameters.choice(given, "format", formats)
    if parameters.choice(given, "markupFormat", ("markdown", "legacy")) == "legacy":
        raise Refused("The sandbox has no markupFormat=legacy; it sends markdown")
    if wanted in {"fhir.json", "ris"}:
        raise Refused(f"The sandbox has no format={wanted}; it sends json, json.zip and csv")
    return wanted


def _study(request: Request, text: str) -> Answer:
    number = parameters.study_number(text)
    if number is None:
        raise parameters.malformed("nctId")
    given = parameters.read(request.query_string, parameters.STUDY)
    wanted = _layout(given, ("json", "csv", "json.zip", "fhir.json", "ris"))
    names = table.columns(given.get("fields")) if wanted == "csv" else ()
    tree = projection.parse(given["fields"]) if wanted != "csv" and "fields" in given else None
    held = request.dataset.studies.get(number)
    if held is None:
        if number in request.dataset.aliases:
            # The service's redirect drops the query string.
            return Answer(301, b"", None, [("Location", f"/api/v2/studies/{request.dataset.aliases[number]}")])
        raise Refused(f"NCT number {number} not found", 404)
    if wanted == "csv":
        body = table.table([held.study(request.dataset.label)], names, header=True)
        return Answer(200, body, "text/csv; charset=UTF-8", tagged=True)
    body = _line(held, request.dataset.label, tree)
    if request.fault is Fault.RECORD_WITHOUT_ID:
        body = _without_id(body)
    if wanted == "json.zip":
        return _zip([(f"{number}.json", body)], f"{number}.json.zip")
    return Answer(200, body, JSON, tagged=True)


def _zip(files: list[tuple[str, bytes]], name: str) -> Answer:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in files:
            archive.writestr(path, body)
    return Answer(200, packed.getvalue(), "application/zip", [("Content-Disposition", f"attachment; filename={name}")])


def _download(request: Request) -> Answer:
    given = parameters.read(request.query_string, {"format"})
    if given.get("format") != "json.zip":
        raise Refused(f"Invalid value in parameter `format`: `{given.get('format', '')}`")
    label = request.dataset.label
    return _zip([(f"{held.nct_id[-2:]}/{held.nct_id}.json", held.raw(label)) for held in request.dataset.held], "ctg-studies.json.zip")


def _size(request: Request) -> Answer:
    parameters.read(request.query_string, ())
    sizes = sorted((held.size(), held.nct_id) for held in request.dataset.held)
    bytes_only = [size for size, _ in sizes]
    edges = [0, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 10_000_000]
    ranges = [
        {"sizeRange": f"{low}-{high}", "studiesCount": sum(low <= size < high for size in bytes_only)} for low, high in pairwise(edges)
    ]
    percentiles = (
        {str(percent): bytes_only[(len(bytes_only) - 1) * percent // 100] for percent in (1, 5, 25, 50, 75, 95, 99)} if sizes else {}
    )
    return json_answer(
        {
            "totalStudies": len(sizes),
            "averageSizeBytes": sum(bytes_only) // len(sizes) if sizes else 0,
            "percentiles": percentiles,
            "ranges": ranges,
            "largestStudies": [{"id": nct_id, "sizeBytes": size} for size, nct_id in reversed(sizes[-10:])],
        }
    )


def _metadata(request: Request) -> Answer:
    parameters.read(request.query_string, {"includeIndexedOnly", "includeHistoricOnly"})
    return json_answer(metadata())


def _search_areas(request: Request) -> Answer:
    parameters.read(request.query_string, ())
    return json_answer(search_areas())


def _field_statistics(request: Request) -> Answer:
    given = parameters.read(request.query_string, {"types", "fields"})
    for name in parameters.items(given.get("fields", "")):
        if name and name not in vocabulary().by_name:
            raise Refused(f"Unknown piece name of field path: {name}", 404)
    raise Refused("The sandbox has no statistics of fields", 404)


_FIXED: dict[str, Callable[[Request], Answer]] = {
    "/version": _version,
    "/studies": _studies,
    "/studies/download": _download,
    "/studies/metadata": _metadata,
    "/studies/search-areas": _search_areas,
    "/stats/size": _size,
    "/stats/field/values": _field_statistics,
    "/stats/field/sizes": _field_statistics,
}
