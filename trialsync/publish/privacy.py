"""What pages, feeds and the API leave out unless a setting asks for it: how to reach the persons whom a record names for contact.

The registry publishes names, telephone numbers and e-mail addresses of contact persons so that patients can ask; a copy that stays on after
the registry has taken a name back is another thing. Left out are the central contacts, the contacts of each site, and the point of contact
of posted results but for its organization. Officials and investigators stay: the record names them for what they did, without an address.
The command line, which shows a user their own store, leaves nothing out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from trialsync.model import Change
from trialsync.study.net import NetChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trialsync.model import Json, LoggedChange, Study

_Difference = TypeVar("_Difference", Change, NetChange)

PERSON: Final = "[contact person]"
"""What stands where a path would name somebody."""

FIELDS: Final = frozenset(
    (
        "contacts.centralContacts",
        "results.moreInfo.pointOfContactTitle",
        "results.moreInfo.pointOfContactEmail",
        "results.moreInfo.pointOfContactPhone",
        "results.moreInfo.pointOfContactPhoneExt",
    )
)
"""The fields whose changes keep no values."""

_SITES: Final = "locations"
_OF_A_SITE: Final = "contacts"
_POINT_OF_CONTACT: Final = ("resultsSection", "moreInfoModule", "pointOfContact")
_CONTACTS_AND_SITES: Final = ("protocolSection", "contactsLocationsModule")


def without_contacts(study: Study) -> Study:
    """Return a study without its contact persons; what is left is shared with the one given, which stays as it is."""
    found: Study = _edited(study, _CONTACTS_AND_SITES, _persons_left_out)
    edited: Study = _edited(found, _POINT_OF_CONTACT, _organization)
    return edited


def change_without_contacts(change: LoggedChange) -> LoggedChange:
    """Return a row of the change log that tells of a contact person without saying whom.

    That something changed stays, with its id and dates; ``before`` and ``after`` are ``None``, and PERSON stands in the path and in the
    ``ref`` for who it is. A site that comes, goes or is first seen keeps its value but for its contacts. Other rows are as they were.
    """
    item, attribute, before, after = _told(change.field, change.item, change.attribute, change.before, change.after)
    if (item, attribute, before, after) == (change.item, change.attribute, change.before, change.after):
        return change
    path = ".".join(part for part in (change.field, item, attribute) if part is not None)
    ref = change.ref if path == change.path else f"{change.ref.partition('#')[0]}#{path}"
    return replace(change, item=item, attribute=attribute, before=before, after=after, path=path, ref=ref)


def difference_without_contacts(changes: Iterable[_Difference]) -> list[_Difference]:
    """Return changes between two versions, or two dates, told as ``change_without_contacts`` tells them."""
    found = []
    for change in changes:
        item, attribute, before, after = _told(change.field, change.item, change.attribute, change.before, change.after)
        found.append(replace(change, item=item, attribute=attribute, before=before, after=after))
    return found


def _told(field: str, item: str | None, attribute: str | None, before: Json, after: Json) -> tuple[str | None, str | None, Json, Json]:
    if field in FIELDS:
        return (None if item is None else PERSON), attribute, None, None
    if field != _SITES:
        return item, attribute, before, after
    if attribute is None:
        return item, attribute, _site(before), _site(after)
    first, _, rest = attribute.partition(".")
    if first == _OF_A_SITE:
        return item, f"{first}.{PERSON}" if rest else first, None, None
    return item, attribute, before, after


def _site(value: Json) -> Json:
    """Return a site, or a list of sites, without contacts."""
    if isinstance(value, list):
        return [_site(each) for each in value]
    return _without(value, (_OF_A_SITE,))


def _persons_left_out(module: Json) -> Json:
    found = _without(module, ("centralContacts",))
    if isinstance(found, dict) and _SITES in found:
        found = found | {_SITES: _site(found[_SITES])}
    return found


def _organization(contact: Json) -> Json:
    return {"organization": contact["organization"]} if isinstance(contact, dict) and "organization" in contact else {}


def _without(value: Json, names: tuple[str, ...]) -> Json:
    return {name: inside for name, inside in value.items() if name not in names} if isinstance(value, dict) else value


def _edited(value: Json, way: tuple[str, ...], edit: Callable[[Json], Json]) -> Json:
    """Return an object with what is at the end of the way edited, where there is something; the objects on the way are copied."""
    if not way:
        return edit(value)
    if not isinstance(value, dict) or way[0] not in value:
        return value
    return value | {way[0]: _edited(value[way[0]], way[1:], edit)}
