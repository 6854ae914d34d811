"""The OpenAPI document: schemathesis finds no fault with what it promises, and the parameters read what their schemas take."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import NonFatalError, ScenarioFinished
from visiting import NOW, PATIENT, settings_of

from trialsync.errors import TrialsyncError
from trialsync.web.api.operations import OF_A_STUDY
from trialsync.web.api.routes import OPERATIONS
from trialsync.web.api.values import BadValue
from trialsync.web.app import make_app

if TYPE_CHECKING:
    from visiting import Visitor

    from trialsync.web.api.parameters import Parameter

CONFIG = Path(__file__).parent / "schemathesis.toml"
DATES = ("7d", "12h", "2026-02-18", "2026-02-31", "2026-13-41", "2026-02-18T09:00Z", "2026-02-18T09:00:00.1+02:00", "9999-12-31")
NUMBERS = ("-1", "0", "1", "10000", "10001", "9223372036854775807", "\u0661")
ODD = ("", " ", *DATES, *NUMBERS, "nct07263919", "true", "True", "oldest", "a\n", "\x7f", "RECRUITING", "parkinson", "*", "x" * 201)

SUFFIXED = r"\.(json|jsonl|csv)$"
"""Addresses with a suffix are the same questions in another form."""


@pytest.mark.parametrize(
    ("phase", "examples", "seconds"),
    [("fuzzing", 6, 12), ("coverage", 1, 12)],
    ids=["what is generated", "every bound of every parameter"],
)
def test_no_answer_breaks_its_promise(packaged: Path, tmp_path: Path, phase: str, examples: int, seconds: int) -> None:
    """Whatever is asked, well formed or not, status, type, headers and body of the answer are those that the document promises."""
    app = make_app(packaged, settings_of(tmp_path, '[web]\nhosts = ["testserver"]'), now=lambda: NOW, limit_seconds=PATIENT)
    config = SchemathesisConfig.from_dict(
        tomllib.loads(CONFIG.read_text())
        | {
            "seed": 2026,
            "max-time": seconds,
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none", "deterministic": True},
            "phases": {each: {"enabled": each == phase} for each in ("examples", "coverage", "fuzzing", "stateful")},
        }
    )
    promised = schemathesis.openapi.from_asgi("/api/openapi.json", app, config=config).exclude(path_regex=SUFFIXED)
    faults, cases = [], 0
    for event in from_schema(promised).execute():
        if isinstance(event, ScenarioFinished):
            cases += len(event.recorder.cases)
            failed = [check for checks in event.recorder.checks.values() for check in checks if check.failure_info]
            faults += [f"{event.label}: {check.name}: {check.failure_info.failure}" for check in failed if check.failure_info]
        elif isinstance(event, NonFatalError):
            faults.append(f"{event.label}: {event.info.message}")
    assert not faults, "\n".join(faults)
    assert cases > 50


VALUES = {f"{operation.name} {each.name}": each for operation in OPERATIONS for each in (*operation.parameters, OF_A_STUDY)}


@pytest.mark.parametrize("parameter", VALUES.values(), ids=VALUES)
@given(text=st.text(max_size=12) | st.sampled_from(ODD))
@settings(max_examples=20)
def test_a_parameter_reads_what_its_schema_takes(parameter: Parameter, text: str) -> None:
    """The schema of a parameter's value and the code that reads it agree on every text, but for what no calendar has."""
    value = parameter.value
    meant = _meant(value.schema["type"], text)
    takes = meant is not None and jsonschema_rs.is_valid(value.schema, meant)
    try:
        value.read(parameter.name, text, NOW)
        reads = True
    except BadValue:
        reads = False
    except TrialsyncError:
        reads = True
    assert reads == takes


def _meant(kind: str, text: str) -> str | int | bool | None:
    """Return what a text of an address says, of a kind of JSON, or ``None``."""
    if kind == "integer":
        return int(text) if re.fullmatch("-?[0-9]+", text) else None
    return {"true": True, "false": False}.get(text) if kind == "boolean" else text


def test_the_document_is_the_whole_of_the_api(web: Visitor) -> None:
    """Every operation is in the document, at its address and at those with a suffix, and says of each status what it means."""
    document = web.json("/api/openapi.json")
    assert document["openapi"] == "3.1.0"
    for operation in OPERATIONS:
        paths = [operation.path, *(f"{operation.path}.{form.value}" for form in operation.forms if operation.row)]
        for path in paths:
            found = document["paths"][path]["get"]
            assert {"200", "304", "400", "404", "405", "406", "414", "421", "422", "500", "503"} <= set(found["responses"])
    names = [found["get"]["operationId"] for found in document["paths"].values()]
    assert len(names) == len(set(names))
