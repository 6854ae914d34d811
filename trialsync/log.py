"""Log lines: events with keys on one stream, for eyes on a terminal and as JSON elsewhere. The only module that configures structlog."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict, Processor, WrappedLogger

Level: TypeAlias = Literal["debug", "info", "warning", "error"]
Format: TypeAlias = Literal["auto", "console", "json"]

_LONGEST = 2_000
_INSTANT = re.compile(r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z\Z", re.ASCII)
_LEVELS: dict[Level, int] = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(stream: TextIO, *, level: Level, format: Format, environ: Mapping[str, str]) -> None:  # noqa: A002  the setting's own name
    """Send every event of ``level`` and above to ``stream``, one line each; calling it again replaces the former configuration.

    ``format`` is ``console`` (coloured on a terminal unless ``NO_COLOR`` is set), ``json`` (one object a line, ASCII), or ``auto``: console
    where ``stream`` is a terminal, JSON otherwise. Each line has an ISO 8601 timestamp in UTC, but not where systemd's journal reads the
    stream (``JOURNAL_STREAM`` names it), as the journal keeps its own. A line that can't be written (a full disk, a reader that went away)
    is lost, and what it tells of goes on. What libraries say through the standard library's logging joins the
    same stream from ``warning`` up, from ``info`` up at level ``debug``. Text in a line cannot break it: what does not print is escaped and
    a text longer than 2,000 characters is cut.
    """
    terminal = stream.isatty()
    console = terminal if format == "auto" else format == "console"
    before: list[Processor] = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level]
    if not _is_journal(stream, environ):
        before.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    before += [structlog.processors.format_exc_info, _shorten]
    colours = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    last: list[Processor] = [_plain, _clean, _for_eyes(colours=colours)] if console else [structlog.processors.JSONRenderer()]

    structlog.configure(
        processors=[*before, *last],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Lossy(stream),
        cache_logger_on_first_use=False,
    )
    _join_libraries(stream, before, last, logging.INFO if level == "debug" else max(logging.WARNING, _LEVELS[level]))


class _Lossy(structlog.WriteLogger):
    """Writes lines to a stream, as long as that takes them: no work ends because nobody can be told of it."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = error = critical = exception = fatal = msg


def _join_libraries(stream: TextIO, before: list[Processor], last: list[Processor], level: int) -> None:
    root = logging.getLogger()
    for handler in [known for known in root.handlers if known.name == "trialsync"]:
        root.removeHandler(handler)
    handler = logging.StreamHandler(stream)
    handler.name = "trialsync"
    handler.setLevel(level)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root.addHandler(handler)
    root.setLevel(level)


def _is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    # A desktop's shells inherit the variable from the session, so its presence alone says nothing: systemd.exec(5) has programs compare.
    try:
        seen = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{seen.st_dev}:{seen.st_ino}"


def _for_eyes(*, colours: bool) -> structlog.dev.ConsoleRenderer:
    # The plain formatter: rich's would print local variables, a whole study among them.
    return structlog.dev.ConsoleRenderer(
        colors=colours, sort_keys=False, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )


def _shorten(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    for key, value in event_dict.items():
        if key != "exception" and isinstance(value, str) and len(value) > _LONGEST:
            event_dict[key] = f"{value[:_LONGEST]}… ({len(value):,} characters)"
    return event_dict


def _plain(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    return {key: _simple(value) for key, value in event_dict.items()}


def _simple(value: Any) -> Any:
    """Return a value as eyes want it: lists joined by commas, instants to the second."""
    if isinstance(value, str):
        return _INSTANT.sub(r"\1Z", value)
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value))
    if isinstance(value, dict):
        return ",".join(f"{_word(key)}:{_word(inside)}" for key, inside in value.items())
    return value


def _word(value: Any) -> str:
    simple = _simple(value)
    return simple if isinstance(simple, str) else repr(simple)


def _clean(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    return {_escaped(str(key)): _cleaned(key, value) for key, value in event_dict.items()}


def _cleaned(key: str, value: Any) -> Any:
    if key == "exception":
        return "\n".join(_escaped(line) for line in str(value).split("\n"))
    if key == "event":
        return _escaped(str(value))
    if isinstance(value, str):
        return _escaped(value)
    # A class's own repr() may print anything.
    printed = repr(value)
    return value if printed.isprintable() else _escaped(printed)


def _escaped(text: str) -> str:
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
