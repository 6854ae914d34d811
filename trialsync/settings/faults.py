"""What is wrong with a settings file: pydantic's errors as sentences that name the key, and the key that was probably meant."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from trialsync.settings.sections import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 80
_SECRETS = {
    (
        "heartbeat",
        "url",
    ): "is a secret, which this file must not hold: write it into a file of its own, readable for trialsync alone, and name "
    "that one with url_file; or set $TRIALSYNC_HEARTBEAT_URL",
}
"""Keys that somebody would look for, and what to do in place of them; their values are never repeated."""

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def sentence(error: ErrorDetails, document: Any) -> str:
    """Return ``key: what is wrong`` for one of pydantic's errors on a Document that was read from ``document``.

    The key is dotted as in TOML; one inside a watch follows the watch's name.
    """
    return f"{_where(error['loc'], document)}: {_what(error)}"


def duplicates(document: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each name that more than one ``[[watch]]`` has, or had (``was``), also where other keys of them are wrong."""
    tables = document.get("watch")
    watches = [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    for key, said in (("name", "watches have this name; each needs its own"), ("was", "watches had this name; only one can go on with it")):
        texts = [table[key] for table in watches if isinstance(table.get(key), str)]
        for text in dict.fromkeys(texts):
            if texts.count(text) > 1:
                yield f"watch {quoted(text)}: {key}: {texts.count(text)} {said}"


def quoted(text: str) -> str:
    """Return the text as a TOML basic string, what does not print escaped."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(one) or (one if one.isprintable() else _escape(one)) for one in text) + '"'


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"  # noqa: PLR2004  the last that four digits name


def _where(loc: Sequence[int | str], document: Any) -> str:
    parts = list(loc)
    prefix = ""
    if len(parts) > 1 and parts[0] == "watch":
        name = _at(document, ["watch", parts[1], "name"])
        prefix = f"watch {quoted(name)}" if isinstance(name, str) else f"watch number {int(parts[1]) + 1}"
        parts = parts[2:]
    dotted = ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in parts if isinstance(part, str))
    return ": ".join(part for part in (prefix, dotted) if part)


def _at(document: Any, parts: Sequence[int | str]) -> Any:
    for part in parts:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def _what(error: ErrorDetails) -> str:
    kind, context, told = error["type"], error.get("ctx", {}), _told(error["input"])
    if kind == "extra_forbidden":
        if error["loc"] in _SECRETS:
            return _SECRETS[error["loc"]]
        return _unknown(error["loc"])
    if kind == "list_type" and error["loc"] == ("watch",):
        return "must stand in double brackets: [[watch]]"
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}, not {told}"
    limit = next((f"{context[bound]:g}" for bound in ("gt", "ge", "le") if bound in context), "")
    said = {
        "missing": "is missing",
        "greater_than": f"must be more than {limit}, not {told}",
        "greater_than_equal": f"must be {limit} or more, not {told}",
        "less_than_equal": f"must be {limit} or less, not {told}",
        "literal_error": f"must be {str(context.get('expected')).replace(chr(39), chr(34))}, not {told}",
        "string_too_short": "must not be empty",
    }.get(kind)
    if said is None:
        said = str(context["error"]) if kind == "value_error" else f"{error['msg']}, not {told}"
        # A table's own rules, and texts that quote the value already, do not repeat it.
        if said.startswith("must ") and not isinstance(error["input"], dict | list) and not said.endswith("empty"):
            said = f"{said}; it is {told}"
    return said


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value if len(value) <= _LONGEST else value[:_LONGEST] + "…")
    if isinstance(value, int | float):
        return json.dumps(value)[:_LONGEST]
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or a time"


def _unknown(loc: Sequence[int | str]) -> str:
    key, around = str(loc[-1]), _known(loc[:-1])
    same = {name.lower(): name for name in around}
    near = difflib.get_close_matches(key.lower(), same, n=1)
    if near:
        return f"is not known; did you mean {same[near[0]]}?"
    elsewhere = [f"{section}.{key}" for section in Document.model_fields if key in _known((section,))]
    if elsewhere and loc[0] != "watch":
        return f"is not known here; did you mean {elsewhere[0]}?"
    return f"is not known; known here: {', '.join(around)}"


def _known(loc: Sequence[int | str]) -> list[str]:
    model: type[BaseModel] = Document
    for part in loc:
        if isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        model = next(_models(fields[part].annotation))
    return [field.alias or name for name, field in model.model_fields.items()]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from _models(inside)
