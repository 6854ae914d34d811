"""The README's commands run, and print what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
CONSOLES = re.findall(r"^```console\n\$ (.+)\n((?:.*\n)*?)```$", README, re.MULTILINE)
QUESTIONS = re.findall(r"^\| [^|`]+ \| `(trialsync [^`]+)` \|$", README, re.MULTILINE)
SHELL = re.findall(r"^```sh\n((?:.*\n)*?)```$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the demo was run."""
    folder = tmp_path_factory.mktemp("readme")
    subprocess.run([sys.executable, "-m", "trialsync", "demo"], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def _pattern(expected: str) -> re.Pattern[str]:
    """Return what the README shows as a pattern: ``…`` stands for anything, on a line of its own for any lines; columns may be wider."""
    lines = []
    for line in expected.splitlines():
        if line == "…":
            lines.append(r"(?:.*\n)*")
        else:
            lines.append(r"\s+".join(".*".join(re.escape(part) for part in word.split("…")) for word in line.split()) + r"\s*\n")
    return re.compile("".join(lines).replace("─*", "─+"))


@pytest.mark.parametrize(("command", "expected"), CONSOLES, ids=[command[:60] for command, _ in CONSOLES])
def test_a_console_block_prints_what_it_says(command: str, expected: str, demo: Path, tmp_path: Path) -> None:
    """Each command that the README shows with its output prints that output today."""
    if command.startswith("sqlite3") and shutil.which("sqlite3") is None:
        pytest.skip("there is no sqlite3 on this machine")
    done = _run(command, demo, tmp_path)
    assert done.returncode == 0, done.stderr
    assert _pattern(expected).fullmatch(done.stdout), done.stdout


def _run(command: str, folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of the README as a shell would, with ``trialsync`` on the path."""
    program = tmp_path / "trialsync"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trialsync "$@"\n')
    program.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    return subprocess.run(command, shell=True, cwd=folder, env=environ, check=False, capture_output=True, text=True, timeout=60)  # noqa: S602 - the README's own line


def test_every_command_in_a_shell_block_exists() -> None:
    """Each ``trialsync`` command in a shell block of the README is one that the program has, with the options that it names."""
    lines = [line for block in SHELL for line in block.splitlines()]
    found = re.findall(r"trialsync ((?:--config \S+ )?)([a-z]+)((?: [^&#|\n]+)?)", "\n".join(lines))
    commands = {name for _, name, _ in found}
    assert {"demo", "init", "sync", "changes", "import", "sandbox"} <= commands
    helps = {name: _help(name) for name in commands}
    for _, name, arguments in found:
        for option in re.findall(r"--[a-z-]+", arguments):
            assert option in helps[name], f"{name} {option}"


def _help(name: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own program, a word of our own README
        [sys.executable, "-m", "trialsync", name, "--help"], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, name
    return done.stdout


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_question_is_answered(command: str, demo: Path, tmp_path: Path) -> None:
    """Each command that the README gives for a question works on the demo's store."""
    done = _run(command.replace("\\|", "|").replace("trialsync ", "trialsync --config trialsync-demo/trialsync.toml ", 1), demo, tmp_path)
    assert done.returncode == 0, done.stderr
    if "--since" not in command:
        assert done.stdout or any((demo / file).exists() for file in re.findall(r"\S+\.csv", command)), done.stderr
