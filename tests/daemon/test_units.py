"""The units for systemd: what its own tools say of them, and what they promise."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from trialsync.daemon.process import DEADLINE
from trialsync.errors import SettingsError, StoreBusy, StoreDamaged
from trialsync.settings.secret import HEARTBEAT_CREDENTIAL

UNITS = Path(__file__).parent.parent.parent / "systemd"
SERVICES = ("trialsync.service", "trialsync-sync.service")
EXPOSURE = 2.0

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is in Debian's package systemd")


@needs_systemd
def test_the_units_are_verified(tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say of the three units, with a stand-in for the program that they start."""
    for unit in UNITS.iterdir():
        text, found = re.subn(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text())
        assert found == unit.name.endswith(".service")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(  # noqa: S603 - systemd's own tool
        ["systemd-analyze", "verify", *sorted(map(str, tmp_path.iterdir()))],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_a_service_is_hardened(unit: str) -> None:
    """``systemd-analyze security`` finds an exposure of at most 2.0."""
    done = subprocess.run(  # noqa: S603 - systemd's own tool
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / unit)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE


@pytest.mark.parametrize("unit", SERVICES)
def test_both_services_share_user_store_and_bounds(unit: str) -> None:
    """The daemon and the one-shot service are the same user with the same store, and are confined alike."""
    assert bounds(unit) == bounds(SERVICES[0])
    assert {"User", "DynamicUser", "StateDirectory", "SystemCallFilter", "ProtectSystem"} <= set(bounds(unit))


def bounds(unit: str) -> dict[str, str]:
    """Return what a service may do and who it is, without what it runs."""
    own = {"Type", "ExecStart", "ExecReload", "Restart", "RestartSec", "RestartPreventExitStatus", "SuccessExitStatus", "WatchdogSec"}
    own |= {"TimeoutStartSec", "LoadCredential", "SetCredential"}
    return {key: value for key, value in section(unit, "Service").items() if key not in own}


def section(unit: str, name: str) -> dict[str, str]:
    """Return a section of a unit; of a key that stands several times, all values."""
    found: dict[str, str] = {}
    inside = False
    for line in (UNITS / unit).read_text().splitlines():
        if line.startswith("["):
            inside = line == f"[{name}]"
        elif inside and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key] = f"{found[key]} {value}" if key in found else value
    return found


def test_the_daemon_is_watched_and_reloaded() -> None:
    """The daemon's unit waits for READY, has a watchdog, reloads by SIGHUP, and hands in the heartbeat's address as a credential."""
    service = section("trialsync.service", "Service")
    assert service["Type"] == "notify"
    assert service["WatchdogSec"]
    assert "-HUP $MAINPID" in service["ExecReload"]
    assert float(service["TimeoutStopSec"]) > DEADLINE + 5
    assert service["RestartPreventExitStatus"].split() == [str(SettingsError.exit_code), str(StoreDamaged.exit_code)]
    assert service["LoadCredential"].startswith(f"{HEARTBEAT_CREDENTIAL}:")
    assert service["SetCredential"].startswith(f"{HEARTBEAT_CREDENTIAL}:")


def test_the_daemon_and_the_timer_leave_each_other_alone() -> None:
    """Neither stops the other, and a run of the timer's service that finds the store held is no failure."""
    assert "Conflicts" not in "".join(each.read_text() for each in UNITS.iterdir())
    assert section("trialsync-sync.service", "Service")["SuccessExitStatus"] == str(StoreBusy.exit_code)


def test_the_timer_makes_up_for_missed_days() -> None:
    """The timer is persistent and spreads its hour."""
    timer = section("trialsync-sync.timer", "Timer")
    assert timer["Persistent"] == "true"
    assert timer["RandomizedDelaySec"]
