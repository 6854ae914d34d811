"""What programs that read text are given: a study's Markdown page, and ``llms.txt``, which says what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from trialsync.errors import BadNctId
from trialsync.model import nct_id
from trialsync.publish.confirmed import counted, registry_loads
from trialsync.publish.text import inline_markdown, line_markdown
from trialsync.sync.pages import look, page_of
from trialsync.web.answer import Answer
from trialsync.web.problems import not_found

if TYPE_CHECKING:
    from starlette.requests import Request

    from trialsync.store.reader import Reader
    from trialsync.web.desk import Desk

MARKDOWN: Final = "text/markdown; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the documents."""

    def page(request: Request, reader: Reader) -> Answer:
        text = request.path_params["nct_id"]
        try:
            number = nct_id(text)
        except BadNctId as error:
            raise not_found(error.message, hint=error.hint) from None
        if not reader.has(number):
            raise not_found(f"{number} is not in the store", word="unknown-study", hint="/api/studies lists those that are")
        return Answer(page_of(reader, look(reader, number), desk.settings.site).encode(), MARKDOWN)

    def llms(request: Request, reader: Reader) -> Answer:
        del request
        return Answer(llms_txt(desk, reader).encode(), PLAIN)

    return [Route("/trials/{nct_id}.md", desk.endpoint(page)), Route("/llms.txt", desk.endpoint(llms))]


def llms_txt(desk: Desk, reader: Reader) -> str:
    """Return ``llms.txt`` (llmstxt.org): what is served here, for a program that reads it first."""
    site = desk.settings.site
    base = site.base_url or ""
    loads = [row.seen for row in reader.watches() if row.seen]
    seen = f", as of {registry_loads(min(each.oldest for each in loads), max(each.newest for each in loads))}" if loads else ""
    lines = [
        "# trialsync",
        "",
        f"> {counted(reader.study_count(), 'study', 'studies')} of ClinicalTrials.gov and what changed in them{seen}.",
        "",
        "Each study has a Markdown page with front matter, key facts, and the changes of its last 30 days.",
        f"It is at `{base}/trials/NCT_ID.md`, where NCT_ID is the study's number: `NCT` and eight digits.",
        "The registry's own record is authoritative.",
        *(("", line_markdown(inline_markdown(site.note))) if site.note else ()),
        "",
        "## Questions",
        "",
        "- [The change log](/api/changes?since=7d): every field-level change, with what stood there before and after",
        "- [Studies](/api/studies): those in the store; `text`, `sponsor`, `country`, `status` and `watch` narrow them",
        "- [Facts](/api/facts): statements derived from changes, each with its definition; `/api/changes?fact=ID` has the rows",
        "- [Fields](/api/fields): the vocabulary that `field` takes",
        "- [OpenAPI](/api/openapi.json): all questions, their parameters and what is answered",
        "",
        "## Optional",
        "",
        "- [Watches](/api/watches): what is followed",
        "- [Polls](/api/polls): when the registry was asked, and how it ended",
    ]
    return "\n".join(lines) + "\n"
