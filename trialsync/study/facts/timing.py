"""Facts about dates and status: what stopped, went on, or came later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trialsync.model import Kind
from trialsync.study import record
from trialsync.study.facts import dates
from trialsync.study.facts.dates import partial
from trialsync.study.facts.step import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trialsync.model import Json, Study
    from trialsync.study.facts.step import Found

STOPPED: Final = frozenset({"TERMINATED", "SUSPENDED", "WITHDRAWN"})
OPEN: Final = frozenset({"NOT_YET_RECRUITING", "RECRUITING", "ENROLLING_BY_INVITATION", "ACTIVE_NOT_RECRUITING"})
"""The statuses of a study that is still to go on."""

ACTUAL: Final = "ACTUAL"
_ENDED: Final = STOPPED | {"COMPLETED"}
_SLIPS: Final = (
    ("status.primaryCompletionDate", "primary-completion-slipped", "primaryCompletionDateStruct"),
    ("status.completionDate", "completion-slipped", "completionDateStruct"),
)


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


def slip_facts(found: Found) -> None:
    """Note which completion dates were put off, for which time, and by how much in all."""
    for name, fact, struct in _SLIPS:
        for place, _ in found.rows(name):
            old, new = _dated(found.step.old, struct), _dated(found.step.new, struct)
            moved = _slip(old, new)
            if moved is None:
                continue
            slips = list(_slips(found, struct))
            found.put(
                place,
                fact,
                months=moved[0],
                days=moved[1],
                times=len(slips),
                total_months=sum(slips),
                type_before=old[1],
                type_after=new[1],
            )


def start_facts(found: Found) -> None:
    """Note whether the start was moved, and whether it was moved past the day of registration."""
    for place, _ in found.rows("status.startDate"):
        (old, old_type), (new, new_type) = (_dated(study, "startDateStruct") for study in (found.step.old, found.step.new))
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


def _dated(study: Study, struct: str) -> tuple[Json, str | None]:
    """Return a date of the status module and its type, ``None`` where absent."""
    found = record.at(study, "protocolSection", "statusModule", struct)
    return record.at(found, "date"), text(record.at(found, "type"))


def _slip(old: tuple[Json, str | None], new: tuple[Json, str | None]) -> tuple[int, int | None] | None:
    """Return by how many whole months, and days where they can be counted, a date that was expected was put off; ``None`` where not."""
    one, other = partial(old[0]), partial(new[0])
    if old[1] == ACTUAL or one is None or other is None or dates.order(one, other) >= 0:
        return None
    return dates.months(one, other), dates.days(one, other)


def _slips(found: Found, struct: str) -> Iterator[int]:
    """Yield the months of each move of an estimate to a later estimate, from one known version to the next, newest first.

    What was withheld is passed over. The version before the new one need not be the one that it was compared with: one of the registry's
    history may have been filled in between, and no slip is to count twice.
    """
    newer = _dated(found.step.new, struct)
    for study in found.step.earlier():
        if record.is_withheld(study):
            continue
        older = _dated(study, struct)
        moved = None if newer[1] == ACTUAL else _slip(older, newer)
        if moved is not None:
            yield moved[0]
        newer = older
