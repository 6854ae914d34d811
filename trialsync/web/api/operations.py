"""What the API can be asked: one operation an address, from which the routes and the OpenAPI document are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from starlette.routing import Route

from trialsync.web.api import parameters
from trialsync.web.api.formats import Form, accepted
from trialsync.web.api.parameters import Parameter
from trialsync.web.api.values import NCT_ID, BadValue
from trialsync.web.problems import bad_parameter, not_found

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from trialsync.model import Json
    from trialsync.store.reader import Reader
    from trialsync.web.answer import Answer
    from trialsync.web.api.parameters import Asked
    from trialsync.web.desk import Desk

    Work: TypeAlias = Callable[["Question", Reader], Answer]

OF_A_STUDY: Final = Parameter("nct_id", NCT_ID, "The study's number, NCT and eight digits.")
"""The parameter in a path that names a study."""

_ROWS: Final = (Form.JSON, Form.JSONL, Form.CSV)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, read: the path without a suffix, what it asks, the form of the answer, and the study that the path names, or nothing."""

    desk: Desk
    path: str
    asked: Asked
    form: Form
    study: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One question: its address, its name and what it is for, its parameters, who answers, and the JSON Schema of a JSON answer.

    ``row`` names the schema of a row, where the answer is rows; then CSV and JSON lines are there too. ``problems`` are statuses beyond
    those that every operation can answer.
    """

    path: str
    name: str
    summary: str
    work: Work
    schema: dict[str, Json]
    parameters: tuple[Parameter, ...] = ()
    row: str | None = None
    problems: tuple[int, ...] = ()

    @property
    def is_of_a_study(self) -> bool:
        """Return whether the path names a study."""
        return "{nct_id}" in self.path

    @property
    def forms(self) -> tuple[Form, ...]:
        """Return the forms of the answer."""
        return _ROWS if self.row else (Form.JSON,)


def routes(desk: Desk, operations: Sequence[Operation]) -> list[Route]:
    """Return the routes of some operations: rows at their address, and at the address with a suffix for each form."""
    found = []
    for operation in operations:
        found.append(Route(operation.path, desk.endpoint(_asking(desk, operation, None))))
        if operation.row:
            found += [Route(f"{operation.path}.{form.value}", desk.endpoint(_asking(desk, operation, form))) for form in operation.forms]
    return found


def _asking(desk: Desk, operation: Operation, form: Form | None) -> Callable[[Request, Reader], Answer]:
    def asked(request: Request, reader: Reader) -> Answer:
        study = _study(desk, request.path_params["nct_id"]) if operation.is_of_a_study else ""
        question = Question(
            desk=desk,
            path=operation.path.replace("{nct_id}", study),
            asked=parameters.read(request.scope["query_string"], operation.parameters, desk.now()),
            form=form or accepted(request.headers.get("Accept"), operation.forms),
            study=study,
        )
        if study and not reader.has(study):
            raise not_found(f"{study} is not in the store", word="unknown-study", hint="/api/studies lists those that are")
        return operation.work(question, reader)

    return asked


def _study(desk: Desk, text: str) -> str:
    try:
        return str(NCT_ID.read("nct_id", text, desk.now()))
    except BadValue as error:
        raise bad_parameter(f"{text[:80]!r} {error}") from None
