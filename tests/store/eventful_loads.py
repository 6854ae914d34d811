"""Loads in which everything happens that a log can tell: for the tests that break off, fill up and damage what is being recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from following import DAYS, edited, invent, number_of, publish, site, status, withheld

if TYPE_CHECKING:
    from trialsync.model import Study
    from trialsync.registry.sandbox import LoadLine

JOINS, RETURNS, MERGED, REMOVED, WITHHELD, BACK_AND_FORTH = range(2, 8)
"""The numbers of the studies that have a story; the others change now and then."""


def with_aliases(study: Study, *aliases: str) -> Study:
    """Return a study that took others' numbers as its aliases."""
    return edited(study, identificationModule__nctIdAliases=list(aliases))


def eventful_loads(studies: int = 40) -> list[LoadLine]:
    """Return seven loads of so many studies of ataxia, and a few of other conditions."""
    stand: dict[int, Study] = {
        number: invent(number, first_posted=f"2025-{number % 12 + 1:02d}-0{number % 9 + 1}") for number in range(1, studies + 1)
    }
    stand[JOINS] = edited(stand[JOINS], conditionsModule__conditions=["Chorea"])
    loads: list[list[Study | str]] = [list(stand.values())]

    def now(**changed: Any) -> list[Study | str]:
        """Return what a load changes: studies by ``n<number>``."""
        for name, study in changed.items():
            stand[int(name[1:])] = study
        return list(changed.values())

    def some(day: str, step: int) -> dict[str, Study]:
        """Return changes of every so-manyth study without a story: by the sponsor, by the registry, and of its sites."""
        found = {}
        for number in range(8 + step, studies + 1, 3):
            study = stand[number]
            if number % 2:
                found[f"n{number}"] = status(study, "COMPLETED" if step % 2 else "SUSPENDED", day)
            elif number % 4:
                found[f"n{number}"] = edited(study, derived__place=None, statusModule__lastKnownStatus=f"STEP {step}")
            else:
                sites = [site("Clinic A", "Lyon", "France"), site(f"Clinic {step}", "Praha", "Czechia")]
                found[f"n{number}"] = edited(study, day, contactsLocationsModule__locations=sites)
        return found

    newcomer = invent(studies + 1, posted=DAYS[1], first_posted=DAYS[1])
    loads.append(
        [
            *now(
                n2=edited(stand[JOINS], DAYS[1], conditionsModule__conditions=["Ataxia"]),
                n3=edited(stand[RETURNS], DAYS[1], conditionsModule__conditions=["Chorea"]),
                n7=status(stand[BACK_AND_FORTH], "SUSPENDED"),
            ),
            *now(**some(DAYS[1], 1)),
            newcomer,
            number_of(stand[REMOVED]),
        ]
    )
    loads.append([*now(n7=status(stand[BACK_AND_FORTH], "RECRUITING")), *now(**some(DAYS[2], 2))])
    survivor = with_aliases(stand[1], number_of(stand[MERGED]))
    loads.append([*now(n1=survivor, n6=withheld(stand[WITHHELD], DAYS[3])), *now(**some(DAYS[3], 3)), number_of(stand[MERGED])])
    opened = edited(invent(WITHHELD, posted=DAYS[4]), DAYS[4], statusModule__overallStatus="COMPLETED")
    loads.append([*now(n5=stand[REMOVED], n6=opened), *now(**some(DAYS[4], 4))])
    loads.append([*now(n3=edited(stand[RETURNS], DAYS[5], conditionsModule__conditions=["Ataxia"])), *now(**some(DAYS[5], 5))])
    loads.append([])
    return publish(*loads)
