"""The OpenAPI document, made from the operations that answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync import __version__
from trialsync.web.api.formats import Form
from trialsync.web.api.operations import OF_A_STUDY
from trialsync.web.api.schemas import SCHEMAS, of
from trialsync.web.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trialsync.model import Json
    from trialsync.web.api.operations import Operation
    from trialsync.web.api.parameters import Parameter

ADDRESS: Final = "/api/openapi.json"

_INTRODUCTION: Final = """\
What trialsync's store holds: studies of ClinicalTrials.gov, their versions, and the dated, field-level log of what changed. Everything is
read, nothing is written. A parameter that may be given several times means any of its values; different parameters all hold. Where rows
are answered, a suffix (.json, .jsonl, .csv) or the Accept header chooses the form; CSV and JSON lines have more rows at a time, and say
where one reads on in a Link header. Every answer has an ETag, and what has not changed is not sent again. A program follows the log with
/api/changes?after=CURSOR. Contact persons are left out unless the settings show them: rows about them say [contact person] and have no
values. 400 means that the request is not well formed, 422 that it is and can't be meant, such as the thirtieth of February."""

_STATUSES: Final = {
    "304": "The client has it already.",
    "400": "A parameter is unknown, or not of the form that it must have.",
    "404": "There is no such study, watch or version.",
    "405": "Only GET and HEAD are answered.",
    "406": "The Accept header takes none of the forms.",
    "410": "The cursor is past the log's end: it is of another store, or of one restored.",
    "414": "The address is too long.",
    "421": "The Host is none that the server answers to.",
    "422": "The parameters are well formed, and nothing could ever answer to them.",
    "500": "A fault of trialsync's own.",
    "503": "The store can't be read now, or the question takes longer than two seconds: narrow it.",
}
_ALWAYS: Final = ("304", "400", "404", "405", "406", "414", "421", "422", "500", "503")
_HEADERS: Final = {
    "ETag": {"description": "The same for the same answer.", "schema": {"type": "string", "pattern": '^W/"[0-9a-f]{32}"$'}},
}
_LINK: Final = {"Link": {"description": 'Where one reads on: <address>; rel="next".', "schema": {"type": "string"}}}


def document(operations: Sequence[Operation]) -> dict[str, Json]:
    """Return the OpenAPI 3.1 document of some operations; the server is wherever the document was fetched from."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths[operation.path] = {"get": _operation(operation, None)}
        for form in operation.forms if operation.row else ():
            paths[f"{operation.path}.{form.value}"] = {"get": _operation(operation, form)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "trialsync",
            "version": __version__,
            "summary": "What changed in the clinical-trial registry.",
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "responses": {
                f"Status{status}": {"description": said} | ({} if status == "304" else {"content": {MEDIA_TYPE: {"schema": of("Problem")}}})
                for status, said in _STATUSES.items()
            },
        },
    }


def _operation(operation: Operation, form: Form | None) -> dict[str, Json]:
    """Return an operation, or its form at the address with a suffix."""
    forms = operation.forms if form is None else (form,)
    extra = [str(status) for status in operation.problems]
    name = operation.name if form is None else f"{operation.name}-{form.value}"
    in_path = [_parameter(OF_A_STUDY, "path")] if operation.is_of_a_study else []
    return {
        "operationId": name,
        "summary": operation.summary if form is None else f"{operation.summary} As {form.name}.",
        "parameters": [*in_path, *(_parameter(each, "query") for each in operation.parameters)],
        "responses": {
            "200": {
                "description": "The answer.",
                "headers": {**_HEADERS, **(_LINK if operation.row else {})},
                "content": {_media_type(each): {"schema": operation.schema if each is Form.JSON else {"type": "string"}} for each in forms},
            },
            **{status: {"$ref": f"#/components/responses/Status{status}"} for status in sorted((*_ALWAYS, *extra))},
        },
    }


def _media_type(form: Form) -> str:
    return form.media_type.partition(";")[0]


def _parameter(parameter: Parameter, place: str) -> dict[str, Json]:
    found: dict[str, Json] = {"name": parameter.name, "in": place, "description": parameter.description, "schema": parameter.schema}
    if place == "path" or parameter.required:
        found["required"] = True
    elif parameter.many:
        found |= {"style": "form", "explode": True}
    return found
