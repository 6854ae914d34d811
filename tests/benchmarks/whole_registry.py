"""A stand-in for the service with a registry too large for the sandbox: it keeps no records, and makes each when it is asked for.

It answers what a watch of everything asks: ``/version``, one study, NCT numbers, and pages of all studies or of those whose day of first
posting or of last update lies in a range. Anything else is refused, so that a measurement never rests on a wrong answer.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .generator import GeneratedRegistry

_RANGE = re.compile(r"AREA\[(StudyFirstPostDate|LastUpdatePostDate)\]RANGE\[(MIN|[\d-]{10}),(MAX|[\d-]{10})\]")
_MISSING = "AREA[StudyFirstPostDate]MISSING"
_MOST = 1000


class WholeRegistry:
    """A WSGI application before a generated registry; ``requests`` and ``sent`` count what it answered, in bytes before compression."""

    def __init__(self, registry: GeneratedRegistry) -> None:
        self.registry = registry
        self.requests = 0
        self.sent = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
        """Answer one request."""
        self.requests += 1
        path = environ["PATH_INFO"].partition("/api/v2")[2]
        asked = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()}
        kind = "application/json"
        if path == "/version":
            body, status = orjson.dumps({"apiVersion": "2.0.5", "dataTimestamp": f"{self.registry.load}T09:00:04"}), "200 OK"
        elif path == "/studies":
            body, status = self._page(asked), "200 OK"
        elif path.startswith("/studies/NCT") and 0 < int(path[-8:]) <= self.registry.studies:
            body, status = self.registry.text(int(path[-8:]) - 1), "200 OK"
        else:
            body, status, kind = f"NCT number {path[-11:]} not found".encode(), "404 Not Found", "text/plain"
        self.sent += len(body)
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("ETag", f'"benchmark/{self.registry.load}"')])
        return [body]

    def _page(self, asked: dict[str, str]) -> bytes:
        places = self._places(asked)
        size = min(int(asked.get("pageSize") or 10), _MOST)
        start = int(asked.get("pageToken") or 0)
        texts = [self.registry.text(place) for place in places[start : start + size]]
        if "fields" in asked:
            texts = [_reduced(text) for text in texts]
        parts = [b'{"studies":[', b",\n".join(texts), b"\n]"]
        if asked.get("countTotal") == "true" and start == 0:
            parts[0] = b'{"totalCount":%d,"studies":[' % len(places)
        if start + size < len(places):
            parts.append(b',"nextPageToken":"%d"' % (start + size))
        return b"".join([*parts, b"}"])

    def _places(self, asked: dict[str, str]) -> range | list[int]:
        registry = self.registry
        if "filter.ids" in asked:
            return [int(number[3:]) - 1 for number in asked["filter.ids"].split(",") if int(number[3:]) <= registry.studies]
        if "filter.advanced" not in asked:
            return range(registry.studies)
        condition = asked["filter.advanced"]
        if condition == _MISSING:
            return []
        found = _RANGE.fullmatch(condition)
        if found is None:
            raise ValueError(f"this stand-in does not know {condition}")
        days = registry.first_posted if found[1] == "StudyFirstPostDate" else registry.posted
        low = 0 if found[2] == "MIN" else _ordinal(found[2])
        high = 1 << 40 if found[3] == "MAX" else _ordinal(found[3])
        return [place for place, day in enumerate(days) if low <= day <= high]


def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


def _reduced(text: bytes) -> bytes:
    study = orjson.loads(text)
    protocol = study["protocolSection"]
    return orjson.dumps(
        {
            "protocolSection": {
                "identificationModule": {"nctId": protocol["identificationModule"]["nctId"]},
                "statusModule": {"lastUpdatePostDateStruct": {"date": protocol["statusModule"]["lastUpdatePostDateStruct"]["date"]}},
            },
            "derivedSection": {"miscInfoModule": {"versionHolder": study["derivedSection"]["miscInfoModule"]["versionHolder"]}},
        }
    )
