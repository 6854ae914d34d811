"""The program's entry: Ctrl-C while the command line is still being loaded, and what the commands load that need little."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_CLICK = """
import sys, time
print("loading", flush=True)
try:
    time.sleep(float(sys.argv[-1]))
except KeyboardInterrupt:
    print("an exception came to what is being loaded", flush=True)
    raise
raise SystemExit(7)
"""

_PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
_MODULE, _FUNCTION = _PROJECT["project"]["scripts"]["trialsync"].split(":")
AS_SCRIPT = ["-c", f"import sys; from {_MODULE} import {_FUNCTION} as main; sys.exit(main())"]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Terminal]:
    """Return a terminal in an empty folder."""
    with Terminal(tmp_path, monkeypatch, capsys) as terminal:
        yield terminal


def interrupted_at_start(folder: Path, entry: list[str], *, seconds: float, ignored: bool = False) -> tuple[int, str, str]:
    """Press Ctrl-C while the first library is being loaded, which takes ``seconds``; return exit code, output and errors."""
    (folder / "click.py").write_text(SLOW_CLICK, encoding="utf-8")
    program = subprocess.Popen(  # noqa: S603
        [sys.executable, *entry, str(seconds)],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL),  # noqa: PLW1509 - one thread
    )
    with program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline() == "loading\n"
        program.send_signal(signal.SIGINT)
        code = program.wait(timeout=60)
        return code, program.stdout.read(), program.stderr.read()


@pytest.mark.parametrize("entry", [["-m", "trialsync"], AS_SCRIPT], ids=["module", "script"])
def test_ctrl_c_while_loading_is_one_word(tmp_path: Path, entry: list[str]) -> None:
    """Ctrl-C while the command line is being loaded ends as it does later: one word, 130, no traceback."""
    assert interrupted_at_start(tmp_path, entry, seconds=50) == (130, "", "interrupted\n")


def test_an_ignored_key_stays_ignored(tmp_path: Path) -> None:
    """A program that a shell began in the background, where it is to ignore the key, goes on loading."""
    assert interrupted_at_start(tmp_path, ["-m", "trialsync"], seconds=0.5, ignored=True) == (7, "", "")


def test_ctrl_c_after_loading_reaches_the_command(cli: Terminal) -> None:
    """Once the command line is there, Ctrl-C is an exception again, so that a command can say what stands."""
    program = (
        "import atexit, signal, sys; sys.argv[1:] = ['fields', '--format', 'jsonl']\n"
        "atexit.register(lambda: print(signal.getsignal(signal.SIGINT) is signal.default_int_handler))\n"
        "from trialsync.__main__ import main; main()"
    )
    seen = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=cli.folder,
        timeout=60,
        # Whoever runs the tests in the background may have them ignore the key.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert seen.stdout.splitlines()[-1] == "True"


def test_python_m_is_told_as_it_was_typed(cli: Terminal) -> None:
    """What can be typed next after ``python -m trialsync`` is just that, as there may be no ``trialsync`` on the path."""
    (cli.folder / "ids.txt").write_text("NCT09000001", encoding="utf-8")
    command = [sys.executable, "-m", "trialsync", "init", "--ids", "ids.txt"]
    made = subprocess.run(  # noqa: S603
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=cli.folder,
        timeout=60,
    )
    assert f"{sys.executable} -m trialsync" in made.stdout + made.stderr


@pytest.mark.parametrize("command", [["changes", "--limit", "1"], ["watches"], ["health"]], ids=lambda command: command[0])
def test_asking_the_store_loads_little(cli: Terminal, command: list[str]) -> None:
    """A command that asks the store alone loads neither what compares records, nor what asks the registry, nor what writes log lines."""
    cli.settings()
    cli.ok("init")
    program = (
        f"import atexit, sys; sys.argv[1:] = {command!r}\n"
        "atexit.register(lambda: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr))\n"
        "from trialsync.__main__ import main; main()"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=cli.folder, timeout=60)  # noqa: S603
    loaded = set(ran.stderr.splitlines()[-1].split())
    assert {"trialsync", "click"} <= loaded
    assert not loaded & {"deepdiff", "structlog", "httpx", "asyncio", "starlette", "apscheduler", "stamina"}


def test_the_key_is_answered_before_much_is_loaded() -> None:
    """What answers Ctrl-C is there before Python's modules for types and patterns are, which take most of the time until then."""
    loaded = "import sys; before = set(sys.modules); import trialsync.__main__; print({'re', 'typing'} & set(sys.modules) - before)"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout == "set()\n"  # noqa: S603
