"""The settings: found where they should be, checked to the key, and written so that they can be read again."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trialsync.errors import SettingsError
from trialsync.model import STATUSES, Watch
from trialsync.settings import ENVIRONMENT, Settings, load, place, starter

if TYPE_CHECKING:
    from collections.abc import Mapping

NOWHERE = Path("/nonexistent")
NAME = "trialsync.toml"


def read(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Return what a settings file with this text, written to the folder, says."""
    path = folder / NAME
    path.write_text(text, encoding="utf-8")
    return load(Path(NAME), environ or {}, folder, system=NOWHERE)


def faults(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the lines of the error for a settings file with this text."""
    with pytest.raises(SettingsError) as caught:
        read(folder, text, environ)
    return str(caught.value).splitlines()


def watches(settings: Settings) -> tuple[Watch, ...]:
    """Return the watches of settings that name no file of NCT numbers."""
    return settings.watches(lambda path: pytest.fail(f"{path} was read"))


# Where they are found


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    """With no file at all the store is ``trialsync.db`` in the working directory, which nobody named, and nothing is followed."""
    settings = load(None, {}, tmp_path, system=NOWHERE)
    assert settings.source is None
    assert not settings.store_named
    assert settings.store.path == tmp_path / "trialsync.db"
    assert settings.store.baseline == "core"
    assert settings.registry.api_url == "https://clinicaltrials.gov/api/v2"
    assert settings.registry.requests_per_second == 1
    assert settings.schedule.every == timedelta(hours=1)
    assert settings.web is None
    assert watches(settings) == ()


def test_the_first_place_wins(tmp_path: Path) -> None:
    """The option wins over the variable, that over ./config, and that over the system's folder."""
    system, here = tmp_path / "etc", tmp_path / "here"
    usual, general = here / "config" / NAME, system / "trialsync" / NAME
    for path in (usual, general):
        path.parent.mkdir(parents=True)
    here.joinpath("a.toml").touch()
    environ = {"TRIALSYNC_CONFIG": "b.toml"}
    assert place(Path("a.toml"), environ, here, system=system) == here / "a.toml"
    assert place(None, environ, here, system=system) == here / "b.toml"
    assert place(None, {"TRIALSYNC_CONFIG": ""}, here, system=system) is None
    general.touch()
    assert place(None, {}, here, system=system) == general
    usual.touch()
    assert place(None, {}, here, system=system) == usual


@pytest.mark.parametrize(("config", "environ"), [(Path("gone.toml"), {}), (None, {"TRIALSYNC_CONFIG": "gone.toml"})])
def test_a_named_file_has_to_be_there(tmp_path: Path, config: Path | None, environ: dict[str, str]) -> None:
    """A file that the option or the variable names is never passed over, although another one could be found."""
    tmp_path.joinpath("config").mkdir()
    tmp_path.joinpath("config", NAME).touch()
    with pytest.raises(SettingsError, match=r"^gone\.toml: there is no such settings file \(trialsync init makes one\)$"):
        load(config, environ, tmp_path, system=NOWHERE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[store\n", "trialsync.toml: is not TOML: Expected ']' at the end of a table declaration (at line 1, column 7)"),
        (b"[log]\nlevel = 'caf\xe9'\n", "trialsync.toml: is not UTF-8 text (line 2) (save it as UTF-8)"),
        (b"a = " + b"[" * 100_000, "trialsync.toml: is not TOML: "),
        (b"a = " + b"9" * 10_000, "trialsync.toml: is not TOML: "),
    ],
)
def test_what_is_not_toml_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """A broken file is named with the line where it breaks."""
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        load(Path(NAME), {}, tmp_path, system=NOWHERE)
    assert str(caught.value).startswith(said)


def test_a_folder_is_no_settings_file(tmp_path: Path) -> None:
    """A folder in the file's place is an error that names it."""
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load(tmp_path, {}, tmp_path.parent, system=NOWHERE)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    """A file that an editor began with a byte order mark is read."""
    (tmp_path / NAME).write_text("[log]\nlevel = 'debug'\n", encoding="utf-8-sig")
    assert load(Path(NAME), {}, tmp_path, system=NOWHERE).log.level == "debug"


# Paths and variables


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Relative paths begin at the settings file wherever the command runs, and ``~/`` at the home folder."""
    folder = tmp_path / "settings"
    folder.mkdir()
    (folder / NAME).write_text('[store]\npath = "data/t.db"\n[[watch]]\nname = "a"\nnct_ids_file = "~/ids.csv"\n')
    settings = load(folder / NAME, {"HOME": "/home/someone"}, tmp_path, system=NOWHERE)
    assert settings.store.path == folder / "data" / "t.db"
    assert settings.tables[0].nct_ids_file == Path("/home/someone/ids.csv")


def test_the_environment_overrides(tmp_path: Path) -> None:
    """Variables win over the file; a path in one is relative to the working directory, and an empty one counts as not set."""
    text = '[store]\npath = "file.db"\nbaseline = "all"\n[registry]\ncontact = "a@example.org"\n'
    environ = {
        "TRIALSYNC_DATABASE": "sub/env.db",
        "TRIALSYNC_API_URL": "http://127.0.0.1:8000/api/v2/",
        "TRIALSYNC_LOG_LEVEL": "debug",
        "TRIALSYNC_LOG_FORMAT": "",
    }
    settings = read(tmp_path, text, environ)
    assert settings.store.path == tmp_path / "sub" / "env.db"
    assert settings.store.baseline == "all"
    assert settings.registry.api_url == "http://127.0.0.1:8000/api/v2"
    assert settings.registry.contact == "a@example.org"
    assert (settings.log.level, settings.log.format) == ("debug", "auto")


@pytest.mark.parametrize(("text", "environ"), [("", {}), ("[store]\npath = 'x.db'", {}), (None, {"TRIALSYNC_DATABASE": "x.db"})])
def test_a_store_that_was_decided_on_is_named(tmp_path: Path, text: str | None, environ: dict[str, str]) -> None:
    """Whoever has a settings file, or the variable, has decided where the store is: its loss must not look like a first time."""
    assert (load(None, environ, tmp_path, system=NOWHERE) if text is None else read(tmp_path, text, environ)).store_named


def test_a_bad_variable_is_named(tmp_path: Path) -> None:
    """A variable that cannot be used is told by its own name, beside the faults of the file."""
    assert faults(tmp_path, "[log]\nlevel = 'loud'\n", dict.fromkeys(ENVIRONMENT, "\x1b")) == [
        'trialsync.toml: log.level: must be "debug", "info", "warning" or "error", not "loud"',
        '$TRIALSYNC_API_URL: must be an address such as "https://clinicaltrials.gov/api/v2", without "?" and "#"; it is "\\u001b"',
        '$TRIALSYNC_LOG_LEVEL: must be "debug", "info", "warning" or "error", not "\\u001b"',
        '$TRIALSYNC_LOG_FORMAT: must be "auto", "console" or "json", not "\\u001b"',
    ]


# What is refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stor = 1", "stor: is not known; did you mean store?"),
        ("api_url = 'https://x.org'", "api_url: is not known here; did you mean registry.api_url?"),
        ("[site]\nzzz = 1", "site.zzz: is not known; known here: base_url, note, baseline"),
        (
            '"a\\u001bb" = 1',
            '"a\\u001bb": is not known; known here: store, registry, schedule, sync, watch, web, site, log, health, backup, heartbeat',
        ),
        ("[store]\npath = 3", "store.path: must be a path as text; it is 3"),
        ("[store]\npath = ''", "store.path: must be a path, not an empty text or one with a NUL"),
        ("store = 3", "store: must be a table, not 3"),
        ("[store]\nbaseline = 'cor'", 'store.baseline: must be "core", "all" or "none", not "cor"'),
        ("[registry]\nrequests_per_second = -1", "registry.requests_per_second: must be more than 0, not -1"),
        ("[registry]\nrequests_per_second = 0", "registry.requests_per_second: must be more than 0, not 0"),
        ("[registry]\nrequests_per_second = true", "registry.requests_per_second: must be a number, not true"),
        ("[registry]\nrequests_per_second = '1'", 'registry.requests_per_second: must be a number, not "1"'),
        ("[registry]\nrequests_per_second = nan", "registry.requests_per_second: must be a number, not NaN"),
        ("[registry]\ncontact = 'a\\r'", "registry.contact: is sent in the User-Agent: plain ASCII"),
        ("[registry]\ncontact = 'M\u00fcller'", "registry.contact: is sent in the User-Agent: plain ASCII"),
        ("[registry]\napi_url = 'ftp://x'", "registry.api_url: must be an address such as"),
        ("[registry]\napi_url = 'https:///x'", "registry.api_url: must be an address such as"),
        ("[registry]\napi_url = 'https://x:99999'", "registry.api_url: must be an address such as"),
        ("[registry]\napi_url = 'https://x/?a=1'", "registry.api_url: must be an address such as"),
        (
            "[schedule]\nevery = 60",
            'schedule.every: must be a whole number above 0 and a unit as text, such as "90s", "30m", "1h" or "7d"; it is 60',
        ),
        ("[schedule]\nevery = '0h'", "schedule.every: must be a whole number above 0"),
        ("[schedule]\nevery = '1h'\ncron = '0 0 * * *'", "schedule.every: must not stand beside cron: take one of the two"),
        ("[schedule]\ntimezone = 'Europe/Berlin'", "schedule.timezone: goes with cron alone"),
        (
            "[schedule]\ncron = '0 0 * * *'\ntimezone = 'Mars/Base'",
            'schedule.timezone: must be an IANA time zone such as "America/New_York"; it is',
        ),
        ("[schedule]\ncron = '0 0 * * *'\ntimezone = 'Europe'", "schedule.timezone: must be an IANA time zone"),
        ("[schedule]\ncron = '0 0 * * *'\ntimezone = '../x'", "schedule.timezone: must be an IANA time zone"),
        ("[schedule]\ncron = '@daily'", "schedule.cron: must be five fields"),
        ("[schedule]\ncron = '61 * * * *'", "schedule.cron: is not a schedule: "),
        ("[schedule]\ncron = '0 0 * * 1-5'", 'schedule.cron: must name the days of the week ("mon-fri")'),
        ("[schedule]\ncron = '0 0 31 2 *'", "schedule.cron: is a date that never comes"),
        ("[sync]\nsweep_days = 0", "sync.sweep_days: must be 1 or more, not 0"),
        ("[sync]\nincremental_above = 1.5", "sync.incremental_above: must be a whole number, not 1.5"),
        ("[web]\nport = 65536", "web.port: must be 65535 or less, not 65536"),
        ("[web]\nhost = ''", "web.host: must not be empty"),
        ("[site]\nbaseline = 'no'", 'site.baseline: must be true or false, not "no"'),
        ("[site]\nnote = 2026-01-01", "site.note: must be text, not a date or a time"),
        ("[watch]\nname = 'a'", "watch: must stand in double brackets: [[watch]]"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Each fault names the file, the dotted key, what was expected and what is there."""
    lines = faults(tmp_path, text)
    assert len(lines) == 1
    assert lines[0].startswith(f"trialsync.toml: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("everything = true", "watch number 1: name: is missing"),
        ("name = 3\neverything = true", "watch number 1: name: must be text, not 3"),
        ("name = 'A b'\neverything = true", 'watch "A b": name: must be up to 64 of a-z'),
        (f"name = '{'a' * 65}'\neverything = true", f'watch "{"a" * 65}": name: must be up to 64 of a-z'),
        ("name = 'nct00000001'\neverything = true", 'watch "nct00000001": name: must not be an NCT number'),
        ("name = 'a'", 'watch "a": follows nothing: give it query, filter, nct_ids or nct_ids_file, or everything = true'),
        ("name = 'a'\neverything = false", 'watch "a": follows nothing'),
        ("name = 'a'\nquery = {}", 'watch "a": follows nothing'),
        ("name = 'a'\neverything = true\nnct_ids = ['NCT00000001']", 'watch "a": has nct_ids and everything: take one'),
        ("name = 'a'\nnct_ids = ['NCT00000001']\nquery.cond = 'x'", 'watch "a": has a query and nct_ids: take one'),
        ("name = 'a'\nnct_ids = ['NCT00000001']\nnct_ids_file = 'x'", 'watch "a": has nct_ids and nct_ids_file: take one'),
        ("name = 'a'\nwas = 'a'\neverything = true", 'watch "a": was: is the name that it has; leave it out'),
        ("name = 'a'\nwas = 'A!'\neverything = true", 'watch "a": was: must be up to 64 of a-z'),
        ("name = 'a'\nnct_ids = []", 'watch "a": nct_ids: must hold at least one NCT number'),
        ("name = 'a'\nnct_ids = 'NCT00000001'", 'watch "a": nct_ids: must be a list, not "NCT00000001"'),
        ("name = 'a'\nnct_ids = ['NCT00000001', 'NTC2']", "watch \"a\": nct_ids: 'NTC2' is not an NCT number"),
        ("name = 'a'\nquery.condition = 'x'", 'watch "a": query.condition: is not known; did you mean cond?'),
        ("name = 'a'\nfilter.overall_status = 'x'", 'watch "a": filter.overall_status: is not known; did you mean overallStatus?'),
        ("name = 'a'\nqueries.cond = 'x'", 'watch "a": queries: is not known; did you mean query?'),
        ("name = 'a'\nfilter.overallStatus = []", 'watch "a": filter.overallStatus: must not be empty'),
        ("name = 'a'\nquery.cond = ' '", 'watch "a": query.cond: must not be empty'),
        (
            "name = 'a'\nquery.cond = 1.5",
            'watch "a": query.cond: must be text, a whole number, true or false, or a list of texts; it is 1.5',
        ),
        ("name = 'a'\nquery.cond = ['x', 1]", 'watch "a": query.cond: must be text, a whole number, true or false, or a list of texts'),
        ("name = 'a'\nfilter.geo = ['x', 'y']", 'watch "a": filter.geo: must be one text, not a list'),
        ("name = 'a'\nquery.cond = 'x'\ngeoDecay = 'y'", 'watch "a": geoDecay: means nothing without filter.geo'),
        (
            "name = 'a'\nquery.term = 'NCT00000001, nct00000002'\nfilter.overallStatus = 'RECRUITING'",
            'watch "a": query.term: holds NCT numbers alone, for which the registry ignores the rest of the query: use nct_ids',
        ),
        ("name = 'a'\neverything = true\nschedule.every = '1x'", 'watch "a": schedule.every: must be a whole number above 0'),
        ("name = 'a'\neverything = true\nschedule.evry = '1h'", 'watch "a": schedule.evry: is not known; did you mean every?'),
    ],
)
def test_a_wrong_watch_is_named(tmp_path: Path, text: str, said: str) -> None:
    """A fault of a watch names the watch and the key in it; parts that cannot work together are told as well."""
    lines = faults(tmp_path, f"[[watch]]\n{text}\n")
    assert len(lines) == 1
    assert lines[0].startswith(f"trialsync.toml: {said}")


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """One reading tells every fault, a doubled watch name beside wrong keys of the same watches."""
    lines = faults(tmp_path, "[log]\nlevel = 1\n[sync]\nsweep = 1\n[[watch]]\nname = 'a'\n[[watch]]\nname = 'a'\neverything = 1\n")
    assert [line.split(": ", 1)[1] for line in lines] == [
        'watch "a": name: 2 watches have this name; each needs its own',
        "sync.sweep: is not known; did you mean sweep_days?",
        'watch "a": follows nothing: give it query, filter, nct_ids or nct_ids_file, or everything = true for the whole registry',
        'watch "a": everything: must be true or false, not 1',
        'log.level: must be "debug", "info", "warning" or "error", not 1',
    ]


def test_one_name_goes_on_once(tmp_path: Path) -> None:
    """Two watches that were the same one are refused: only one can take over what it saw."""
    assert faults(tmp_path, "".join(f"[[watch]]\nname = '{name}'\nwas = 'z'\neverything = true\n" for name in "ab")) == [
        'trialsync.toml: watch "z": was: 2 watches had this name; only one can go on with it'
    ]


def test_a_doubled_name_alone_is_refused(tmp_path: Path) -> None:
    """Two sound watches of one name are refused."""
    assert faults(tmp_path, "[[watch]]\nname = 'a'\neverything = true\n" * 2) == [
        'trialsync.toml: watch "a": name: 2 watches have this name; each needs its own'
    ]


@pytest.mark.parametrize("key", ["registry.api_url", "site.base_url"])
def test_a_password_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    """An address with a password is refused without printing it."""
    assert faults(tmp_path, f"{key} = 'https://me:hunter2@x.org'") == [
        f"trialsync.toml: {key}: holds a name or a password, and secrets do not belong into settings"
    ]


# What is read


def test_a_query_becomes_the_parameters_of_the_api(tmp_path: Path) -> None:
    """Each key of a watch becomes the API's parameter of that name, with its values as texts, in the specification's order."""
    text = """
    [[watch]]
    name = "a"
    filter = { overallStatus = ["RECRUITING", "COMPLETED"], geo = "distance(1,2,3km)" }
    query = { term = 42, cond = ["x", "y"], id = true }
    aggFilters = "phase:2"
    geoDecay = "func:exp"
    """
    (watch,) = watches(read(tmp_path, text))
    assert dict(watch.query) == {
        "query.cond": ("x", "y"),
        "query.term": ("42",),
        "query.id": ("true",),
        "filter.overallStatus": ("RECRUITING", "COMPLETED"),
        "filter.geo": ("distance(1,2,3km)",),
        "aggFilters": ("phase:2",),
        "geoDecay": ("func:exp",),
    }


def test_nct_numbers_get_their_one_spelling(tmp_path: Path) -> None:
    """NCT numbers are brought to one spelling, and one that stands twice is followed once."""
    (watch,) = watches(read(tmp_path, "[[watch]]\nname = 'a'\nnct_ids = ['nct07263919', 'NCT00000001', 'NCT07263919']"))
    assert watch == Watch("a", nct_ids=("NCT07263919", "NCT00000001"))


def test_a_file_of_nct_numbers_is_read_when_asked(tmp_path: Path) -> None:
    """A file of NCT numbers is read each time the watches are asked for, not when the settings are."""
    settings = read(tmp_path, "[[watch]]\nname = 'a'\nnct_ids_file = 'ids.csv'")
    with pytest.raises(SettingsError, match=r'watch "a": nct_ids_file: .*ids\.csv cannot be read: No such file'):
        settings.watches(lambda path: tuple(path.read_text().split()))
    (tmp_path / "ids.csv").write_text("NCT00000002 NCT00000001 NCT00000002")
    assert settings.watches(lambda path: tuple(path.read_text().split())) == (Watch("a", nct_ids=("NCT00000002", "NCT00000001")),)
    (tmp_path / "ids.csv").write_text("")
    with pytest.raises(SettingsError, match=r'watch "a": nct_ids_file: .*ids\.csv holds no NCT number'):
        settings.watches(lambda path: tuple(path.read_text().split()))


@pytest.mark.parametrize(
    ("text", "every", "cron", "timezone"),
    [
        ("", timedelta(hours=1), None, None),
        ("every = '90s'", timedelta(seconds=90), None, None),
        ("every = '7d'", timedelta(days=7), None, None),
        ("cron = '15 9-18 * * mon-fri'", None, "15 9-18 * * mon-fri", "UTC"),
        ("cron = '0  0 * *  *'\ntimezone = 'America/New_York'", None, "0 0 * * *", "America/New_York"),
    ],
)
def test_a_schedule_is_an_interval_or_a_cron_line(
    tmp_path: Path, text: str, every: timedelta | None, cron: str | None, timezone: str | None
) -> None:
    """A schedule has an interval, one hour by default, or a cron line with its time zone, UTC by default."""
    schedule = read(tmp_path, f"[schedule]\n{text}").schedule
    assert (schedule.every, schedule.cron, schedule.timezone) == (every, cron, timezone)


# What init writes

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
several = st.lists(texts, min_size=1, max_size=3).map(tuple)
statuses = st.lists(st.sampled_from(STATUSES), min_size=1, max_size=3).map(tuple)
queries = st.fixed_dictionaries(
    {}, optional={"query.cond": several, "query.term": several, "filter.overallStatus": statuses, "aggFilters": several}
).filter(bool)
ids = st.lists(st.integers(1, 99_999_999).map("NCT{:08d}".format), min_size=1, max_size=40, unique=True).map(tuple)
some_watches = st.one_of(
    st.builds(Watch, st.just("a"), query=queries), st.builds(Watch, st.just("b"), nct_ids=ids), st.just(Watch("c", everything=True))
)


@given(st.lists(some_watches, max_size=3, unique_by=lambda watch: watch.name), texts.filter(lambda text: "\0" not in text))
def test_a_first_file_says_what_it_was_given(tmp_path_factory: pytest.TempPathFactory, given_watches: list[Watch], database: str) -> None:
    """What ``init`` writes reads back as the same watches and the same path, whatever characters are in them."""
    text = starter(given_watches, database=database, contact="me@example.org")
    assert tomllib.loads(text)["store"]["path"] == database
    assert all(line.isprintable() for line in text.split("\n"))
    settings = read(tmp_path_factory.getbasetemp(), text)
    assert watches(settings) == tuple(Watch(one.name, dict(one.query), one.nct_ids, one.everything) for one in given_watches)
    assert settings.registry.contact == "me@example.org"


def test_a_status_that_there_is_not_is_named_with_the_other_faults(tmp_path: Path) -> None:
    """A wrong status is told in the same round as any other fault, with the nearest that there is."""
    text = '[[watch]]\nname = "a"\nfilter.overallStatus = ["RECRUITING|COMPLETED", "recrutting"]\n[sync]\nsweep_days = 0\n'
    found = faults(tmp_path, text)
    assert len(found) == 2
    assert "watch \"a\": filter.overallStatus: 'recrutting' is not a status of the registry; did you mean RECRUITING?" in " ".join(found)
    assert "one of ACTIVE_NOT_RECRUITING, " in faults(tmp_path, '[[watch]]\nname = "a"\nfilter.overallStatus = "xyz"\n')[0]


def test_a_schedule_that_says_nothing(tmp_path: Path) -> None:
    """A watch's own schedule that is empty is refused: nobody could tell whether it means that of all."""
    (found,) = faults(tmp_path, '[[watch]]\nname = "a"\nnct_ids = ["NCT00000001"]\nschedule = { }\n')
    assert "schedule: says nothing: give it every or cron" in found


def test_a_first_file_is_pleasant_to_read() -> None:
    """A first file is short and commented, names the contact that is missing, and wraps a long list."""
    numbers = tuple(f"NCT{number:08d}" for number in range(1, 16))
    text = starter([Watch("mine", nct_ids=numbers), Watch("pd", {"query.cond": ('the "shaking" palsy',)})], database="t.db", contact=None)
    expected = """\
# What trialsync follows, and where it keeps what it has seen. Paths are relative to this file.

[store]
path = "t.db"

[registry]
requests_per_second = 1.0
# Who asks, sent to the registry in the User-Agent:
# contact = "you@example.org"

[[watch]]
name = "mine"
nct_ids = [
    "NCT00000001", "NCT00000002", "NCT00000003", "NCT00000004", "NCT00000005", "NCT00000006",
    "NCT00000007", "NCT00000008", "NCT00000009", "NCT00000010", "NCT00000011", "NCT00000012",
    "NCT00000013", "NCT00000014", "NCT00000015",
]

[[watch]]
name = "pd"
query.cond = "the \\"shaking\\" palsy"
"""
    assert text == expected


@pytest.mark.parametrize(
    ("watch", "said"),
    [
        (Watch("a"), 'watch "a": follows nothing'),
        (Watch("A", everything=True), 'watch "A": name: must be up to 64'),
        (Watch("a", {"sort": ("x",)}), 'watch "a": sort: is not known'),
        (Watch("a", {"query.cond": ("\udc80",)}), '"\\udc80" is not text that a settings file'),
    ],
)
def test_a_first_file_that_could_not_be_read_is_not_written(watch: Watch, said: str) -> None:
    """What the settings would refuse is refused before it is written."""
    with pytest.raises(SettingsError) as caught:
        starter([watch], database="t.db", contact=None)
    assert said in str(caught.value)
