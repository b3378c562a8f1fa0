"""How many Python calls a request costs the proxy: a guard against detours that needs no clock.

Counted are the calls of functions in `realproxy` and `policies`, in all threads of the proxy, for one
warm request. A change that makes fewer calls lowers the constant in the same commit.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

import pytest

import policies
import realproxy
from realproxy import RouteCache

HIT_CALLS = 44
"""A cached hit."""
PASS_THROUGH_CALLS = 95
"""A small response of an upstream to which a connection is kept."""
STORED_MISS_CALLS = 150
"""A small response that is also stored."""
SPLIT_CALLS = 10
"""More than a plain request that is passed through: one through a split route whose canary is watched."""
RESILIENCE_CALLS = 14
"""More than a plain request: second route, p2c, deadline, limit, breaker, and retries with a budget."""
FOLLOWER_WORKERS = 0
"""Workers that a request visits which is collapsed into another's fetch."""

REPEATS = 25
STILL = 5
"""Looks in a row, of 2 ms or more, that find no further call: the request is over."""
INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>"}
"""Calls up to Python 3.11, none from 3.12 on."""
ROOTS = tuple(Path(package.__file__).parent for package in (realproxy, policies))
KEPT = RouteCache(ttl="1h")


class Call(NamedTuple):
    thread: threading.Thread
    code: CodeType


class Calls(list[Call]):
    """The calls since the last `clear`, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[CodeType, bool] = {}

    def note(self, frame: FrameType, event: str, _: object) -> None:
        """For `threading.setprofile`: note a call of ours."""
        if event == "call":
            code = frame.f_code
            counts = self._counts.get(code)
            if counts is None:
                counts = self._counts[code] = place(code) is not None and code.co_name not in INLINED
            if counts:
                self.append(Call(threading.current_thread(), code))


def is_worker(thread: threading.Thread) -> bool:
    return "worker" in thread.name


def place(code: CodeType) -> str | None:
    """The file of a function of ours, such as ``realproxy/proxy.py``; None of another."""
    file = Path(code.co_filename)
    for root in ROOTS:
        if file.is_relative_to(root):
            return str(file.relative_to(root.parent))
    return None


def listing(calls: list[Call]) -> str:
    """The calls by thread and file, in the order of the first, with how often each function is called."""
    files: dict[tuple[str, str], Counter[str]] = {}
    for thread, code in calls:
        functions = files.setdefault((thread.name, str(place(code))), Counter())
        functions[code.co_qualname.replace(".<locals>", "")] += 1
    lines = []
    for (thread, file), functions in files.items():
        names = ", ".join(name if count == 1 else f"{count} × {name}" for name, count in functions.items())
        lines.append(f"{functions.total():4}  {thread:13} {file}: {names}")
    return "\n".join(lines)


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Notes the calls in all threads that are started while a test runs."""
    found = Calls()
    threading.setprofile(found.note)
    yield found
    threading.setprofile(None)


@pytest.fixture
def settled(calls, until) -> Callable[[], None]:
    """Wait until no thread makes a call any more."""

    def wait() -> None:
        looks = [-1]

        def still() -> bool:
            looks.append(len(calls))
            return len(looks) > STILL and len(set(looks[-STILL:])) == 1

        until(still)

    return wait


def typical(runs: list[list[Call]]) -> list[Call]:
    """One of the runs that made the most frequent number of calls.

    The others hold calls that are not the request's, such as a sweep for what has waited too long.
    """
    (length, times), *_ = Counter(map(len, runs)).most_common(1)
    assert times > len(runs) / 2, f"no number of calls is the usual one: {sorted(map(len, runs))}"
    return next(run for run in runs if len(run) == length)


CASES = {
    "cached hit": (KEPT, "/page", HIT_CALLS),
    "pass-through": (None, "/page", PASS_THROUGH_CALLS),
    "stored miss": (KEPT, "/page/{}", STORED_MISS_CALLS),
}


@pytest.mark.parametrize(("caching", "path", "budget"), CASES.values(), ids=CASES)
def test_a_warm_request_makes_no_more_calls_than_its_budget(
    calls, settled, origin, serve, wire, caching, path, budget
):
    server = origin()
    proxy = serve(server, caching=caching)
    client, runs = wire(proxy), []
    for number in range(-2, REPEATS):  # two to warm up
        settled()
        calls.clear()
        assert client.ask(path.format(number)).body == b"hello"
        settled()
        runs.append(calls.copy())
    asked = 1 if path == "/page" and caching else REPEATS + 2
    assert (len(server.asked), server.connections) == (asked, 1)
    usual = typical(runs[2:])
    made = len(usual)
    assert made <= budget, f"{made} calls, {budget} are allowed:\n{listing(usual)}"


def calls_of(calls, settled, client) -> list[Call]:
    """The calls of a typical request of a client."""
    runs = []
    for _ in range(REPEATS + 4):
        settled()
        calls.clear()
        assert client.ask("/", "GET", "Cookie: arm=0123456789abcdef").body == b"hello"
        settled()
        runs.append(calls.copy())
    return typical(runs[4:])


@pytest.mark.parametrize("sticky", [None, "client", "cookie:arm"])
def test_a_request_through_a_watched_split_makes_few_more_calls(calls, settled, origin, serve, wire, sticky):
    service = {name: {"upstreams": [origin().address]} for name in ("web", "new")}
    split = {"to": {"web": 95, "new": 5}, "sticky": sticky, "canary": {"watch": "new"}}
    plain = calls_of(calls, settled, wire(serve(route=[{"to": "web"}], service=service)))
    watched = calls_of(calls, settled, wire(serve(route=[split], service=service)))
    budget = len(plain) + SPLIT_CALLS
    assert len(watched) <= budget, f"{len(watched)} calls, {budget} are allowed:\n{listing(watched)}"


def test_a_request_under_all_resilience_makes_few_more_calls(calls, settled, origin, serve, wire):
    address = origin().address
    cautious = {
        "upstreams": [address] * 4, "balance": "p2c", "limit": {"policy": "vegas", "initial": 100, "min": 64},
        "breaker": {}, "retry": {"budget": 0.2},
    }  # fmt: skip
    routes = [{"when": {"path": "/old/*"}, "respond": 404}, {"to": "web", "timeout": "10s"}]
    plain = calls_of(
        calls, settled, wire(serve(route=[{"to": "web"}], service={"web": {"upstreams": [address]}}))
    )
    every = calls_of(calls, settled, wire(serve(route=routes, service={"web": cautious})))
    budget = len(plain) + RESILIENCE_CALLS
    assert len(every) <= budget, f"{len(every)} calls, {budget} are allowed:\n{listing(every)}"


class Fetch:
    """A fetch that the upstream holds up until others wait for it, and the workers that it keeps busy."""

    def __init__(self, calls: Calls, settled: Callable[[], None]) -> None:
        self._calls, self._settled = calls, settled
        self.workers = 0
        self.seen: list[Call] = []

    @contextlib.contextmanager
    def stage(self) -> Iterator[None]:
        """Around what makes the proxy go on, up to its next wait."""
        self._settled()
        self._calls.clear()
        yield
        self._settled()
        self.workers += len({call.thread for call in self._calls if is_worker(call.thread)})
        self.seen += self._calls


def test_a_collapsed_request_visits_no_more_workers_than_its_budget(
    calls, settled, origin, serve, wire, until
):
    gate = threading.Event()

    def script(asked) -> bytes | None:
        return hello if gate.wait(20) else None

    hello = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    server = origin(script)
    proxy = serve(server, caching=RouteCache(ttl="1h", coalesce=True))
    leader, follower = wire(proxy), wire(proxy)
    assert any(map(is_worker, threading.enumerate())), "by what name are workers told?"

    def fetch(target: str, clients: list) -> Fetch:
        gate.clear()
        asked, found = len(server.asked) + 1, Fetch(calls, settled)
        for waiting, client in enumerate(clients):
            with found.stage():
                client.send(f"GET {target} HTTP/1.1\r\nHost: shop.test\r\n\r\n")
                until(lambda now=(asked, waiting): (len(server.asked), proxy.stats()["waiting"]) == now)
        with found.stage():
            gate.set()
            assert [client.answer().body for client in clients] == [b"hello"] * len(clients)
        return found

    alone = [fetch(f"/alone/{number}", [leader]) for number in range(5)]
    both = [fetch(f"/both/{number}", [leader, follower]) for number in range(5)]
    assert proxy.stats()["collapsed"] == len(both)
    workers = usual_workers(both) - usual_workers(alone)
    assert workers <= FOLLOWER_WORKERS, (
        f"a collapsed request visits {workers} workers, {FOLLOWER_WORKERS} allowed:\n{listing(both[-1].seen)}"
    )


def usual_workers(fetches: list[Fetch]) -> int:
    """How many workers most of the fetches keep busy."""
    ((workers, times),) = Counter(fetch.workers for fetch in fetches).most_common(1)
    assert times > len(fetches) / 2, [fetch.workers for fetch in fetches]
    return workers
