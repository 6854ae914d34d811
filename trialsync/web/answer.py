"""What an endpoint answers: bytes, made in one go, with a tag that says whether a client has them already."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """A body with its media type; ``headers`` are those that this answer alone has."""

    body: bytes
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """Return the entity tag: the same for the same bytes of the same type, so that what a poll leaves alone keeps its tag."""
        links = self.headers.get("Link", "")
        digest = blake2b(f"{self.media_type}\n{links}\n".encode() + self.body, digest_size=16)
        # Weak, as the bytes on the wire may be compressed or not.
        return f'W/"{digest.hexdigest()}"'


def respond(request: Request, answer: Answer) -> Response:
    """Return an answer as a response: 304 without a body where the client says that it has these very bytes."""
    tag = answer.tag
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept", **answer.headers}
    if has_already(request.headers.get("If-None-Match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(answer.body, headers={**headers, "Content-Type": answer.media_type})


def has_already(if_none_match: str | None, tag: str) -> bool:
    """Return whether an ``If-None-Match`` header names the tag; compared weakly, as RFC 9110 (13.1.2) has it."""
    if if_none_match is None:
        return False
    named = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in named or tag.removeprefix("W/") in named
