"""Wherever the event loop's thread leaves a request to a worker, the result is the same.

Each scenario is played once as it comes, and then again and again: at a point by chance, the event loop's
thread would have to wait in each of its requests. Clients, upstreams, log and counters must not notice.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.settings.faults import Error
from realproxy import Forward, Limits, Log, Proxy, Route, RouteCache, Service
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import WouldBlock
from realproxy.http1 import Malformed
from realproxy.proxying import pipeline
from realproxy.proxying.context import RequestContext
from realproxy.runtime.slots import Slots
from realproxy.upstream import round_trip
from realproxy.upstream.connection import UpstreamConnection
from realproxy.upstream.pool import ConnectionPool

NOWHERE = "nowhere"
LEAVES = ("slot", "begin", "idle connection", "send", "receive", "parse", "client")
"""Leaves: what a phase calls that could wait, or that finds nothing."""
POINTS = (NOWHERE, *(phase.__name__ for phase in pipeline.PHASES), *LEAVES)
EXAMPLES = 25
MOST_REQUESTS = 6
LOGGED = (
    "client", "side", "method", "host", "target", "status", "bytes", "received", "route", "service",
    "upstream", "attempts", "fault", "cache", "end", "detail", "user",
)  # fmt: skip
COUNTED = (
    "requests", "answers", "ends", "errors", "hits", "misses", "collapsed", "cache_objects", "cache_bytes",
    "upstreams", "services",
)  # fmt: skip
COLLAPSE = RouteCache(coalesce=True, wait="60s")


class Forced:
    """Makes the event loop's thread leave requests to a worker, each where `points` say.

    The requests are told apart by the field ``N``, their number.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.points: list[str] = []
        self.here = NOWHERE
        """The point of the request that the event loop's thread is at."""
        patch.setattr(pipeline, "PHASES", tuple(map(self._phase, pipeline.PHASES)))
        self._leaf(patch, Slots, "try_acquire", "slot", lambda: False)
        self._leaf(patch, ConnectionPool, "acquire_idle", "idle connection", lambda: None)
        self._leaf(patch, UpstreamConnection, "try_send", "send", lambda: False)
        self._leaf(patch, UpstreamConnection, "try_receive", "receive", self._would_block)
        self._leaf(patch, round_trip.RoundTrip, "open", "begin", self._would_block)
        parse = round_trip.parse_response

        def parse_response(*arguments: Any) -> Any:
            if self._is_at("parse"):
                raise Malformed(502, "forced")
            return parse(*arguments)

        patch.setattr(round_trip, "parse_response", parse_response)
        send_some = DownstreamConnection._send_some

        def keep_all(client: DownstreamConnection, pieces: Any) -> int:
            if self._is_at("client"):
                client.unsent += pieces
                return sum(map(len, pieces))
            return send_some(client, pieces)

        patch.setattr(DownstreamConnection, "_send_some", keep_all)

    def _is_at(self, point: str) -> bool:
        return self.here == point and threading.current_thread().name == "proxy-front"

    @staticmethod
    def _would_block() -> None:
        raise WouldBlock

    def _leaf(
        self,
        patch: pytest.MonkeyPatch,
        owner: type,
        name: str,
        point: str,
        instead: Callable[[], object],
    ) -> None:
        real = getattr(owner, name)

        def leaf(self_: object, *arguments: Any) -> object:
            return instead() if self._is_at(point) else real(self_, *arguments)

        patch.setattr(owner, name, leaf)

    def _phase(self, phase: Callable[[RequestContext], Any]) -> Callable[[RequestContext], Any]:
        def run(request: RequestContext) -> Any:
            if request.may_block:
                return phase(request)
            number = int(request.head.fields.text("n") or -1)
            self.here = self.points[number] if 0 <= number < len(self.points) else NOWHERE
            if self.here == phase.__name__:
                raise WouldBlock
            try:
                return phase(request)
            finally:
                self.here = NOWHERE

        return run


class Stage:
    """One proxy, its origins, and all that came of what was asked."""

    def __init__(
        self, proxy: Proxy, origins: list[Any], wires: Callable[[Any], Any], until: Callable
    ) -> None:
        self.proxy, self.origins, self._wires, self.until = proxy, origins, wires, until
        self.seen: list[object] = []
        self._number = 0
        self.clients: list[Any] = []

    def connect(self) -> Any:
        self.clients.append(self._wires(self.proxy))
        return self.clients[-1]

    def head(self, line: str, *fields: str, host: str = "a") -> bytes:
        """The head of the next request; the field N is its number, or the last one for further ones."""
        lines = [f"{line} HTTP/1.1", f"Host: {host}", f"N: {self._number}", *fields, "", ""]
        self._number += 1
        return "\r\n".join(lines).encode()

    def read(self, client: Any, method: str = "GET") -> Any:
        """Read a response, with the interim ones before it, and note it."""
        while True:
            answer = client.answer(method)
            fields = [(name, value) for name, value in answer.fields if name.lower() not in ("date", "age")]
            self.seen.append((answer.line, fields, answer.body, answer.trailers))
            if answer.status >= 200:
                return answer

    def ask(self, client: Any, line: str, *fields: str, body: bytes = b"", host: str = "a") -> Any:
        client.send(self.head(line, *fields, host=host) + body)
        return self.read(client, line.partition(" ")[0])

    def ended(self, client: Any) -> None:
        assert client.ended()
        self.seen.append("the end")

    def warm(self) -> None:
        """Leave an idle connection to each origin behind, in the pool."""
        client = self.connect()
        for _ in self.origins:
            assert client.ask("/warm").status == 200
        assert self.proxy.stats()["upstream_idle"] == len(self.origins)


Scenario = Callable[[Stage], None]
SCENARIOS: dict[str, tuple[Scenario, Callable[..., dict[str, Any]], list[Callable]]] = {}


def answer(fields: bytes = b"", body: bytes = b"hello", status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


KEEP = b"Cache-Control: max-age=60\r\n"
PLAIN = {
    "warm": answer(b"Cache-Control: no-store\r\n"),
    "chunked": b"HTTP/1.1 200 X\r\n%bTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" % KEEP,
    "big": answer(KEEP, bytes(300_000)),
    "early": b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" + answer(KEEP),
    "last": answer(KEEP + b"Connection: close\r\n"),
}


def plain(asked: Any) -> bytes | None:
    kind = asked.target.rpartition("/")[2]
    if kind == "echo":
        return answer(b"Seen: %d\r\n" % len(asked.body), asked.body[:50])
    if kind == "unframed":
        asked.sock.sendall(b"HTTP/1.1 200 X\r\n\r\nall of it")
        return None
    if asked.method == "HEAD":
        return b"HTTP/1.1 200 X\r\n%bContent-Length: 5\r\n\r\n" % KEEP
    return PLAIN.get(kind, answer(KEEP))


def busy(asked: Any) -> bytes | None:
    return plain(asked) if asked.target.endswith("/warm") else answer(b"", b"busy", 503)


def drop(asked: Any) -> bytes | None:
    _ = asked.body
    return plain(asked) if asked.target.endswith("/warm") else None


def scenario(*scripts: Callable, **keywords: Any) -> Callable[[Scenario], Scenario]:
    """A scenario with these origins; `keywords` are the service's settings, with `caching` of its route."""

    def note(play: Scenario) -> Scenario:
        def make(addresses: list[str]) -> dict[str, Any]:
            service = dict(keywords)
            route = [Route(to="web", cache=service.pop("caching", None))]
            route = service.pop("routes", []) + route
            more = service.pop("services", {})
            forward, limits = service.pop("forward", None), service.pop("limits", {})
            return {
                "route": route,
                "forward": forward,
                "service": {"web": Service(upstreams=addresses, **service), **more},
                "limits": Limits(drain="2s", **limits),
            }

        SCENARIOS[play.__name__] = play, make, list(scripts) or [plain]
        return play

    return note


@scenario()
def passed_through(stage: Stage) -> None:
    client = stage.connect()
    for line in ("GET /1", "HEAD /2", "GET /big", "GET /chunked", "DELETE /3", "GET /unframed"):
        stage.ask(client, line)


@scenario()
def more_passed_through(stage: Stage) -> None:
    client = stage.connect()
    for line in ("GET /early", "OPTIONS /1", "GET /last", "GET /2"):
        stage.ask(client, line)
    stage.ask(client, "GET /3", "Connection: close")
    stage.ended(client)


@scenario()
def a_pipeline(stage: Stage) -> None:
    client = stage.connect()
    client.send(b"".join(stage.head(f"GET /{number}") for number in range(5)))
    for _ in range(5):
        stage.read(client)


@scenario(caching=RouteCache(ttl="1h"))
def hits(stage: Stage) -> None:
    client = stage.connect()
    stage.ask(client, "GET /page")
    stage.until(lambda: stage.proxy.stats()["cache_objects"] == 1)
    for line, field in (
        ("GET", "X: y"),
        ("HEAD", "X: y"),
        ("GET", "Range: bytes=1-2"),
        ("POST", "Content-Length: 0"),
    ):
        stage.ask(client, f"{line} /page", field)
    stage.ask(client, "GET /page", "Cache-Control: only-if-cached")


@scenario(caching=COLLAPSE)
def stored_misses(stage: Stage) -> None:
    client = stage.connect()
    for line in ("GET /1", "GET /big", "GET /chunked", "GET /1", "GET /early"):
        stage.ask(client, line)
    stage.ask(client, "GET /2", "Cache-Control: only-if-cached")


class Gate:
    """Holds the responses to `/slow` up until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    def __call__(self, asked: Any) -> bytes | None:
        if asked.target.endswith("/slow"):
            assert self.opened.wait(60)
        return plain(asked)


@scenario(Gate, caching=COLLAPSE)
def collapsed(stage: Stage) -> None:
    clients = [stage.connect() for _ in range(4)]
    for number, client in enumerate(clients):
        client.send(stage.head("GET /slow", *(["Range: bytes=1-2"] if number == 3 else [])))
        stage.until(
            lambda now=number: (
                stage.proxy.stats()["waiting"] == now
                and [asked.target for asked in stage.origins[0].asked].count("/slow") == 1
            )
        )
    stage.origins[0].script.opened.set()
    for client in clients:
        stage.read(client)
    stage.ask(clients[0], "GET /slow")


@scenario(busy, plain, retry={"attempts": 2})
def retries_after_errors(stage: Stage) -> None:
    client = stage.connect()
    for line in ("GET /1", "GET /2", "POST /3", "PUT /4", "GET /5"):
        stage.ask(client, line, "Content-Length: 0")


@scenario(drop, plain, retry={"attempts": 2, "budget": 0.5})
def retries_after_an_end(stage: Stage) -> None:
    client = stage.connect()
    for line in ("GET /1", "GET /2", "GET /3", "PUT /4"):
        stage.ask(client, line, "Content-Length: 0")


@scenario(drop)
def upstreams_that_end(stage: Stage) -> None:
    client = stage.connect()
    for line in ("GET /1", "POST /2", "GET /3"):
        stage.ask(client, line, "Content-Length: 0")


class Failing:
    """Answers once, and is broken from then on."""

    def __init__(self) -> None:
        self.answered = False

    def __call__(self, asked: Any) -> bytes | None:
        if asked.target == "/warm":
            return plain(asked)
        if self.answered:
            return answer(b"", b"oops", 500) if asked.target == "/page?500" else None
        self.answered = asked.target == "/page?500"
        return answer(b'Cache-Control: max-age=0, stale-if-error=60\r\nETag: "1"\r\n')


@scenario(Failing, caching=RouteCache(coalesce=True))
def stale_if_error(stage: Stage) -> None:
    client = stage.connect()
    for path in ("/page", "/page?500", "/page", "/page?500", "/other"):
        stage.ask(client, f"GET {path}")


def confirms(asked: Any) -> bytes | None:
    if asked.target == "/warm":
        return plain(asked)
    if asked["if-none-match"]:
        return b'HTTP/1.1 304 X\r\nCache-Control: max-age=0\r\nETag: "1"\r\n\r\n'
    return answer(b'Cache-Control: max-age=0\r\nETag: "1"\r\n')


@scenario(confirms, caching=COLLAPSE)
def revalidated(stage: Stage) -> None:
    client = stage.connect()
    for fields in ((), (), ('If-None-Match: "1"',), ("Range: bytes=0-0",)):
        stage.ask(client, "GET /page", *fields)


class Updated:
    """Allows its responses to be used while they are validated."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, asked: Any) -> bytes | None:
        if asked.target == "/warm":
            return plain(asked)
        self.count += 1
        age = 0 if self.count == 1 else 60
        return answer(b"Cache-Control: max-age=%d, stale-while-revalidate=60\r\n" % age, b"%d" % self.count)


@scenario(Updated, caching=RouteCache())
def stale_while_revalidate(stage: Stage) -> None:
    client = stage.connect()
    stage.ask(client, "GET /page")
    stage.ask(client, "GET /page")
    stage.until(lambda: stage.origins[0].script.count == 2)
    stage.until(lambda: not stage.proxy._running._now.snapshot.store._revalidating)
    stage.ask(client, "GET /page")


@scenario(rate="3/h")
def rate_limited(stage: Stage) -> None:
    client = stage.connect()
    statuses = [stage.ask(client, f"GET /{number}").status for number in range(4)]
    assert statuses.count(429) > 0


@scenario(drop, breaker={"failures": 2, "open": "1h"}, queue={"in_flight": 1})
def breaker_and_queue(stage: Stage) -> None:
    client = stage.connect()
    assert [stage.ask(client, f"GET /{number}").status for number in range(4)] == [502, 502, 503, 503]


FORWARD = Forward(private_targets=True, auth={"me": "secret"}, cache=True, coalesce=True, block=["bad.test"])
BASIC = "Proxy-Authorization: Basic bWU6c2VjcmV0"


@scenario(forward=FORWARD)
def forwarded(stage: Stage) -> None:
    client, host = stage.connect(), stage.origins[0].address
    stage.ask(client, f"GET http://{host}/1", BASIC, host=host)
    stage.ask(client, f"GET http://{host}/1", BASIC, host=host)
    stage.ask(client, f"GET http://{host}/2", host=host)
    stage.ask(client, "GET http://bad.test/", BASIC, host="bad.test")
    stage.ask(client, f"GET http://{host}/3", BASIC, "Max-Forwards: 1", host=host)
    stage.ask(client, f"OPTIONS http://{host}/4", BASIC, "Max-Forwards: 0", host=host)


@scenario(forward=Forward(private_targets=True, connect_ports=list(range(1, 65536))[1023:], cache=False))
def tunnels(stage: Stage) -> None:
    host = stage.origins[0].address
    client = stage.connect()
    stage.ask(client, f"CONNECT {host}", host=host)
    client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    stage.read(client)
    client.close()
    stage.until(lambda: stage.proxy.stats()["tunnels"] == 0)
    client = stage.connect()
    stage.ask(client, "CONNECT 127.0.0.1:1", host="127.0.0.1:1")
    stage.ended(client)


def switches(asked: Any) -> bytes | None:
    if not asked["upgrade"]:
        return plain(asked)
    asked.sock.sendall(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst")
    asked.sock.sendall(asked.reader.readline())
    return None


@scenario(switches)
def upgraded(stage: Stage) -> None:
    client = stage.connect()
    stage.ask(client, "GET /1")
    client.send(stage.head("GET /2", "Connection: upgrade", "Upgrade: echo") + b"second\n")
    stage.seen.append(client.head().fields)
    stage.seen.append(client.reader.read())


@scenario()
def uploads(stage: Stage) -> None:
    client = stage.connect()
    stage.ask(client, "POST /echo", "Content-Length: 5", body=b"hello")
    stage.ask(client, "POST /echo", "Content-Length: 300000", body=bytes(300_000))
    chunks = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n"
    stage.ask(client, "PUT /echo", "Transfer-Encoding: chunked", body=chunks)
    stage.ask(client, "GET /1")
    stage.ask(client, "POST /echo", "Transfer-Encoding: chunked", body=b"nonsense\r\n")
    stage.ended(client)


OWN = [
    Route(when={"path": "/own"}, respond=403),
    Route(when={"path": "/fault"}, to="web", fault=[Error(kind="error", status=418)]),
]


@scenario(routes=OWN)
def its_own_replies(stage: Stage) -> None:
    client = stage.connect()
    stage.ask(client, "POST /own", "Content-Length: 5", body=b"hello")
    stage.ask(client, "GET /fault")
    stage.ask(client, "TRACE /1", "Max-Forwards: 0")
    stage.ask(client, "GET /1", f"Via: {', '.join(['1.1 x'] * 40)}")
    stage.ask(client, "GET https://a/1")
    stage.ended(client)


IN = {"set": {"X-In": "1"}, "add": {"X-List": "b"}, "remove": ["X-Gone"]}
OUT = {"set": {"X-Out": "1"}, "remove": ["Via"]}
DOOR = [
    Route(
        when={"prefix": "/door"},
        rewrite={"strip": "/door", "prefix": "/v2", "host": "inner.test"},
        request=IN,
        response=OUT,
        cors={"origins": ["https://a.test"], "credentials": True},
        cache=COLLAPSE,
        body="8B",
        to={"web": 3, "503": 1},
        sticky="cookie:arm",
        override={"header": "X-Arm"},
        mirror={"to": "copy", "share": 0.5},
    ),
    Route(when={"prefix": "/old"}, redirect={"scheme": "https", "strip": "/old"}, response=OUT),
    Route(when={"prefix": "/secret"}, auth={"me": "secret"}, to="web"),
]
"""What an ingress does, all at once. Nobody listens where the copies go."""


COPIES = {"copy": Service(upstreams=["127.0.0.1:1"])}
PAGE = "Origin: https://a.test"


@scenario(routes=DOOR, services=COPIES)
def a_door(stage: Stage) -> None:
    client = stage.connect()
    stage.ask(client, "GET /door/1", PAGE, "Cookie: arm=4", "X-List: a", "X-Gone: x")
    stage.ask(client, "GET /door/1", "Cookie: arm=4")
    stage.ask(client, "GET /door/%2e%2e/door/2", PAGE)
    stage.ask(client, "POST /door/echo", "X-Arm: web", "Content-Length: 5", body=b"hello")
    stage.ask(client, "GET /door/chunked", PAGE, "X-Arm: web")
    stage.ask(client, "GET /door/3", "X-Arm: 503")
    stage.until(lambda: stage.proxy.stats()["mirrors"][0]["in_flight"] == 0)
    stage.seen.append(stage.proxy.stats()["mirrors"])


@scenario(routes=DOOR, services=COPIES)
def what_a_door_answers_itself(stage: Stage) -> None:
    client = stage.connect()
    stage.ask(client, "OPTIONS /door/1", PAGE, "Access-Control-Request-Method: GET")
    stage.ask(client, "GET /old/1?q")
    stage.ask(client, "GET /secret")
    stage.ask(client, "GET /secret", "Authorization: Basic bWU6c2VjcmV0")
    stage.ask(client, "OPTIONS /door/1", PAGE, "X-Arm: web")
    stage.ask(client, "POST /door/1", "Content-Length: 9", body=b"too large")
    stage.until(lambda: stage.proxy.stats()["mirrors"][0]["in_flight"] == 0)


ENDED = ("retries_after_an_end", "upstreams_that_end", "stale_if_error")
"""Where an upstream ends connections: it gets a request once more if the connection was a kept one."""


@contextlib.contextmanager
def staged(
    name: str, origins: list[Any], wires: Callable[[Any], Any], until: Callable, held: Callable, log: Path
) -> Iterator[tuple[Stage, dict[str, object]]]:
    """Play a scenario; what came of it is in the dict once the proxy has stopped."""
    play, make, scripts = SCENARIOS[name]
    for server, script in zip(origins, scripts, strict=True):
        server.script = script() if isinstance(script, type) else script
        server.asked.clear()
    log.unlink(missing_ok=True)
    found: dict[str, object] = {}
    with Proxy(**make([one.address for one in origins]), log=Log(file=str(log)), seed=1) as proxy:
        stage = Stage(proxy, origins, wires, until)
        if "rate" not in name and "breaker" not in name:
            stage.warm()
        for server in origins:
            server.asked.clear()
        play(stage)
        for client in stage.clients:
            client.close()
        until(lambda: not held(proxy))
        stats = proxy.stats()
        found["counted"] = {key: stats[key] for key in COUNTED}
        yield stage, found
    found["answers"] = stage.seen
    found["asked"] = [
        [(one.line, [field for field in one.fields if field[0] != "traceparent"]) for one in server.asked]
        for server in origins
    ]
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    found["log"] = sorted(str({key: line[key] for key in LOGGED}) for line in lines)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_result_does_not_depend_on_where_a_worker_takes_over(
    origin, wire, until, held, tmp_path, name, monkeypatch
):
    forced = Forced(monkeypatch)
    origins = [origin() for _ in SCENARIOS[name][2]]

    def play(points: list[str]) -> dict[str, Any]:
        forced.points = points
        with staged(name, origins, wire, until, held, tmp_path / "log") as (_, found):
            pass
        return found

    usual = play([])
    points = st.sampled_from([point for point in POINTS if point != "send" or name not in ENDED])

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(points, min_size=MOST_REQUESTS, max_size=MOST_REQUESTS))
    def alike(points: list[str]) -> None:
        assert play(points) == usual

    alike()
