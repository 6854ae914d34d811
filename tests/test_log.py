"""Log lines: what a person, a log collector and systemd's journal each get."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from trialsync import log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

HOSTILE = "a\x1b[31mred\x1b[0m\r\nfake.event level=error\x00\u202egnp\u2028\x9b2J"


class Terminal(io.StringIO):
    """Text kept in memory by something that calls itself a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    structlog.reset_defaults()
    root.setLevel(level)
    root.handlers[:] = handlers


def configured(
    stream: io.StringIO,
    *,
    level: log.Level = "info",
    format: log.Format = "auto",  # noqa: A002
    environ: Mapping[str, str] | None = None,
) -> Any:
    """Return a logger after configuring it for the stream."""
    log.configure(stream, level=level, format=format, environ=environ or {})
    return structlog.get_logger()


def failure() -> RuntimeError:
    """Return an error that was raised, whose message tries to write to the terminal."""
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError(HOSTILE)
    return caught.value


def test_a_pipe_gets_json() -> None:
    """Away from a terminal each event is one JSON object with its keys, level and UTC timestamp."""
    stream = io.StringIO()
    configured(stream).info("poll.ended", watch="parkinson", new=2, updated=1)
    line = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {"event": "poll.ended", "watch": "parkinson", "new": 2, "updated": 1, "level": "info"}


def test_a_terminal_gets_a_readable_line() -> None:
    """On a terminal the event comes first and its keys follow as key=value, a text of several words in quotes."""
    stream = Terminal()
    configured(stream, environ={"NO_COLOR": "1"}).info("poll.ended", watch="parkinson", title="Some words", new=2)
    assert re.fullmatch(r"\S+Z \[info\] poll\.ended watch=parkinson title='Some words' new=2\n", stream.getvalue())


def test_a_terminal_shows_no_python() -> None:
    """On a terminal lists are joined by commas, tables have a colon between name and value, and instants end with the second."""
    stream = Terminal()
    log_line = configured(stream, environ={"NO_COLOR": "1"})
    log_line.info("daemon.started", watches=["ataxia", "gout"], next={"ataxia": "2026-02-03T04:05:06.789Z"}, none=[], heard=None)
    timestamp, line = stream.getvalue().split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", timestamp)
    assert line == "[info] daemon.started watches=ataxia,gout next=ataxia:2026-02-03T04:05:06Z none= heard=None\n"


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_are_for_terminals_that_want_them(environ: dict[str, str], *, coloured: bool) -> None:
    """A terminal gets colours unless NO_COLOR or a dumb terminal says otherwise."""
    stream = Terminal()
    configured(stream, environ=environ).info("poll.ended")
    assert ("\x1b[" in stream.getvalue()) is coloured


def test_the_format_can_be_chosen() -> None:
    """A named format wins over what the stream is, and a pipe is never coloured."""
    pipe, terminal = io.StringIO(), Terminal()
    configured(pipe, format="console").info("poll.ended", new=2)
    assert "poll.ended new=2" in pipe.getvalue()
    assert "\x1b" not in pipe.getvalue()
    configured(terminal, format="json").info("poll.ended", new=2)
    assert json.loads(terminal.getvalue())["new"] == 2


def test_events_below_the_level_are_left_out() -> None:
    """Only events of the level and above are written."""
    stream = io.StringIO()
    logger = configured(stream, level="warning")
    logger.info("poll.ended")
    logger.warning("record.skipped")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["record.skipped"]


@pytest.mark.parametrize("format", ["console", "json"])
def test_registry_text_cannot_write_to_the_terminal(format: log.Format) -> None:  # noqa: A002
    """Control characters, escape sequences, bidi marks and line ends in an event, a key or a value, nested too, are escaped."""
    stream = io.StringIO()
    configured(stream, format=format).info(HOSTILE, title=HOSTILE, several=[HOSTILE], **{HOSTILE: 1})
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    assert "red" in text


def test_an_exception_keeps_its_lines_and_loses_its_control_characters() -> None:
    """A traceback is printed below the event on a terminal, each line of it harmless."""
    stream = io.StringIO()
    configured(stream, format="console").error("sync.broke", exc_info=failure())
    text = stream.getvalue()
    assert "Traceback (most recent call last)" in text
    assert "RuntimeError: a\\x1b[31mred" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_an_exception_in_json_is_one_line() -> None:
    """In JSON the traceback is a text under ``exception``, so that an event stays one line."""
    stream = io.StringIO()
    configured(stream).error("sync.broke", exc_info=failure())
    assert stream.getvalue().count("\n") == 1
    assert "Traceback (most recent call last)" in json.loads(stream.getvalue())["exception"]


def test_a_huge_text_is_cut() -> None:
    """A text of 2,000 characters stays whole; a longer one is cut and says how long it was."""
    stream = io.StringIO()
    configured(stream).info("drift.found", short="x" * 2000, long="x" * 12345)
    line = json.loads(stream.getvalue())
    assert line["short"] == "x" * 2000
    assert line["long"] == "x" * 2000 + "… (12,345 characters)"


def test_the_journal_keeps_the_time(tmp_path: Path) -> None:
    """There is no timestamp where systemd's journal reads this very stream, and there is one where only the variable was inherited."""
    for name, own in (("journal", True), ("file", False)):
        with (tmp_path / name).open("w+") as stream:
            seen = os.fstat(stream.fileno())
            log.configure(
                stream, level="info", format="auto", environ={"JOURNAL_STREAM": f"{seen.st_dev}:{seen.st_ino}" if own else "8:12345"}
            )
            structlog.get_logger().info("poll.ended")
            stream.seek(0)
            assert ("timestamp" in json.loads(stream.read())) is not own


def test_a_real_terminal_is_recognised() -> None:
    """A pseudo-terminal gets the console format without being told."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb") as reading, os.fdopen(theirs, "w") as stream:
        log.configure(stream, level="info", format="auto", environ={"NO_COLOR": "1"})
        structlog.get_logger().info("poll.ended", new=2)
        stream.flush()
        assert b"[info] poll.ended new=2" in reading.readline()


def test_libraries_speak_in_the_same_way() -> None:
    """A warning of a library that uses the standard library's logging is an event too; its chatter is left out unless asked for."""
    stream = io.StringIO()
    configured(stream)
    logging.getLogger("apscheduler.scheduler").warning("missed by %s", "0:00:02")
    logging.getLogger("httpx").info("HTTP Request")
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], line["logger"]) == ("missed by 0:00:02", "warning", "apscheduler.scheduler")
    configured(stream, level="debug")
    logging.getLogger("httpx").info("HTTP Request")
    assert json.loads(stream.getvalue().splitlines()[-1])["event"] == "HTTP Request"


def test_configuring_again_replaces() -> None:
    """After a second configuration an event is written once, to the new stream alone."""
    first, second = io.StringIO(), io.StringIO()
    configured(first)
    configured(second).info("poll.ended")
    logging.getLogger("apscheduler").error("broken")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 2
