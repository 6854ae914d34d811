"""``trialsync init``: the first settings and the store."""

from __future__ import annotations

import os
from pathlib import Path

import click

from trialsync import settings
from trialsync.cli.app import App, invoked_as, say
from trialsync.errors import FileError, SettingsError, UsageError
from trialsync.model import Watch
from trialsync.registry import address, query
from trialsync.registry.numbers import mistyped_in, nct_ids_in
from trialsync.store import schema

_DEFAULT = Path("config") / "trialsync.toml"
_EVERYTHING = "the-whole-registry"
_DOWNLOAD = "https://clinicaltrials.gov/api/v2/studies/download?format=json.zip"
_BESIDE = Path("..") / "trialsync.db"


@click.command()
@click.argument("search_url", required=False)
@click.option(
    "--ids", "ids_file", type=click.Path(path_type=Path), metavar="FILE", help="Follow every study whose NCT number a text file holds."
)
@click.option("--everything", is_flag=True, help="Follow the whole registry, of more than 600,000 studies.")
@click.option("--name", metavar="NAME", help="The watch's name; without it one is made from the search.")
@click.option("--contact", metavar="ADDRESS", help="Who asks, sent to the registry in the User-Agent.")
@click.pass_obj
def init(app: App, search_url: str | None, *, ids_file: Path | None, everything: bool, name: str | None, contact: str | None) -> int:
    """Write the settings and make the store; where settings stand already, make the store alone.

    Without anything to follow it makes the store that TRIALSYNC_DATABASE names, for trialsync import.

    SEARCH_URL is an address pasted from ClinicalTrials.gov after a search; quote it.

    \b
      trialsync init 'https://clinicaltrials.gov/search?cond=Parkinson%20Disease&aggFilters=status:rec'
      trialsync init --ids included.csv
      trialsync init --everything
    """
    place = settings.place(app.config, os.environ, Path.cwd())
    given = [what for what, is_given in (("an address", search_url), ("--ids", ids_file), ("--everything", everything)) if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} together make several watches", hint="give one, and add the others to the settings file")
    watches = [Watch(name or _EVERYTHING, everything=True)] if everything else _watches(search_url, ids_file, name)
    if place is not None and place.exists():
        _ = app.settings  # settings that can't be read are an error before anything is said of them
        say(f"{_shown(place)} stands")
        _make_store(app)
        if watches:
            text = settings.starter(watches, database="trialsync.db", contact=None)
            say("it was left as it is; to follow this too, add to it:", "", text[text.index("[[watch]]") :].rstrip())
            return 0
        _, code = followed(app)
        _say_what_next(app.config)
        return code
    if not watches and place is None and app.settings.store_named:
        # The environment names the store: enough for an import, which follows nothing.
        _make_store(app)
        return 0
    if not watches:
        raise UsageError(
            "init needs something to follow",
            hint="paste a search address of ClinicalTrials.gov in quotes, or give --ids FILE, or --everything for the whole registry",
        )
    target = place or Path.cwd() / _DEFAULT
    database = str(_BESIDE if target.parent.name == _DEFAULT.parent.name else _BESIDE.name)
    text = settings.starter(watches, database=database, contact=contact)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(f"{target} can't be written: {error.strerror}") from error
    say(f"wrote {_shown(target)}")
    _make_store(App(target))
    followed(App(target))
    _say_what_next(place, everything=everything)
    return 0


def _say_what_next(config: Path | None, *, everything: bool = False) -> None:
    program = invoked_as() + (f" --config {_shown(config)}" if config else "")
    if everything:
        say(
            "next, from the registry's own download (2.7 GB, minutes):",
            f"  curl --fail -o ctg-studies.json.zip '{_DOWNLOAD}'",
            f"  {program} import ctg-studies.json.zip",
            f"  {program} sync        what moved since; without the download it asks for every page, a thousand studies a request",
        )
        return
    say("next:", f"  {program} sync        fetches what is there now, the baseline", f"  {program} changes     what changed since")


def _watches(search_url: str | None, ids_file: Path | None, name: str | None) -> list[Watch]:
    if ids_file is not None:
        numbers, mistyped = nct_ids_in(ids_file), mistyped_in(ids_file)
        if mistyped:
            say(f"left out, not NCT and eight digits: {', '.join(mistyped)}")
        say(f"the numbers in {ids_file} are copied; to have the file read at each sync instead: nct_ids_file in the settings")
        return [Watch(name or _name(ids_file.stem), nct_ids=numbers)]
    if search_url is None:
        return []
    pasted = address.from_search_url(search_url)
    say(*pasted.notes)
    words = next(iter(pasted.query.values()), None) or pasted.nct_ids or ("search",)
    watch = Watch(name or _name(words[0]), query=pasted.query, nct_ids=pasted.nct_ids)
    query.validate(watch)
    return [watch]


def _name(words: str) -> str:
    """Return a watch's name made of the first words of a search."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in words.lower())
    name = "-".join(plain.split()[:3])[:40]
    return f"study-{name}" if name[:3] == "nct" else name or "watch"


def _what(watch: Watch) -> str:
    if watch.nct_ids:
        return f"{len(watch.nct_ids):,} {'study' if len(watch.nct_ids) == 1 else 'studies'} by number"
    if watch.everything:
        return "the whole registry"
    return "the studies that match " + ", ".join(f"{name}={' or '.join(values)}" for name, values in watch.query.items())


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _make_store(app: App) -> None:
    store = app.store
    stood = store.exists()
    schema.create(store)
    say(f"the store {_shown(store)} {'stands' if stood else 'is made'}")


def followed(app: App) -> tuple[list[Watch], int]:
    """Say what each watch of the settings follows, or why it can't; return those that can be followed, and the exit code."""
    watches, code = [], 0
    for table in app.settings.tables:
        try:
            watch = app.settings.watch(table, nct_ids_in)
            query.validate(watch)
        except (SettingsError, FileError, UsageError) as error:
            say(f"watch      {table.name}: {error}")
            code = error.exit_code
            continue
        watches.append(watch)
        say(f"watch      {watch.name}: {_what(watch)}")
        if table.nct_ids_file is not None and (words := mistyped_in(table.nct_ids_file)):
            say(f"           left out, not NCT and eight digits: {', '.join(words)}")
    return watches, code
