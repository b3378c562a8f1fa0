"""A storm: clients and upstreams that do as they like, on a proxy that is too small, by a seeded chance.

Whatever happens, who stays is answered or hears of the end, and in the end nothing is held by anybody.
"""

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from realproxy import Proxy
from realproxy.cache.store import CacheStore
from realproxy.cache.writer import CacheWriter
from realproxy.control.instance import Instance
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import WouldBlock
from realproxy.proxying import pipeline
from realproxy.proxying.context import Outcome
from realproxy.upstream.round_trip import RoundTrip
from realproxy.upstream.service import Service

DEADLINE = 30.0
"""Seconds after which a client that has heard nothing has been forgotten."""
LONG = 400_000
KINDS = (
    "ok", "ok", "private", "big", "chunked", "unframed", "half", "halfhead", "nothing", "slow", "stale",
    "error", "early", "last", "junk", "hang", "empty", "trickle",
)  # fmt: skip
FIELDS = (
    "", "", "", "Proxytwin-Timeout-Ms: 5\r\n", "Proxytwin-Timeout-Ms: 300\r\n", "Range: bytes=0-1\r\n",
    'If-None-Match: "1"\r\n', "Upgrade: x\r\nConnection: upgrade\r\n",
)  # fmt: skip
SERVICES = ("plain", "cached", "gated", "cachedgated", "hedged", "retried")


class Upstream:
    """Answers by the first part of the path's last segment; never waits for long, but in `hang`."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.over = rng, threading.Event()

    def __call__(self, asked) -> bytes | None:
        kind = asked.target.rpartition("/")[2].partition("-")[0]
        age = b"Cache-Control: max-age=60\r\n"
        _ = asked.body
        return getattr(self, f"_{kind}", self._ok)(asked, age)

    def _ok(self, asked, age: bytes) -> bytes:
        body = b"" if asked.method == "HEAD" else b"hello"
        return b"HTTP/1.1 200 X\r\n%bContent-Length: 5\r\n\r\n%b" % (age, body)

    def _private(self, asked, age: bytes) -> bytes:
        return self._ok(asked, b"Cache-Control: no-store\r\n")

    def _stale(self, asked, age: bytes) -> bytes:
        return self._ok(asked, b'Cache-Control: max-age=0, stale-while-revalidate=60\r\nETag: "1"\r\n')

    def _last(self, asked, age: bytes) -> bytes:
        return self._ok(asked, age + b"Connection: close\r\n")

    def _early(self, asked, age: bytes) -> bytes:
        return b"HTTP/1.1 103 X\r\n\r\n" + self._ok(asked, age)

    def _slow(self, asked, age: bytes) -> bytes:
        self.over.wait(0.02)
        return self._ok(asked, age)

    def _big(self, asked, age: bytes) -> bytes:
        body = b"" if asked.method == "HEAD" else bytes(LONG)
        return b"HTTP/1.1 200 X\r\n%bContent-Length: %d\r\n\r\n%b" % (age, LONG, body)

    def _chunked(self, asked, age: bytes) -> bytes:
        body = b"" if asked.method == "HEAD" else b"3e8\r\n%b\r\n" % bytes(1000) * 300 + b"0\r\n\r\n"
        return b"HTTP/1.1 200 X\r\n%bTransfer-Encoding: chunked\r\n\r\n%b" % (age, body)

    def _trickle(self, asked, age: bytes) -> bytes | None:
        for byte in self._ok(asked, age):
            asked.sock.sendall(bytes([byte]))
        return b""

    def _unframed(self, asked, age: bytes) -> None:
        asked.sock.sendall(b"HTTP/1.1 200 X\r\n\r\nhello")

    def _half(self, asked, age: bytes) -> None:
        asked.sock.sendall(self._big(asked, age)[: self.rng.randrange(60, LONG // 2)])

    def _halfhead(self, asked, age: bytes) -> None:
        asked.sock.sendall(b"HTTP/1.1 200 X\r\nContent-")
        self.over.wait(self.rng.choice((0.0, 0.5)))

    def _nothing(self, asked, age: bytes) -> None:
        return None

    def _hang(self, asked, age: bytes) -> None:
        self.over.wait(0.6)

    def _error(self, asked, age: bytes) -> bytes:
        return b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"

    def _empty(self, asked, age: bytes) -> bytes:
        return b'HTTP/1.1 304 X\r\nETag: "1"\r\n\r\n' if asked["if-none-match"] else b"HTTP/1.1 204 X\r\n\r\n"

    def _junk(self, asked, age: bytes) -> bytes:
        return self.rng.choice(
            (b"HTTP/1.1 what\r\n\r\n", b"HTTP/1.1 200 X\r\nContent-Length: x\r\n\r\n", b"\0" * 100)
        )


def settings(rng: random.Random, addresses: list[str]) -> dict:
    """A small proxy, with something of everything."""
    first, second = addresses
    cached = {"cache": {"coalesce": rng.random() < 0.8, "wait": rng.choice(("50ms", "5s"))}}
    return {
        "limits": {
            "threads": rng.randint(1, 3),
            "connections": rng.randint(3, 12),
            "queue": rng.choice((1, 2, 20)),
            "answer_timeout": "300ms",
            "header_timeout": "1s",
            "idle_timeout": "2s",
            "upstream_idle": rng.choice(("20ms", "5s")),
            "drain": rng.choice(("0s", "100ms", "5s")),
        },
        "cache": {"policy": "lru", "capacity": rng.choice(("100KiB", "10MB"))},
        "forward": {
            "private_targets": True,
            "protocols": ["http", "connect", "socks5"],
            "connect_ports": [int(first.rpartition(":")[2])],
        },
        "route": [
            {"when": {"path": f"/{name}/*"}, "to": name, **(cached if name.startswith("cached") else {})}
            for name in SERVICES
        ],
        "service": {
            "plain": {"upstreams": [first]},
            "cached": {"upstreams": [first]},
            "gated": {
                "upstreams": [first, second],
                "balance": "least_requests",
                "queue": {"in_flight": 1, "wait": rng.choice(("0s", "30ms", "1s"))},
                **rng.choice(({}, {"limit": {"initial": 2}, "queue": {"wait": "30ms", "order": "lifo"}})),
                "breaker": {"failures": 3, "open": "20ms"},
            },
            "cachedgated": {"upstreams": [first], "queue": {"in_flight": 1, "wait": "500ms"}},
            "hedged": {"upstreams": [first, second], "hedge": {"after": "10ms"}},
            "retried": {
                "upstreams": [first, second],
                "retry": {"attempts": 3, "budget": 0.5},
                "eject": {"errors": 3, "for": "20ms", "grow": True, "every": "50ms"},
                "slow_start": rng.choice(("0s", "100ms")),
            },
        },
    }  # fmt: skip


class Visitor:
    """A client that does `rounds` things by chance; `wrong` is what it has met and must not."""

    def __init__(self, wires, port: int, target: str, rng: random.Random, rounds: int) -> None:
        self.wires, self.port, self.target, self.rng, self.rounds = wires, port, target, rng, rounds
        self.wrong: list[str] = []
        self.doing, self.may_be_cut_off = "", False

    def run(self) -> None:
        for _ in range(self.rounds):
            thing = self.rng.choice(
                (
                    *[self._ask] * 4,
                    self._leave,
                    self._tunnel,
                    self._half_a_head,
                    self._post,
                    self._nonsense,
                    self._socks,
                )
            )
            self.doing = thing.__name__
            try:
                client = self.wires(self.port)
            except OSError:
                return  # the proxy has stopped
            client.sock.settimeout(DEADLINE)
            try:
                thing(client)
            except TimeoutError:
                self.wrong.append(f"{self.doing}: forgotten")
            except (OSError, EOFError, ValueError):
                pass  # heard of the end
            finally:
                client.close()

    def _request(self, method: str = "GET", fields: str = "") -> str:
        rng = self.rng
        kind, number = rng.choice(KINDS), rng.randint(0, 2)
        path = f"/{rng.choice(SERVICES)}/{kind}-{number}"
        if rng.random() < 0.05:
            path = f"http://{self.target}{path}"
        self.doing += f" {method} {path}"
        return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"

    def _ask(self, client) -> None:
        """Some requests, in one piece or one after the other; the first must be answered."""
        rng = self.rng
        methods = [rng.choice(("GET", "GET", "GET", "HEAD", "DELETE")) for _ in range(rng.randint(1, 4))]
        partly = rng.choice(FIELDS)
        requests = [self._request(method, partly) for method in methods]
        answered = 0
        try:
            if rng.random() < 0.5:
                client.send("".join(requests))
                if rng.random() < 0.3:
                    client.sock.shutdown(socket.SHUT_WR)
                for method in methods:
                    self._answer(client, method)
                    answered += 1
            else:
                for method, request in zip(methods, requests, strict=True):
                    client.send(request)
                    self._answer(client, method)
                    answered += 1
        except (EOFError, ConnectionError) as error:
            if not (answered or self.may_be_cut_off or getattr(client, "begun", False)):
                self.wrong.append(f"{self.doing}: no answer but {error!r}")

    def _answer(self, client, method: str) -> None:
        """Read an answer with those that come before it; whether it is whole is not of interest here."""
        with contextlib.suppress(ValueError):  # a chunk is cut off
            while client.reader.peek(1):
                client.begun = True
                if client.answer(method).status >= 200:
                    return
        raise EOFError

    def _leave(self, client) -> None:
        """Goes away in the middle, without a word or with a reset."""
        client.send("".join(self._request() for _ in range(self.rng.randint(1, 3))))
        if self.rng.random() < 0.5:
            client.sock.recv(self.rng.choice((1, 1000, 100_000)))
        if self.rng.random() < 0.5:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _half_a_head(self, client) -> None:
        client.send(self._request()[:-3])
        if self.rng.random() < 0.2:
            client.answer()

    def _tunnel(self, client) -> None:
        client.send(f"CONNECT {self.target} HTTP/1.1\r\nHost: {self.target}\r\n\r\n")
        if client.answer("CONNECT").status == 200 and self.rng.random() < 0.8:
            client.send(GET_OK).answer()

    def _nonsense(self, client) -> None:
        client.send(self.rng.choice(("NONSENSE\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "\x04", "\x05\x01\x02")))
        if self.rng.random() < 0.5:
            client.reader.read()

    def _socks(self, client) -> None:
        port = int(self.target.rpartition(":")[2])
        client.send(b"\x05\x01\x00")
        if client.reader.read(2) == b"\x05\x00":
            client.send(b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + port.to_bytes(2, "big"))
            if client.reader.read(10)[:2] == b"\x05\x00" and self.rng.random() < 0.8:
                client.send(GET_OK).answer()

    def _post(self, client) -> None:
        size = self.rng.choice((0, 10, 300_000))
        client.send(self._request("POST", f"Content-Length: {size}\r\n"))
        if self.rng.random() < 0.9:
            client.send(bytes(size))
            client.answer()


GET_OK = "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def proxy_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("proxy-")}


def held(running: Instance) -> dict[str, object]:
    """What somebody holds, or waits for."""
    now, stats = running._now, running.stats()
    collapser, store = now.snapshot.collapser, now.snapshot.store
    found = {key: stats[key] for key in ("connections", "tunnels", "waiting", "queued", "awaiting")}
    found["outstanding"] = sum(one["outstanding"] for all_ in stats["upstreams"].values() for one in all_)
    found["in line"] = sum(service["waiting"] for service in stats["services"].values())
    gates = [one.decisions.queue for one in now.snapshot.services.values()]
    found["in flight"] = sum(queue.in_flight for queue in gates if queue)
    found["places"] = running._workers.slots._taken
    found["under way"] = len(now.server.under_way)
    found["flights"] = len(collapser._flights) + len(collapser._in_progress) + len(store._revalidating)
    found["upstream connections"] = len(now.snapshot.pool._in_use)
    found["retiring"] = sum(thread.is_alive() for thread in running._retiring)
    return {key: value for key, value in found.items() if value}


class Storm:
    """One storm.

    Parameters
    ----------
    seed : int
        Of all chance.
    origin, wires : callable
        Make an origin, and a client's connection to a port.
    inside : callable
        The running instance of a proxy.
    visitors, rounds, reloads : int
        Clients, what each does one after the other, and how often the settings change meanwhile.
    """

    def __init__(self, seed: int, origin, wires, inside, visitors=6, rounds=10, reloads=3) -> None:
        self.seed, self.rng, self.reloads = seed, random.Random(seed), reloads
        self.script = Upstream(random.Random(f"{seed}/upstream"))
        self.addresses = [origin(self.script).address for _ in range(2)]
        self.told: list[str] = []
        self.threads_before, self.files_before = set(threading.enumerate()), open_files()
        self.proxy = Proxy(**settings(self.rng, self.addresses), seed=seed)
        self.proxy.start()
        self.running = inside(self.proxy)
        self.visitors = [
            Visitor(wires, self.proxy.port, self.addresses[0], random.Random(f"{seed}/{number}"), rounds)
            for number in range(visitors)
        ]
        self.threads = [threading.Thread(target=visitor.run) for visitor in self.visitors]

    def run(self, *, to_the_end: bool) -> None:
        """Let it rage, and stop the proxy when it is over, or before; asserts that nothing is wrong."""
        hook, threading.excepthook = threading.excepthook, self._tell
        try:
            for thread in self.threads:
                thread.start()
            for _ in range(self.reloads):
                self.threads[0].join(self.rng.uniform(0.0, 0.3))
                self.proxy.reload(Proxy(**settings(self.rng, self.addresses)).settings)
            if to_the_end:
                self._join()
                self._until(lambda: held(self.running), "after the storm")
        finally:
            self._stop()
            self._join()
            threading.excepthook = hook
        assert not self.told, (self.seed, self.told)
        wrong = [problem for visitor in self.visitors for problem in visitor.wrong]
        assert not wrong, (self.seed, wrong)
        self._until(lambda: held(self.running), "after the stop")
        self._until(lambda: proxy_threads() - self.threads_before, "threads")
        self._until(lambda: max(0, open_files() - self.files_before), "files")

    def _tell(self, args: threading.ExceptHookArgs) -> None:
        self.told.append(f"{args.thread.name if args.thread else ''}: {args.exc_value!r}")

    def _join(self) -> None:
        for thread in self.threads:
            thread.join(DEADLINE * 10)

    def _until(self, remains, when: str) -> None:
        """Wait until nothing remains: clients may need a moment to notice the end."""
        end = time.monotonic() + DEADLINE
        while found := remains():
            assert time.monotonic() < end, (self.seed, when, found)
            time.sleep(0.002)

    def _stop(self) -> None:
        for visitor in self.visitors:
            visitor.may_be_cut_off = True
        start = time.monotonic()
        self.proxy.stop()
        self.script.over.set()
        assert time.monotonic() - start < DEADLINE, (self.seed, "the stop")


@pytest.mark.parametrize("seed", range(3))
def test_after_a_storm_nobody_was_forgotten_and_nothing_is_held(origin, wire, inside, seed):
    Storm(seed, origin, wire, inside).run(to_the_end=True)


@pytest.mark.parametrize("seed", range(3))
def test_a_stop_in_a_storm_leaves_nobody_waiting_and_nothing_behind(origin, wire, inside, seed):
    Storm(seed, origin, wire, inside).run(to_the_end=False)


class Fault(Exception):
    """What no part of the proxy expects."""


LEAVES = (
    (CacheStore, "lookup"), (CacheStore, "put"), (CacheWriter, "start"), (CacheWriter, "write"),
    (DownstreamConnection, "send"), (RoundTrip, "open"), (RoundTrip, "send"), (RoundTrip, "try_receive_head"),
    (RoundTrip, "wait_for_head"), (RoundTrip, "more"), (RoundTrip, "recover"), (Service, "endpoint"),
)  # fmt: skip


@pytest.fixture(params=[0.0, 0.01], ids=["sound", "faulty"])
def stumbling(request, monkeypatch) -> float:
    """Requests are left to workers at any phase, and this share of calls raises a fault of the program."""
    rng, faults = random.Random(1), request.param

    def stumbles(function: Callable) -> Callable:
        """A fault before the call or, if the outcome is None or a value, behind it."""

        def call(*arguments, **keywords):
            if rng.random() < faults:
                raise Fault
            found = function(*arguments, **keywords)
            if not isinstance(found, Outcome) and rng.random() < faults:
                raise Fault
            return found

        return call

    def leaves(phase: Callable) -> Callable:
        def run(context):
            if not context.may_block and rng.random() < 0.1:
                raise WouldBlock
            return phase(context)

        return run

    monkeypatch.setattr(pipeline, "PHASES", tuple(stumbles(leaves(phase)) for phase in pipeline.PHASES))
    for owner, name in LEAVES:
        monkeypatch.setattr(owner, name, stumbles(getattr(owner, name)))
    return faults


@pytest.mark.parametrize("to_the_end", [True, False], ids=["to the end", "a stop"])
def test_a_program_that_stumbles_gives_back_what_it_held(origin, wire, inside, stumbling, to_the_end):
    storm = Storm(11, origin, wire, inside)
    for visitor in storm.visitors:
        visitor.may_be_cut_off = stumbling > 0
    tell = storm._tell
    storm._tell = lambda args: None if args.exc_type is Fault else tell(args)
    storm.run(to_the_end=to_the_end)
