"""Where the registry's own history meets what was polled or imported: what can be compared, and what with what. PURE.

History carries a record's protocol, results and documents, and nothing that the registry computes for its API. So two versions, one of
them from history, are compared by what both can hold; otherwise every place on the map would be a change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import Origin
from trialsync.study import record
from trialsync.study.diff import diff
from trialsync.study.fingerprint import fingerprint
from trialsync.study.words import renders_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trialsync.model import Change, Json, Study

SECTIONS: Final = ("protocolSection", "resultsSection", "documentSection")
"""What history carries of a record; it has neither the annotation nor the derived section."""


def changes_between(old: Study, old_origin: Origin, new: Study, new_origin: Origin) -> list[Change]:
    """Return the changes from one version to another, by what both can hold. Raises RecordError as ``diff`` does."""
    if (old_origin is Origin.HISTORY) is (new_origin is Origin.HISTORY):
        return diff(old, new)
    return diff(masked(old), masked(new))


def is_same_version(historic: Study, seen: Study) -> bool:
    """Return whether a version of history and one that was polled or imported say the same, as far as both can."""
    return fingerprint(masked(historic)) == fingerprint(masked(seen))


def masked(study: Study) -> Study:
    """Return a record without what history can't hold: what the registry computes or derives. The given one stays as it is."""
    kept: Study = {name: study[name] for name in (*SECTIONS, "hasResults") if name in study}
    protocol = kept.get("protocolSection")
    if isinstance(protocol, dict):
        kept["protocolSection"] = _without(protocol, "contactsLocationsModule", "locations", _without_place)
        kept["protocolSection"] = _without(kept["protocolSection"], "referencesModule", "references", _unless_derived)
    return kept


def _without(protocol: dict[str, Json], module: str, name: str, keep: Callable[[Json], Json]) -> dict[str, Json]:
    members = record.at(protocol, module, name)
    if not isinstance(members, list):
        return protocol
    return {**protocol, module: {**protocol[module], name: [kept for member in members if (kept := keep(member)) is not None]}}


def _without_place(site: Json) -> Json:
    return {name: value for name, value in site.items() if name != "geoPoint"} if isinstance(site, dict) else site


def _unless_derived(reference: Json) -> Json:
    return None if record.at(reference, "type") == "DERIVED" else reference


def phrases(historic: Study, seen: Study) -> dict[str, str]:
    """Return the texts of a historic version that only look otherwise in the API, each with the API's: white space, escapes, entities.

    A text is named with its path (without places in lists): the same words may look otherwise in a rich text and not in a plain one.
    """
    return dict(_alike(masked(historic), masked(seen), ""))


def phrased(value: Json, known: Mapping[str, str], path: str = "") -> Json:
    """Return a record with the texts that are known to look otherwise in the API as the API has them."""
    if not known:
        return value
    if isinstance(value, str):
        return known.get(_phrase(path, value), value)
    if isinstance(value, list):
        return [phrased(each, known, path) for each in value]
    if isinstance(value, dict):
        return {name: phrased(each, known, f"{path}.{name}") for name, each in value.items()}
    return value


def _phrase(path: str, text: str) -> str:
    return f"{path}\n{text}"


def _alike(old: Json, new: Json, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(old, str) and isinstance(new, str):
        if old != new and renders_alike(old, new):
            yield _phrase(path, old), new
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in old.keys() & new.keys():
            yield from _alike(old[name], new[name], f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            yield from _alike(one, other, path)
