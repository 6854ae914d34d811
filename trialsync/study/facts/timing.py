"""Facts about the status and the start: what stopped, went on, or began on another day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import Kind
from trialsync.study import record
from trialsync.study.facts import dates
from trialsync.study.facts.dates import partial
from trialsync.study.facts.step import dated, text

if TYPE_CHECKING:
    from trialsync.study.facts.step import Found

STOPPED: Final = frozenset({"TERMINATED", "SUSPENDED", "WITHDRAWN"})
OPEN: Final = frozenset({"NOT_YET_RECRUITING", "RECRUITING", "ENROLLING_BY_INVITATION", "ACTIVE_NOT_RECRUITING"})
"""The statuses of a study that is still to go on."""

_ENDED: Final = STOPPED | {"COMPLETED"}


def status_facts(found: Found) -> None:
    """Note what the overall status says: stopped, restarted, unknown."""
    for place, change in found.rows("status.overallStatus"):
        if change.kind is not Kind.CHANGED:
            continue
        before, after = text(change.before), text(change.after)
        if after in STOPPED:
            why = record.at(found.step.new, "protocolSection", "statusModule", "whyStopped")
            found.put(place, "stopped", status=after, reason_given=isinstance(why, str) and bool(why.strip()))
        if before in _ENDED and after in OPEN:
            found.put(place, "restarted", **{"from": before})
        if after == "UNKNOWN":
            found.put(place, "went-unknown", last_known=record.last_known_status(found.step.new) or before)


def start_facts(found: Found) -> None:
    """Note whether the start was moved, and whether it was moved past the day of registration."""
    for place, _ in found.rows("status.startDate"):
        (old, old_type), (new, new_type) = (dated(study, "startDateStruct") for study in (found.step.old, found.step.new))
        one, other = partial(old), partial(new)
        if one is None or other is None or dates.order(one, other) == 0:
            continue
        types = {"type_before": old_type, "type_after": new_type}
        found.put(place, "start-moved", months=dates.months(one, other), days=dates.days(one, other), **types)
        registered = text(record.at(found.step.new, "protocolSection", "statusModule", "studyFirstSubmitDate"))
        day = partial(registered)
        if day is None or not day.is_day or dates.order(one, day) >= 0:
            continue
        if dates.order(other, day) > 0 or (other.is_day and other == day):
            found.put(place, "start-moved-past-registration", registered=registered, **types)
