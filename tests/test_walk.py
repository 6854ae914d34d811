"""The walk: complete and of one load, or an error that says how far it came."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from trialsync.errors import DataChanged, RegistryUnavailable, WalkIncomplete
from trialsync.model import Watch
from trialsync.registry.answers import DATA_CHANGED
from trialsync.registry.client import Registry, in_process
from trialsync.registry.sandbox import LoadLine, Sandbox
from trialsync.registry.walk import RESTARTS, Walk, WalkPage, pages
from trialsync.study import record as read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Answer = dict[str, Any] | httpx.Response

LOAD = "2026-11-20"
NEXT = "2026-11-23"
WATCH = Watch("asthma", query={"query.cond": ("asthma",)})


def number(index: int) -> str:
    """Return the n-th number."""
    return f"NCT{index:08d}"


def study(index: int, load: str | None = LOAD, **identification: object) -> dict[str, Any]:
    """Return a small study of a load."""
    label = {"derivedSection": {"miscInfoModule": {"versionHolder": load}}} if load else {}
    return {
        "protocolSection": {
            "identificationModule": {"nctId": number(index), **identification},
            "statusModule": {"overallStatus": "COMPLETED"},
            "conditionsModule": {"conditions": ["asthma"]},
        },
        **label,
        "hasResults": False,
    }


def page(indexes: Iterable[int], *, total: int | None = None, then: str | None = None, load: str | None = LOAD) -> dict[str, Any]:
    """Return a page as JSON."""
    said: dict[str, Any] = {"studies": [study(index, load) for index in indexes]}
    return said | ({} if total is None else {"totalCount": total}) | ({} if then is None else {"nextPageToken": then})


CHANGED = httpx.Response(400, text=DATA_CHANGED)


class Wire:
    """A registry whose pages are given by a function of the token and of how often it was asked; keeps the requests."""

    def __init__(self, answer: Callable[[str | None, int], Answer], load: str = NEXT) -> None:
        self.answer = answer
        self.load = load
        self.requests: list[httpx.Request] = []
        self.asked: Counter[str | None] = Counter()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests.append(request)
        if request.url.path.endswith("/version"):
            return httpx.Response(200, json={"apiVersion": "2.0.5", "dataTimestamp": f"{self.load}T09:00:04"})
        token = request.url.params.get("pageToken")
        self.asked[token] += 1
        said = self.answer(token, self.asked[token])
        return httpx.Response(said.status_code, text=said.text) if isinstance(said, httpx.Response) else httpx.Response(200, json=said)

    @property
    def tokens(self) -> list[str | None]:
        """Return the tokens asked for, in their order."""
        return [request.url.params.get("pageToken") for request in self.requests if request.url.path.endswith("/studies")]


def registry(transport: httpx.BaseTransport) -> Registry:
    """Return a registry on this wire, with waits that take no time."""
    return Registry(
        "https://registry.example/api/v2",
        requests_per_second=1000,
        contact=None,
        transport=transport,
        now=lambda: datetime(2026, 11, 22, tzinfo=UTC),
        sleep=lambda _: None,
    )


def walk(wire: Wire, watch: Watch = WATCH, **options: Any) -> Walk:
    """Return a walk of a watch over this wire."""
    return Walk(registry(httpx.MockTransport(wire)), watch, **options)


def scripted(by_token: Mapping[str | None, Answer | list[Answer]]) -> Wire:
    """Return a wire that answers each token by its page; by a list of pages in turn, the last one for ever."""

    def answer(token: str | None, times: int) -> Answer:
        said = by_token[token]
        return said[min(times, len(said)) - 1] if isinstance(said, list) else said

    return Wire(answer)


def ids(walked: Iterable[WalkPage]) -> list[str | None]:
    """Return the numbers of the studies given, in their order."""
    return [read.nct_id(fetched.study) for each in walked for fetched in each.studies]


def failed(walked: Walk) -> WalkIncomplete:
    """Walk to the error and return it."""
    with pytest.raises(WalkIncomplete) as caught:
        list(walked.pages())
    assert not walked.complete
    return caught.value


# --- complete ---------------------------------------------------------------------------------------------------------------------------


def test_a_walk_goes_to_the_last_page() -> None:
    """Pages follow each other by their tokens, the count comes with the first, and the end is complete."""
    wire = scripted({None: page([1, 2], total=5, then="a"), "a": page([3, 4], then="b"), "b": page([5])})
    walked = walk(wire, load=LOAD)
    got = list(walked.pages())
    assert ids(got) == [number(index) for index in range(1, 6)]
    assert [(each.first, each.seen, each.total, each.load) for each in got] == [
        (True, 2, 5, LOAD),
        (False, 4, 5, LOAD),
        (False, 5, 5, LOAD),
    ]
    assert (walked.complete, walked.distinct, walked.total, walked.load, walked.restarts, walked.bad) == (True, 5, 5, LOAD, 0, ())
    assert wire.tokens == [None, "a", "b"]
    assert wire.requests[0].url.params["countTotal"] == "true"
    assert all(request.url.params["query.cond"] == "asthma" for request in wire.requests)


@pytest.mark.parametrize("last", [page([]), page([], then="c"), page([1, 2], then="d"), page([1], then="a")])
def test_an_end_that_adds_nothing_is_normal(last: dict[str, Any]) -> None:
    """After all that was counted, an empty page, and a token that leads back to the start, end the walk."""
    walked = walk(scripted({None: page([1, 2], total=3, then="a"), "a": page([3], then="b"), "b": last, "c": page([]), "d": last}))
    assert ids(walked.pages()) == [number(1), number(2), number(3)]
    assert walked.complete


def test_nothing_found_is_complete() -> None:
    """A query that the registry counts as empty is walked with one page."""
    walked = walk(scripted({None: page([], total=0)}))
    assert [each.studies for each in walked.pages()] == [()]
    assert (walked.complete, walked.total, walked.load) == (True, 0, None)


def test_the_load_is_that_of_the_studies() -> None:
    """Without a load named before, the first page's is the walk's; studies without a label that can be read do not contradict it."""
    first = walk(scripted({None: page([1], total=1)}))
    list(first.pages())
    assert first.load == LOAD
    for label in (None, "\x1b[31mtoday"):
        odd = walk(scripted({None: page([1], total=1, load=label)}), load=LOAD)
        assert [each.load for each in odd.pages()] == [LOAD]
        assert odd.complete


def test_an_empty_page_on_the_way_is_passed() -> None:
    """A page may be empty and still lead on (specification)."""
    walked = walk(scripted({None: page([1], total=2, then="a"), "a": page([], then="b"), "b": page([2])}))
    assert len(ids(walked.pages())) == 2
    assert walked.complete


def test_one_bad_record_does_not_keep_a_walk_from_its_end() -> None:
    """A null, and a record without a number, are named, counted as seen, and given to nobody."""
    body = page([1], total=3)
    body["studies"] += [None, {"hasResults": False}]
    walked = walk(scripted({None: body}))
    got = list(walked.pages())
    assert ids(got) == [number(1)]
    assert walked.complete
    assert len(walked.bad) == len(got[0].bad) == 2


def test_fields_limit_what_is_sent() -> None:
    """A walk for some fields asks for what it needs itself as well."""
    wire = scripted({None: page([1], total=1)})
    list(walk(wire, fields=("LastUpdatePostDate", "NCTId")).pages())
    assert wire.requests[0].url.params["fields"] == "LastUpdatePostDate,NCTId,NCTIdAlias,VersionHolder"


# --- the data change under way ----------------------------------------------------------------------------------------------------------


def test_changed_data_starts_the_walk_over() -> None:
    """After the 400 the walk begins at the first page, never sends the old token again, asks for the new load, and says so."""
    old: dict[str | None, Answer] = {None: page([1, 2], total=3, then="old"), "old": CHANGED}

    def answer(token: str | None, times: int) -> Answer:
        if times == 1 and token in old:
            return old[token]
        return {None: page([1, 2], total=4, then="new", load=NEXT), "new": page([3, 4], load=NEXT)}[token]

    wire = Wire(answer)
    walked = walk(wire, load=LOAD)
    got = list(walked.pages())
    assert [(each.first, each.load, each.restarts) for each in got] == [(True, LOAD, 0), (True, NEXT, 1), (False, NEXT, 1)]
    assert ids(got) == [number(index) for index in (1, 2, 1, 2, 3, 4)]
    assert wire.tokens == [None, "old", None, "new"]
    assert (walked.complete, walked.load, walked.restarts, walked.distinct, walked.total) == (True, NEXT, 1, 4, 4)
    assert walked.version is not None
    assert walked.version.load == NEXT


def test_a_new_load_without_the_400_is_noticed_too() -> None:
    """A page of another load is not given; the walk starts over in that load."""
    wire = scripted(
        {
            None: [page([1], total=2, then="a"), page([1], total=2, then="b", load=NEXT)],
            "a": page([2], load=NEXT),
            "b": page([2], load=NEXT),
        }
    )
    walked = walk(wire, load=LOAD)
    assert [(each.load, each.first, len(each.studies)) for each in walked.pages()] == [(LOAD, True, 1), (NEXT, True, 1), (NEXT, False, 1)]
    assert (walked.complete, walked.restarts) == (True, 1)


def test_a_count_that_changes_is_a_change_of_the_data() -> None:
    """When a repeated walk is told another count, it starts with nothing seen."""
    wire = scripted({None: [page([1], total=2), page([1, 2, 3], total=3)]})
    walked = walk(wire)
    assert sorted(set(filter(None, ids(walked.pages())))) == [number(1), number(2), number(3)]
    assert walked.complete


def test_data_that_never_rest_end_the_walk() -> None:
    """After three restarts the walk gives up with the registry's reason."""
    wire = Wire(lambda token, _: CHANGED if token else page([1], total=2, then=f"t{len(wire.requests)}"), LOAD)
    walked = walk(wire, load=LOAD)
    with pytest.raises(DataChanged):
        list(walked.pages())
    assert walked.restarts == RESTARTS + 1
    assert not walked.complete
    assert Counter(wire.tokens)[None] == RESTARTS + 1
    assert max(Counter(token for token in wire.tokens if token).values()) == 1


def test_pages_of_two_loads_for_ever_end_the_walk() -> None:
    """A registry that mixes loads, or whose version names another load than its studies, is never concluded from."""
    mixed = {"studies": [study(1), study(2, NEXT)], "totalCount": 2}
    for wire in (scripted({None: mixed}), Wire(lambda *_: page([1], total=1), load=NEXT)):
        walked = walk(wire, load=NEXT)
        with pytest.raises(WalkIncomplete, match="two loads"):
            list(walked.pages())
        assert not walked.complete


# --- pages that do not add up -----------------------------------------------------------------------------------------------------------

FAULTS: dict[str, tuple[dict[str | None, Answer], str]] = {
    "short page": ({None: page([1], total=3, then="a"), "a": page([3])}, "2 studies seen of the 3"),
    "page shift": ({None: page([1, 2], total=4, then="a"), "a": page([2, 3])}, "3 studies seen of the 4"),
    "empty 200": ({None: page([], total=3)}, "0 studies seen of the 3"),
    "no count": ({None: page([1, 2], then="a"), "a": page([3])}, "3 studies seen and the registry does not say of how many"),
    "outage without count": ({None: page([])}, "0 studies seen and"),
    "repeated token": ({None: page([1], total=3, then="a"), "a": page([2], then="a")}, "token twice; 2 studies seen of the 3"),
    "list started again": (
        {None: page([1, 2], total=9, then="a"), "a": page([3], then="b"), "b": page([1, 2], then="c"), "c": page([3])},
        "nothing but studies of the pages before",
    ),
    "too many": ({None: page([1, 2], total=1, then="a"), "a": page([3])}, "more studies than"),
    "one too many": ({None: page([1, 2], total=1)}, "2 studies seen of the 1"),
    "empty for ever": (
        {None: page([1], total=3, then="a"), **{a: page([], then=b) for a, b in zip("abcdef", "bcdefg", strict=True)}},
        "empty",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_pages_that_do_not_add_up_are_noticed(fault: str) -> None:
    """Each way in which pages lose or repeat studies ends, after one repetition, in an error that says how many of how many were seen."""
    by_token, says = FAULTS[fault]
    error = failed(walk(scripted(by_token)))
    assert says in error.message
    assert error.hint


@pytest.mark.parametrize("fault", FAULTS)
def test_pages_that_add_up_the_second_time_are_complete(fault: str) -> None:
    """A fault that passes costs one repetition, and what was seen before is not given again."""
    by_token, _ = FAULTS[fault]
    healthy = page(range(1, 5), total=4)

    def answer(token: str | None, times: int) -> Answer:
        return healthy if token is None and times > 1 else by_token[token]

    walked = walk(Wire(answer, LOAD), load=LOAD)
    given = ids(walked.pages())
    assert walked.complete
    assert set(given) == {number(index) for index in range(1, 5)}
    assert walked.distinct == walked.total == 4


def test_a_shifted_page_is_made_up_for_by_the_next_walk() -> None:
    """Within one load the studies of two walks together are the whole, even where each of them missed one."""
    wire = scripted(
        {
            None: [page([1, 2], total=4, then="a"), page([1, 3], total=4, then="b")],
            "a": page([2, 3]),
            "b": page([3, 4]),
        }
    )
    walked = walk(wire)
    assert sorted(filter(None, ids(walked.pages()))) == [number(index) for index in range(1, 5)]
    assert (walked.complete, walked.restarts) == (True, 0)


def test_the_whole_registry_is_never_empty() -> None:
    """An outage that counts nothing is not taken for an empty registry."""
    with pytest.raises(WalkIncomplete, match="no study at all"):
        list(walk(scripted({None: page([], total=0)}), Watch("all", everything=True)).pages())


def test_an_unavailable_registry_passes_through() -> None:
    """An error of the client ends the walk; the pages before it stand."""
    got: list[WalkPage] = []
    walked = walk(scripted({None: page([1], total=2, then="a"), "a": httpx.Response(503, text="busy")}))
    with pytest.raises(RegistryUnavailable):
        got.extend(walked.pages())
    assert (walked.complete, walked.distinct) == (False, 1)


@limits(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_walk_is_complete_or_an_error(data: st.DataObject) -> None:
    """Whatever pages a registry makes up, a walk ends; if it calls itself complete it has given as many studies as were counted."""
    tokens = ["a", "b", "c", "d"]
    drawn = st.builds(
        page,
        st.lists(st.integers(1, 6), max_size=4),
        total=st.none() | st.integers(0, 6),
        then=st.none() | st.sampled_from(tokens),
        load=st.sampled_from([LOAD, LOAD, LOAD, NEXT]),
    )
    by_token: dict[str | None, list[Answer]] = {token: data.draw(st.lists(drawn, min_size=1, max_size=2)) for token in [None, *tokens]}
    wire = scripted(by_token)
    walked = walk(wire)
    given: dict[str | None, set[str | None]] = {}
    try:
        for each in walked.pages():
            given.setdefault(each.load, set()).update(ids([each]))
    except (WalkIncomplete, DataChanged):
        assert not walked.complete
        return
    assert len(given[walked.load]) >= walked.distinct
    assert walked.complete
    assert walked.distinct == walked.total
    assert len(wire.requests) < 100


# --- NCT numbers ------------------------------------------------------------------------------------------------------------------------


def by_ids(held: dict[str, dict[str, Any]]) -> Wire:
    """Return a registry that holds these studies and searches NCT numbers among them and their aliases."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = set(request.url.params["filter.ids"].split(","))
        found = [one for key, one in held.items() if key in asked or asked & set(read.aliases(one))]
        return httpx.Response(200, json={"studies": found, "totalCount": len(found)})

    class ById(Wire):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            return answer(request)

    return ById(lambda *_: page([]))


def test_every_batch_of_numbers_is_walked() -> None:
    """Numbers beyond one request are walked batch by batch; those that nobody has are missing, and the total is what was asked."""
    held = {number(index): study(index) for index in range(1, 1001)}
    wire = by_ids(held)
    asked = (*held, number(5000), number(6000), number(1))
    walked = walk(wire, Watch("mine", nct_ids=asked), load=LOAD)
    got = list(walked.pages())
    assert ids(got) == list(held)
    assert len(wire.requests) == 3
    assert [each.total for each in got] == [1002] * 3
    assert [each.first for each in got] == [True, False, False]
    assert (walked.complete, walked.missing, walked.aliases, walked.total) == (True, (number(5000), number(6000)), {}, 1000)


def test_an_alias_is_answered_under_its_new_number() -> None:
    """A study that was asked under a number it had before comes once, wherever it was asked, and its old number is not missing."""
    merged = study(900, nctIdAliases=[number(1), number(2), number(77)])
    wire = by_ids({number(900): merged})
    filler = tuple(number(index) for index in range(1000, 1400))
    walked = walk(wire, Watch("mine", nct_ids=(number(1), *filler, number(2), number(900))))
    assert ids(walked.pages()) == [number(900)]
    assert walked.complete
    assert walked.aliases == {number(1): number(900), number(2): number(900)}
    assert walked.missing == filler


def test_a_study_that_nobody_asked_for_is_not_taken() -> None:
    """A stray study is named and left out; an answer with more studies than numbers is not concluded from at all."""
    stray = scripted({None: {"studies": [study(9)], "totalCount": 1}})
    walked = walk(stray, Watch("mine", nct_ids=(number(1),)))
    assert ids(walked.pages()) == []
    assert walked.missing == (number(1),)
    assert walked.bad == (f"{number(9)}: the registry returned it without being asked for it",)
    with pytest.raises(WalkIncomplete, match="1 NCT numbers were asked, and the registry counts 600,000"):
        list(walk(scripted({None: page([1], total=600_000, then="a")}), Watch("mine", nct_ids=(number(1),))).pages())


def test_a_new_load_between_batches_walks_all_of_them_again() -> None:
    """When the load changes in the second batch, the first one is walked again too."""
    calls = Counter[str]()

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/version"):
            return httpx.Response(200, json={"apiVersion": "2.0.5", "dataTimestamp": f"{NEXT}T09:00:04"})
        asked = request.url.params["filter.ids"].split(",")
        calls[asked[0]] += 1
        load = LOAD if calls[number(1)] == 1 and asked[0] == number(1) else NEXT
        return httpx.Response(200, json={"studies": [study(int(each[3:]), load) for each in asked], "totalCount": len(asked)})

    walked = Walk(registry(httpx.MockTransport(handler)), Watch("mine", nct_ids=tuple(number(index) for index in range(1, 501))), load=LOAD)
    got = list(walked.pages())
    assert [(each.load, each.first, len(each.studies)) for each in got] == [(LOAD, True, 400), (NEXT, True, 400), (NEXT, False, 100)]
    assert (walked.complete, walked.distinct, walked.load) == (True, 500, NEXT)


# --- against the sandbox ----------------------------------------------------------------------------------------------------------------


def sandbox(count: int = 25) -> Sandbox:
    """Return a sandbox of two loads; the second changes one study, merges the next to last into the first and removes the last."""
    lines = [LoadLine(LOAD, number(index), study(index, None)) for index in range(1, count + 1)]
    changed = study(2, None)
    changed["protocolSection"]["statusModule"]["overallStatus"] = "TERMINATED"
    later = [
        LoadLine(NEXT, number(1), study(1, None, nctIdAliases=[number(count - 1)])),
        LoadLine(NEXT, number(2), changed),
        LoadLine(NEXT, number(count - 1), None),
        LoadLine(NEXT, number(count), None),
    ]
    return Sandbox([*lines, *later])


@pytest.mark.parametrize(
    "watch",
    [Watch("all", everything=True), WATCH, Watch("mine", nct_ids=tuple(number(index) for index in range(1, 26)))],
)
def test_the_sandbox_is_walked_whole(watch: Watch) -> None:
    """The whole registry, a query and a list of numbers are each walked whole, page by page, in one load."""
    served = sandbox()
    walked = Walk(registry(in_process(served)), watch, load=LOAD, page_size=5)
    assert sorted(filter(None, ids(walked.pages()))) == [number(index) for index in range(1, 26)]
    assert (walked.complete, walked.load, walked.distinct, walked.missing) == (True, LOAD, 25, ())


@pytest.mark.parametrize(
    "fault",
    [
        "advance",
        "data-changed",
        "page-shift",
        "short-page",
        "repeated-token",
        "restarted-list",
        "empty-studies",
        "too-many",
        "truncated",
        "reset",
    ],
)
@pytest.mark.parametrize("at", [1, 3, 6])
def test_a_fault_of_the_sandbox_leaves_no_hole(fault: str, at: int) -> None:
    """Each fault, on the first, a middle and the last page, is waited out, walked again or made up for: the walk ends whole."""
    served = sandbox()
    served.inject(fault, at=at, path="/studies")
    wire = registry(in_process(served))
    version = wire.version()
    assert version is not None
    walked = Walk(wire, Watch("all", everything=True), load=version.load, page_size=4)
    given = ids(walked.pages())
    assert walked.complete
    assert walked.load == served.load
    assert set(served.studies()) <= set(given)
    assert walked.distinct == len(served.studies())


def test_a_merge_and_a_removal_in_the_sandbox() -> None:
    """In the next load the merged number is an alias of its survivor, and the removed one is missing."""
    served = sandbox()
    served.advance()
    walked = pages(registry(in_process(served)), Watch("mine", nct_ids=(number(1), number(24), number(25))), load=NEXT)
    assert ids(walked) == [number(1)]
    full = Walk(registry(in_process(served)), Watch("mine", nct_ids=(number(24), number(25))))
    assert ids(full.pages()) == [number(1)]
    assert (full.aliases, full.missing, full.load) == ({number(24): number(1)}, (number(25),), NEXT)
    assert registry(in_process(served)).study(number(24)).study["protocolSection"]["identificationModule"]["nctId"] == number(1)


def test_a_walk_for_fields_against_the_sandbox() -> None:
    """A walk for some fields still knows numbers, aliases and the load."""
    walked = Walk(registry(in_process(sandbox())), WATCH, fields=("LastUpdatePostDate",), page_size=10)
    got = list(walked.pages())
    assert walked.complete
    assert walked.load == LOAD
    assert all("conditionsModule" not in fetched.study["protocolSection"] for each in got for fetched in each.studies)
