"""What went wrong with a request, as RFC 9457 problem details."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson
from starlette.responses import Response

from trialsync.errors import (
    AnswerTooLong,
    BadNctId,
    RecordError,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreMissing,
    StoreTooNew,
    TrialsyncError,
    UnknownWatch,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trialsync.model import Json

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "urn:trialsync:problem:"
"""What the ``type`` of a problem begins with; the word behind it is what a program can rely on."""

_LONGEST: Final = 500


class Problem(Exception):
    """A request that can't be answered: its HTTP status, a word for programs, a title, a sentence, and what to do next."""

    def __init__(
        self, status: int, word: str, title: str, detail: str, *, hint: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.word = word
        self.title = title
        self.detail = detail if len(detail) <= _LONGEST else f"{detail[:_LONGEST]}…"
        self.hint = hint
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Json]:
        """Return the problem as the JSON object of RFC 9457, with our ``hint`` where there is one."""
        hint = {"hint": self.hint} if self.hint else {}
        return {"type": f"{TYPES}{self.word}", "title": self.title, "status": self.status, "detail": self.detail, **hint}


def response(problem: Problem) -> Response:
    """Return a problem as a response that nobody keeps."""
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(orjson.dumps(problem.body), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def bad_parameter(detail: str, *, hint: str | None = None) -> Problem:
    """Return the problem of a parameter that is not of the form that it has to have."""
    return Problem(400, *_BAD, detail, hint=hint)


def senseless(detail: str, *, hint: str | None = None) -> Problem:
    """Return the problem of parameters that are well formed, and that nothing could ever answer to."""
    return Problem(422, *_SENSELESS, detail, hint=hint)


def not_found(detail: str, *, word: str = "not-found", hint: str | None = None) -> Problem:
    """Return the problem of an address at which there is nothing."""
    return Problem(404, word, "There is nothing here", detail, hint=hint)


_BAD: Final = ("bad-parameter", "A parameter can't be read")
_SENSELESS: Final = ("nothing-meant", "What is asked can't be meant")
_RETRY: Final = {"Retry-After": "10"}
_KINDS: Final[tuple[tuple[type[TrialsyncError], int, str, str, dict[str, str]], ...]] = (
    (AnswerTooLong, 503, "too-much-asked", "The question takes too long", {}),
    (StoreMissing, 503, "store-missing", "There is no store yet", _RETRY),
    (StoreBusy, 503, "store-busy", "The store is locked by another program", _RETRY),
    (StoreTooNew, 503, "store-too-new", "The store was written by a newer trialsync", {}),
    (StoreForeign, 503, "store-foreign", "The file is not a store", {}),
    (StoreDamaged, 503, "store-damaged", "The store is damaged", {}),
    (StoreError, 503, "store-unreadable", "The store can't be read", _RETRY),
    (RecordError, 503, "record-unreadable", "A record can't be read", {}),
    (UnknownWatch, 404, "unknown-watch", "There is no such watch", {}),
    (BadNctId, 400, *_BAD, {}),
    (UsageError, 422, *_SENSELESS, {}),
)


def of_error(error: TrialsyncError, store: Path) -> Problem:
    """Return one of the house's errors as a problem; the place of the store is nobody's business."""
    for kind, status, word, title, headers in _KINDS:
        if isinstance(error, kind):
            return Problem(
                status, word, title, _here(error.message, store), hint=_here(error.hint, store) if error.hint else None, headers=headers
            )
    return failed()


def _here(sentence: str, store: Path) -> str:
    """Return a sentence of the command line as one for a client, who knows addresses and neither commands nor files."""
    return sentence.replace(str(store), "the store").replace("trialsync fields", "/api/fields").replace("trialsync watches", "/api/watches")


def failed() -> Problem:
    """Return the problem of a fault of ours."""
    return Problem(500, "failed", "trialsync failed", "the request met a fault of trialsync's own", hint="its log says more")
