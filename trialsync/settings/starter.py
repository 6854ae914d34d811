"""A first settings file, for ``trialsync init``."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from trialsync.errors import SettingsError
from trialsync.settings.faults import quoted
from trialsync.settings.loading import checked_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trialsync.model import Watch

_WIDTH = 100


def starter(watches: Sequence[Watch], *, database: str, contact: str | None) -> str:
    """Return a short commented settings file that follows the watches and keeps its store at ``database``.

    A relative ``database`` is relative to the place of the file. Reading the file gives the same watches and the same path again.
    Raises SettingsError where that cannot be, for example for a watch that follows nothing, or a name that is not safe.
    """
    text = "\n".join(_lines(watches, database, contact)) + "\n"
    checked_text(text, "the new settings", Path())
    return text


def _lines(watches: Sequence[Watch], database: str, contact: str | None) -> Iterator[str]:
    yield "# What trialsync follows, and where it keeps what it has seen. Paths are relative to this file."
    yield ""
    yield "[store]"
    yield f"path = {_text(database)}"
    yield ""
    yield "[registry]"
    yield "requests_per_second = 1.0"
    yield "# Who asks, sent to the registry in the User-Agent:"
    yield f"contact = {_text(contact)}" if contact else '# contact = "you@example.org"'
    for watch in watches:
        yield ""
        yield "[[watch]]"
        yield f"name = {_text(watch.name)}"
        if watch.everything:
            yield "everything = true"
        for key, values in watch.query.items():
            yield f"{key} = {_text(values[0]) if len(values) == 1 else _list([_text(value) for value in values])}"
        if watch.nct_ids:
            yield f"nct_ids = {_list([_text(one) for one in watch.nct_ids])}"


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{quoted(value)} is not text that a settings file, which is UTF-8, can hold") from None
    return quoted(value)


def _list(items: Sequence[str]) -> str:
    line = f"[{', '.join(items)}]"
    if len(line) <= _WIDTH:
        return line
    rows, row = [], ""
    for item in items:
        if row and len(row) + len(item) > _WIDTH:
            rows.append(row)
            row = ""
        row += f"{item}, "
    return "[\n" + textwrap.indent("\n".join(one.rstrip() for one in [*rows, row]), "    ") + "\n]"
