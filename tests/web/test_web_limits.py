"""No request holds anything up: not for longer than its time, not the poller, not more at once than there is room for."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio
import pytest
from following import World, invent, publish, status
from schema import over
from visiting import NOW, PATIENT, settings_of

from trialsync.errors import AnswerTooLong
from trialsync.store.connection import connect
from trialsync.store.reader import Reader
from trialsync.web.desk import LIMIT_SECONDS, Desk
from trialsync.web.patience import within
from trialsync.web.problems import Problem

if TYPE_CHECKING:
    from pathlib import Path

FOREVER = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_a_statement_ends_when_its_time_is_over(packaged: Path) -> None:
    """A statement that would run for ever is ended by SQLite itself, and says how to ask for less."""
    connection = connect(packaged, writable=False)
    connection.stop_after(0.2)
    began = time.process_time()
    with pytest.raises(AnswerTooLong, match="takes longer than it may") as raised:
        connection.value(FOREVER)
    assert time.process_time() - began < 2
    assert "narrow it" in str(raised.value)
    connection.close()


def test_many_short_statements_end_too(packaged: Path) -> None:
    """Questions that are quick one by one are not answered past the time of all of them."""
    with Reader.open(packaged) as reader:
        reader._db.stop_after(0.05)
        time.sleep(0.1)
        with pytest.raises(AnswerTooLong):
            reader.last_id()


def test_a_reader_without_a_limit_takes_its_time(packaged: Path) -> None:
    """Only who asks for a limit has one: the command line's readers run as long as they need."""
    with Reader.open(packaged) as reader:
        time.sleep(0.05)
        assert reader.last_id() > 0


def test_a_question_that_takes_too_long_is_a_problem(packaged: Path, tmp_path: Path) -> None:
    """A request whose question outlasts its time gets 503 and a sentence, not a traceback; two seconds is that time."""
    assert LIMIT_SECONDS == 2
    desk = Desk(packaged, settings_of(tmp_path), lambda: NOW, limit_seconds=0.2)
    with pytest.raises(AnswerTooLong):
        anyio.run(desk.ask, lambda reader: reader._db.value(FOREVER))


def test_work_in_python_ends_too(packaged: Path, tmp_path: Path) -> None:
    """Work that never asks the store is ended in its time as well, also where it catches every error, and its thread works on."""
    desk = Desk(packaged, settings_of(tmp_path), lambda: NOW, limit_seconds=0.1, at_once=1)

    def work(reader: Reader) -> int:
        del reader
        while True:
            with suppress(Exception):  # as the worst of libraries does
                sum(range(1000))

    async def asked() -> tuple[float, list[int]]:
        began = time.process_time()
        with pytest.raises(AnswerTooLong, match="takes longer than it may"):
            await desk.ask(work)
        spent = time.process_time() - began
        patient = replace(desk, limit_seconds=PATIENT)
        return spent, [await patient.ask(lambda reader: reader.last_id()) for _ in range(20)]

    seconds, after = anyio.run(asked)
    assert seconds < 2
    assert min(after) > 0


def test_the_end_of_its_time_meets_nobody_else() -> None:
    """However close to its end work comes, what is raised is raised in it or not at all: nothing is left for the thread's next work."""
    answers: set[str] = set()
    interval = sys.getswitchinterval()
    # Otherwise the thread that watches the time may wait for its turn until all of the work is done.
    sys.setswitchinterval(0.0001)
    try:
        for place in range(300):
            began = time.perf_counter()
            try:
                answers.add(within(0.002, lambda: _busy_until(began + 0.0005 + place * 0.00002)))  # noqa: B023 - called at once
            except AnswerTooLong:
                answers.add("too long")
            _busy_until(time.perf_counter() + 0.0005)
    finally:
        sys.setswitchinterval(interval)
    assert answers == {"done", "too long"}


def _busy_until(moment: float) -> str:
    while time.perf_counter() < moment:
        pass
    return "done"


def test_only_so_many_ask_at_once(packaged: Path, tmp_path: Path) -> None:
    """Requests wait for their turn; those for whom there is no room to wait are told to come again, and the others are answered."""
    desk = Desk(packaged, settings_of(tmp_path), lambda: NOW, PATIENT, at_once=2, waiting=3)
    free, together, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def work(reader: Reader) -> int:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        free.wait(PATIENT)
        with lock:
            together -= 1
        return reader.last_id()

    answered: list[int] = []
    refused: list[Problem] = []
    turned_away = anyio.Event()

    async def ask() -> None:
        try:
            answered.append(await desk.ask(work))
        except Problem as problem:
            refused.append(problem)
            if len(refused) == 4:
                turned_away.set()

    async def together_now() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(9):
                group.start_soon(ask)
            await turned_away.wait()
            free.set()

    anyio.run(together_now)
    assert (len(answered), len(refused)) == (5, 4)
    assert 1 <= most <= 2
    assert {(problem.status, problem.headers["Retry-After"]) for problem in refused} == {(503, "2")}


def test_a_request_never_delays_a_poll(tmp_path: Path) -> None:
    """While a request reads, a poll writes; the request sees the store as it was when it came, the next one what was written."""
    study = invent(1)
    world = World(tmp_path, publish([study], [status(study, "COMPLETED", "2026-02-03")]))
    world.poll()
    desk = Desk(world.store, settings_of(tmp_path), lambda: NOW, PATIENT)

    def work(reader: Reader) -> tuple[int, int]:
        before = reader.last_id()
        world.next()
        return before, reader.last_id()

    before, still = anyio.run(desk.ask, work)
    assert before == still
    with world.reader() as reader:
        assert reader.last_id() > before


def test_every_connection_is_closed(packaged: Path, tmp_path: Path) -> None:
    """After answers and problems alike no connection to the store is left open."""
    api = over(packaged, tmp_path)
    seen = []
    original = sqlite3.connect

    def counted(*arguments: object, **options: object) -> sqlite3.Connection:
        connection: sqlite3.Connection = original(*arguments, **options)  # type: ignore[call-overload]
        seen.append(connection)
        return connection

    sqlite3.connect = counted  # type: ignore[assignment]
    try:
        for path in (
            "/api/changes",
            "/api/changes?field=nothing.at.all",
            "/api/studies/NCT01234567",
            "/trials/NCT09000024.md",
            "/llms.txt",
        ):
            api.get(path)
    finally:
        sqlite3.connect = original
    assert len(seen) >= 5
    for connection in seen:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")


def test_a_locked_store_is_a_problem(tmp_path: Path) -> None:
    """A store that another program has locked against everybody gets 503 within the time of a request, and is answered again after it."""
    world = World(tmp_path, publish([invent(1)]))
    world.poll()
    api = over(world.store, tmp_path, limit_seconds=1)
    with closing(sqlite3.connect(world.store, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        found = api.problem("/api/changes", 503)
        assert found["type"].endswith("store-busy")
        assert time.monotonic() - began < 8
        other.execute("ROLLBACK")
    assert over(world.store, tmp_path).get("/api/changes").status_code == 200
