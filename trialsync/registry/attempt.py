"""One attempt at an answer: what came of it, or why it failed and how patient to be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from trialsync import __version__
from trialsync.registry.answers import UnreadableAnswer, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

OK: Final = 200
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
FEW: Final = 2
"""So many attempts where a failure is not likely to pass."""

LATER = "nothing to do here: ask again later"
CHECK_URL = "check api_url in [registry]; the registry's own is https://clinicaltrials.gov/api/v2"
CHECK_NETWORK = "check the network, and api_url in [registry]"


class Answer:
    """A whole answer, its body bounded and decoded."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def kind(self) -> str:
        """Return the content type without its parameters, in lower case; empty where the answer has none."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")


class Failed(Exception):
    """An attempt that failed: the error to end with, how often to try at most, and how long to wait before the next attempt."""

    def __init__(self, saw: str, hint: str, *, tries: int | None = None, after: float | None = None, rejected: bool = False) -> None:
        super().__init__(saw)
        self.saw = saw
        self.hint = hint
        self.tries = tries
        self.after = after
        self.rejected = rejected


def json_of(answer: Answer) -> bytes:
    """Return the body of a 200 that says it is JSON; raise for any other answer."""
    if answer.status in REDIRECTS:
        where = sentence(answer.headers.get("location", ""), 80)
        raise Failed(f"{answer.status}, a redirect to {where or 'nowhere'}", CHECK_URL, tries=FEW)
    if answer.status != OK:
        said = sentence(answer.text, 100)
        raise Failed(f"{answer.status}, {said}" if said else str(answer.status), CHECK_URL, tries=FEW)
    if answer.kind and answer.kind != "application/json" and not answer.kind.endswith("+json"):
        raise UnreadableAnswer(f"200 with {sentence(answer.kind, 40)} instead of JSON: {sentence(answer.text, 80)!r}")
    return answer.body


def user_agent(library: str, contact: str | None) -> str:
    """Return the library's own token, which the registry's edge demands, then ours, then the contact as far as a header can hold it."""
    plain = re.sub(r"[^A-Za-z0-9@._+:/~%-]", "", contact or "")[:100]
    return f"{library} trialsync/{__version__}" + (f" (+{plain})" if plain else "")
