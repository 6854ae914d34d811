"""What the service says: statuses, headers and bodies, its errors in plain text and its proxy's in HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

JSON = "application/json"
TEXT = "text/plain"
HTML = "text/html"

_PADDING = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n" * 6
_REASONS = {
    200: "OK",
    301: "Moved Permanently",
    304: "Not Modified",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    414: "Request-URI Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}
DATA_CHANGED = "The data have probably changed while you were paginating. Please, start over from the first page."


@dataclass(slots=True)
class Answer:
    """One answer before it is compressed and sent. ``tagged`` ones carry the dataset's ETag."""

    status: int
    body: bytes
    content_type: str | None = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    tagged: bool = False

    @property
    def status_line(self) -> str:
        """Return the status and its reason, as WSGI wants them."""
        return f"{self.status} {_REASONS[self.status]}"


class Refused(Exception):
    """The request cannot be answered; carries the answer that says so."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        content_type = f"{TEXT}; charset=UTF-8" if status == 404 else TEXT  # noqa: PLR2004 - the service adds the charset there only
        self.answer = Answer(status, sentence.encode(), content_type)


def json_answer(value: Any) -> Answer:
    """Return a tagged 200 with a JSON body."""
    return Answer(200, orjson.dumps(value), tagged=True)


def html_answer(status: int) -> Answer:
    """Return the short HTML page that the proxy in front of the service sends with an error status."""
    title = f"{status} {_REASONS[status]}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        f"<hr><center>nginx/1.26.2</center>\r\n</body>\r\n</html>\r\n{_PADDING}"
    )
    return Answer(status, page.encode(), HTML)
