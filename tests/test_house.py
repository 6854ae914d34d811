"""The house rules that a machine can hold: layers, sizes, names, and documents that say what is so."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from pydantic import BaseModel

from trialsync.settings import ENVIRONMENT, HEARTBEAT_VARIABLE, load
from trialsync.settings.sections import Document

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "config" / "trialsync.toml"
PACKAGE = sorted((ROOT / "trialsync").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
DOCUMENTS = sorted(ROOT.glob("*.md"))

TABLES = {
    "trialsync/study/fields.py": "one declarative table of every field",
}
"""Modules that may be long, each with the reason: they are data in the form of code."""

LONGEST = 400
EMPTY_NAMES = {"utils", "helpers", "common", "manager", "service"}


def switched_on() -> str:
    """Return the example settings with every setting that is switched off switched on; what remains of comments is prose."""
    return re.sub(r"(?m)^#(?=\[|[A-Za-z_.]+ = )", "", EXAMPLE.read_text())


def in_models(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every setting below a model, as TOML spells it."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        tables = list(models(field.annotation))
        for table in tables:
            yield from in_models(table, f"{key}.")
        if not tables:
            yield key


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inside in get_args(annotation):
        yield from models(inside)


def in_document(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every setting in a parsed document; those of a list of tables have the list's name."""
    tables = value if isinstance(value, list) else [value]
    for table in tables:
        for name, inside in table.items():
            nested = isinstance(inside, dict) or (isinstance(inside, list) and all(isinstance(one, dict) for one in inside))
            yield from in_document(inside, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]


def relative(path: Path) -> str:
    """Return a path of the project for a message."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.skipif(not importlib.util.find_spec("importlinter"), reason="import-linter is in the group check")
def test_each_floor_stands_on_the_ones_below() -> None:
    """The import contracts of pyproject.toml hold."""
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None, no_logo=True))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_names_every_setting() -> None:
    """Every setting stands in config/trialsync.toml, on or off, and the other way round; both schedules have the same keys."""
    known, named = set(in_models(Document)), set(in_document(tomllib.loads(switched_on())))
    assert {key.replace("watch.schedule.", "schedule.") for key in named} == {key.replace("watch.schedule.", "schedule.") for key in known}


def test_the_example_is_sound(tmp_path: Path) -> None:
    """The example reads as it stands, and so it does with everything switched on that is switched off."""
    as_it_stands = load(EXAMPLE, {}, ROOT)
    assert [table.name for table in as_it_stands.tables] == ["parkinson"]
    (tmp_path / "all.toml").write_text(switched_on())
    everything = load(tmp_path / "all.toml", {}, tmp_path)
    assert [table.name for table in everything.tables] == ["parkinson", "mine", "review", "the-whole-registry"]


def test_the_example_tells_the_defaults() -> None:
    """What the example has switched on outside its watches is what holds without it: deleting a line changes nothing."""
    as_it_stands, defaults = load(EXAMPLE, {}, EXAMPLE.parent), load(None, {}, EXAMPLE.parent, system=Path("/nonexistent"))
    for section in ("store", "registry", "schedule", "sync", "web", "site", "log", "health", "backup"):
        assert getattr(as_it_stands, section) == getattr(defaults, section)


def test_the_documents_name_every_variable() -> None:
    """The variables that the code reads are those that the example names, and no document names another."""
    known = {*ENVIRONMENT, HEARTBEAT_VARIABLE, "TRIALSYNC_CONFIG"}
    assert set(re.findall(r"TRIALSYNC_[A-Z_]+", EXAMPLE.read_text())) == known
    for path in [*PACKAGE, *DOCUMENTS]:
        assert set(re.findall(r"TRIALSYNC_[A-Z_]+", path.read_text())) <= known, relative(path)


def test_the_readme_says_how_to_pass_the_tests() -> None:
    """The README has one line that sets up and runs the tests, which CI takes from it word for word."""
    found = re.search(r"(?m)^## Pass the tests\n(?:(?!## ).*\n)*?```sh\n(.+)\n```$", (ROOT / "README.md").read_text())
    assert found, "README.md: no section '## Pass the tests' with a sh block of one line"
    *setup, run = found[1].split(" && ")
    assert setup
    assert run.split()[0].endswith("pytest")


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link of a document leads to a file of the project."""
    for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PACKAGE, ids=relative)
def test_a_module_is_short_and_well_named(path: Path) -> None:
    """No module is longer than 400 lines, tables of data aside, and none has a name that says nothing."""
    assert path.stem not in EMPTY_NAMES
    length = len(path.read_text().splitlines())
    assert length <= LONGEST or relative(path) in TABLES, f"{length} lines: split it by noun"


@pytest.mark.parametrize("path", PACKAGE, ids=relative)
def test_nothing_is_left_for_later(path: Path) -> None:
    """No module holds a note of something unfinished."""
    found = re.findall(r"\b(?:TODO|FIXME|XXX|HACK|NotImplementedError)\b|pragma: no cover", path.read_text())
    assert not found


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_every_test_says_what_holds(path: Path) -> None:
    """Every test begins with a sentence that says what holds."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            assert (ast.get_docstring(node) or "").rstrip().endswith("."), f"{node.name} has no sentence"


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_nothing_of_ours_is_faked(path: Path) -> None:
    """No test uses a mock library: the wire is faked, not the code."""
    imported = {alias.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"mock", "unittest.mock", "pytest_mock"}
