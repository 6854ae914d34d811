"""What every test may use: profiles for hypothesis, and the real records where they are at hand."""

from __future__ import annotations

import json
import lzma
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from visiting import Visitor, follow_the_packaged_loads, settings_of, visitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from trialsync.model import Study

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = ROOT.parent / "shared" / "registry"

# A shared machine is slow at times, which says nothing about the code; and CI must find today what it finds tomorrow.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@lru_cache(maxsize=1)
def _records() -> tuple[Study, ...]:
    latest: dict[str, Study] = {}
    with lzma.open(REGISTRY / "loads.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            latest[entry["nctId"]] = entry["study"]
    return tuple(latest.values())


@pytest.fixture(scope="session")
def registry_folder() -> Path:
    """Return the folder of the registry's specification and real records; skip where it is not beside the project."""
    if not REGISTRY.is_dir():
        pytest.skip(f"no real records at {REGISTRY}")
    return REGISTRY


@pytest.fixture(scope="session")
def records(registry_folder: Path) -> Callable[[], tuple[Study, ...]]:
    """Return a function that returns 602 real studies as of their last dated load, read once. They are shared: do not change them."""
    assert registry_folder
    return _records


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the store of the packaged loads, each polled on its day; it is shared: do not change it."""
    store = tmp_path_factory.mktemp("packaged") / "trialsync.db"
    follow_the_packaged_loads(store)
    return store


@pytest.fixture
def web(packaged: Path, tmp_path: Path) -> Visitor:
    """Return a visitor of the web application over the packaged loads' store, with settings that name nothing."""
    return visitor(packaged, settings_of(tmp_path))
