"""The settings in force as a settings file: each with where it comes from, secrets left out. Read again it says the same."""

from __future__ import annotations

from datetime import time, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from trialsync.settings.faults import quoted
from trialsync.settings.secret import HEARTBEAT_VARIABLE
from trialsync.settings.sections import Document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.settings.loading import Settings

_UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_APART: Final = frozenset({"watch", "heartbeat"})
"""Sections that are no plain table of values."""

_SAID_OR_NOT: Final = {("log", "level"): "commands log errors alone, as nobody set it"}
"""Settings that mean something else where nobody wrote them down, although with the same value."""


def printed(settings: Settings) -> str:
    """Return the settings in force as TOML; behind each stands ``file``, ``default`` or the variable that it comes from.

    The heartbeat's address is a secret, and only said to be there. Paths are whole, so that the text may be kept anywhere.
    """
    return "\n".join(_lines(settings)) + "\n"


def _lines(settings: Settings) -> Iterator[str]:
    yield f"# The settings in force, of {settings.source or 'no file'}."
    for name in Document.model_fields:
        section = None if name in _APART else getattr(settings, name)
        if section is None:
            continue
        yield ""
        yield f"[{name}]"
        for key, value in _values(section):
            variable = settings.overrides.get(f"{name}.{key}")
            source = f"${variable}" if variable else "file" if key in _keys_set(section) else "default"
            unsaid = _SAID_OR_NOT.get((name, key)) if source == "default" else None
            if isinstance(value, timedelta) and value.microseconds:
                yield f"# {key} is {value.total_seconds():g} seconds  # {source}"  # the default: no file can say it
                continue
            yield f"#{key} = {_toml(value)}  # default; {unsaid}" if unsaid else f"{key} = {_toml(value)}  # {source}"
    if settings.heartbeat is not None:
        yield ""
        yield "[heartbeat]"
        if settings.heartbeat.name == f"${HEARTBEAT_VARIABLE}":
            yield f"# the address is a secret, not shown  # ${HEARTBEAT_VARIABLE}"
        elif settings.heartbeat.file is not None:
            source = "file" if settings.heartbeat.name.endswith("url_file") else settings.heartbeat.name
            yield f"url_file = {_toml(settings.heartbeat.file)}  # {source}; the address in it is a secret, not shown"
    for table in settings.tables:
        yield ""
        yield "[[watch]]"
        # What a watch does not say would be a long list of empty searches.
        for key, value in _values(table, written=True):
            yield f"{key} = {_toml(value)}  # file"


def _keys_set(section: BaseModel) -> set[str]:
    fields = type(section).model_fields
    return {fields[name].alias or name for name in section.model_fields_set}


def _values(section: BaseModel, prefix: str = "", *, written: bool = False) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys that a table has and their values, those that are absent left out; ``written``: only what the file says."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if value is None or (written and name not in section.model_fields_set):
            continue
        key = f"{prefix}{field.alias or name}"
        if isinstance(value, BaseModel):
            yield from _values(value, f"{key}.", written=written)
        else:
            yield key, value


def _toml(value: Any) -> str:
    """Return a setting's value as the settings file has it."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return quoted(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, timedelta):
        seconds = int(value.total_seconds())
        if not seconds:
            return "0s"
        # The largest unit that it is a whole number of; 26 hours are better read than 1,560 minutes.
        unit, length = next(each for each in _UNITS if seconds % each[1] == 0)
        return f"{seconds // length}{unit}"
    return f"{value:%H:%M}" if isinstance(value, time) else str(value)
