"""The settings of operation: health, backups, the heartbeat's secret; and the settings printed."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_house import switched_on

from trialsync.errors import SettingsError
from trialsync.settings import Settings, load, printed
from trialsync.settings.secret import Secret
from trialsync.settings.sections import Document, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "trialsync.toml"
ADDRESS = "https://beat.example/s3cr3t-token"


def read(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Return what a settings file with this text, written to the folder, says."""
    (folder / NAME).write_text(text, encoding="utf-8")
    return load(folder / NAME, environ or {}, folder)


def fault(folder: Path, text: str) -> str:
    """Return the one line of the error for a settings file with this text."""
    with pytest.raises(SettingsError) as caught:
        read(folder, text)
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"{NAME}: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[health]\noverdue = '1h'", "health.overdue: is not known; did you mean overdue_after?"),
        ("[health]\noverdue_after = 26", "health.overdue_after: must be a whole number above 0 and a unit"),
        ("[backup]\nkeep = 3", "backup.dir: is missing"),
        ("[backup]\ndir = 'b'\nkeep = 0", "backup.keep: must be 1 or more, not 0"),
        ("[backup]\ndir = 'b'\nat = '24:00'", 'backup.at: must be a time of day as text, such as "02:30"; it is "24:00"'),
        ("[backup]\ndir = 'b'\nat = 2", "backup.at: must be a time of day"),
        ("[backup]\ndir = 'b'\ntimezone = 'Mars'", "backup.timezone: must be an IANA time zone"),
        ("[backup]\ndir = 'b'\nkeeps = 1", "backup.keeps: is not known; did you mean keep?"),
        ("[backups]\ndir = 'b'", "backups: is not known; did you mean backup?"),
        ("keep = 1", "keep: is not known here; did you mean backup.keep?"),
        ("[heartbeat]\nfile = 'x'", "heartbeat.file: is not known; did you mean url_file?"),
        ("[heart_beat]\nurl_file = 'x'", "heart_beat: is not known; did you mean heartbeat?"),
    ],
)
def test_a_wrong_key_of_operation_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Wrong keys and values of the sections of operation are named to the key, with the one that was probably meant."""
    assert fault(tmp_path, text).startswith(said)


def test_the_address_itself_is_refused_and_not_repeated(tmp_path: Path) -> None:
    """``[heartbeat] url`` is refused with where it belongs, and its value is not printed."""
    said = fault(tmp_path, f"[heartbeat]\nurl = '{ADDRESS}'")
    assert said.startswith("heartbeat.url: is a secret, which this file must not hold")
    assert "url_file" in said
    assert "$TRIALSYNC_HEARTBEAT_URL" in said
    assert "s3cr3t" not in said


def test_defaults_of_operation(tmp_path: Path) -> None:
    """Without a word health has its 26 hours, and there is neither backup nor heartbeat; a backup has its night and a week of copies."""
    bare = read(tmp_path, "")
    assert (bare.health.overdue_after, bare.backup, bare.heartbeat) == (timedelta(hours=26), None, None)
    backup = read(tmp_path, "[backup]\ndir = 'copies'").backup
    assert backup is not None
    assert (backup.dir, backup.keep, backup.at, backup.timezone) == (tmp_path / "copies", 7, time(2, 30), "UTC")
    native = read(tmp_path, "[backup]\ndir = 'copies'\nat = 23:05:00").backup
    assert native is not None
    assert native.at == time(23, 5)


def test_where_the_heartbeat_comes_from(tmp_path: Path) -> None:
    """The variable wins over the file that the settings name, and that over systemd's credential; each is read when it is needed."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "heartbeat-url").write_text("https://beat.example/credential")
    (tmp_path / "url").write_text(f"  {ADDRESS}\n")
    text = "[heartbeat]\nurl_file = 'url'"
    passed = {"CREDENTIALS_DIRECTORY": str(credentials)}
    from_variable = read(tmp_path, text, {**passed, "TRIALSYNC_HEARTBEAT_URL": "https://beat.example/variable"}).heartbeat
    from_file = read(tmp_path, text, passed).heartbeat
    from_credential = read(tmp_path, "", passed).heartbeat
    assert from_variable is not None
    assert from_file is not None
    assert from_credential is not None
    found = (from_variable.url(), from_file.url(), from_credential.url())
    assert found == ("https://beat.example/variable", ADDRESS, "https://beat.example/credential")
    (tmp_path / "url").write_text("http://changed.example")
    assert from_file.url() == "http://changed.example"
    assert read(tmp_path, "", {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}).heartbeat is None


@pytest.mark.parametrize(
    "content", [b"", b"s3cr3t", b"ftp://s3cr3t.example", b"https://s3cr3t.example/a b", b"https://s3cr3t.example:99999", b"\xff"]
)
def test_a_heartbeat_that_is_no_address_is_not_repeated(tmp_path: Path, content: bytes) -> None:
    """What is no single address is refused by where it stands, without printing it; so is a file that is not there."""
    (tmp_path / "url").write_bytes(content)
    secret = read(tmp_path, "[heartbeat]\nurl_file = 'url'").heartbeat
    assert secret is not None
    with pytest.raises(SettingsError) as caught:
        secret.url()
    assert "heartbeat.url_file: does not hold one address" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    (tmp_path / "url").unlink()
    with pytest.raises(SettingsError, match=r"heartbeat\.url_file: .*url cannot be read: No such file"):
        secret.url()


def test_a_secret_is_in_no_representation() -> None:
    """Neither the settings' representation nor an f-string shows a secret."""
    assert "s3cr3t" not in repr(Secret("$TRIALSYNC_HEARTBEAT_URL", text=ADDRESS))
    assert "s3cr3t" not in f"{Secret('$TRIALSYNC_HEARTBEAT_URL', text=ADDRESS)}"


@pytest.mark.parametrize(
    ("text", "moment", "due"),
    [
        ("every = '1h'", "2026-02-06T18:20:00+00:00", "2026-02-06T19:20:00+00:00"),
        ("every = '7d'", "2026-02-06T18:20:00+00:00", "2026-02-13T18:20:00+00:00"),
        ("cron = '15 9-18 * * mon-fri'", "2026-02-06T18:20:00+00:00", "2026-02-09T09:15:00+00:00"),
        ("cron = '15 9-18 * * mon-fri'", "2026-02-06T09:15:00+00:00", "2026-02-06T10:15:00+00:00"),
        ("cron = '30 2 * * *'\ntimezone = 'Europe/Berlin'", "2026-03-28T12:00:00+00:00", "2026-03-29T01:30:00+00:00"),
        ("cron = '0 4 * * sat'\ntimezone = 'America/New_York'", "2026-02-06T18:20:00+00:00", "2026-02-07T09:00:00+00:00"),
    ],
)
def test_when_a_schedule_is_due(text: str, moment: str, due: str) -> None:
    """An interval is due its length after a poll, a cron line at its next time in its own zone, days without a 02:30 included."""
    schedule = Schedule.model_validate(tomllib.loads(text))
    found = schedule.due_after(datetime.fromisoformat(moment))
    assert found == datetime.fromisoformat(due)
    assert found.utcoffset() == timedelta()


def test_when_the_file_was_written(tmp_path: Path) -> None:
    """The settings know when their file was last written; without a file there is no such instant."""
    written = read(tmp_path, "").written
    assert written is not None
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=5)
    assert load(None, {}, tmp_path, system=Path("/nonexistent")).written is None


# Printed


def test_what_is_printed_reads_the_same(tmp_path: Path) -> None:
    """Everything that the example can say, printed and read again from another folder, gives the same settings."""
    before = read(tmp_path, switched_on())
    text = printed(before)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    after = read(elsewhere, text)
    for name in Document.model_fields:
        if name not in {"watch", "heartbeat"}:
            assert getattr(after, name) == getattr(before, name), name
    assert [table.model_dump() for table in after.tables] == [table.model_dump() for table in before.tables]
    assert after.heartbeat is not None
    assert before.heartbeat is not None
    assert after.heartbeat.file == before.heartbeat.file
    assert printed(after).splitlines()[1:] == text.splitlines()[1:]


def test_where_each_setting_comes_from(tmp_path: Path) -> None:
    """Each line ends with the file, the default or the variable that decided it; a secret is not shown."""
    environ = {"TRIALSYNC_DATABASE": "/elsewhere/t.db", "TRIALSYNC_HEARTBEAT_URL": ADDRESS}
    lines = printed(read(tmp_path, '[store]\nbaseline = "all"\n[web]\n', environ)).splitlines()
    assert 'path = "/elsewhere/t.db"  # $TRIALSYNC_DATABASE' in lines
    assert 'baseline = "all"  # file' in lines
    assert "port = 8377  # default" in lines
    assert 'every = "1h"  # default' in lines
    assert "# the address is a secret, not shown  # $TRIALSYNC_HEARTBEAT_URL" in lines
    assert not [line for line in lines if "s3cr3t" in line]


@pytest.mark.parametrize("schedule", ['every = "1h"', 'every = "15s"', 'every = "1h"\njitter = "0s"', 'cron = "0 4 * * *"\njitter = "90m"'])
def test_every_schedule_is_printed_as_it_can_be_read(tmp_path: Path, schedule: str) -> None:
    """Intervals, jitter of none and a default of half a second included, are the same again when what was printed is read."""
    before = read(tmp_path, f"[schedule]\n{schedule}")
    assert read(tmp_path, printed(before)).schedule == before.schedule


def test_a_level_that_nobody_set_stays_unset(tmp_path: Path) -> None:
    """The level of log lines means something else where nobody set it, so that what is printed does not set it."""
    text = printed(read(tmp_path, ""))
    assert '#level = "info"  # default' in text
    assert "level" not in read(tmp_path, text).log.model_fields_set


def test_hostile_text_is_printed_as_toml(tmp_path: Path) -> None:
    """Quotes, line ends and control characters in a value can't break what is printed."""
    before = read(tmp_path, '[site]\nnote = "a\\"b\\nc\\u001b[31m # d"\n[[watch]]\nname = "a"\nquery.cond = "x\\ty]"')
    after = read(tmp_path, printed(before))
    assert after.site.note == before.site.note
    assert after.tables[0].query.cond == before.tables[0].query.cond
    assert all(line.isprintable() for line in printed(before).splitlines())
