"""Replay a scenario's workload on a real proxy, with greenlets.

Closed load: there is one greenlet per user. It sends a request, waits for the response, thinks, and sends
the next request. Open load: one dispatcher starts a greenlet at each arrival, no matter how late the
responses are. If the workload limits its `connections`, this greenlet waits for a free one.

All streams start at the same moment, after all users are connected. The greenlets of one thread share a
`Replay`. Each client has a separate address on the loopback, so that the proxy sees different clients. If
the proxy is on another machine, all requests come from one address.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat

import gevent
import numpy as np
from gevent.event import Event
from gevent.lock import DummySemaphore, Semaphore
from gevent.pool import Group

from loadtests.users.cache_status import CacheStatusReader
from loadtests.users.connection import Connection, Exchange
from loadtests.users.doors import Door, doors_by_client
from loadtests.users.timer import Timer
from scenarios.call_tree import written
from scenarios.latency import latency_draws
from scenarios.records import NO_UPSTREAM, Records
from scenarios.schema import Scenario
from scenarios.workload import Request, Workload, client_address

_LEAD_S = 0.02
"""Seconds between the moment when all users are ready and the start, so that all of them have woken up."""
_SPARE_CONNECTIONS = 32


class Replay:
    """One run of one scenario.

    Parameters
    ----------
    scenario : Scenario
        The scenario with the workload.
    doors : sequence of Door
        The proxies that clients ask.
    grace : float
        Seconds that the replay waits at its end for outstanding responses.
    on_exchange : callable
        Called after each request with its `Exchange`.
    on_start, on_end : callable
        Each called once: at the start, with the time on the monotonic clock, and after the last
        response.
    """

    def __init__(
        self,
        scenario: Scenario,
        doors: Sequence[Door],
        *,
        grace: float,
        on_exchange: Callable[[Exchange], None],
        on_start: Callable[[float], None],
        on_end: Callable[[], None],
    ) -> None:
        self._scenario = scenario
        self._workload = Workload(scenario)
        self._doors = doors_by_client(doors, self._workload.clients)
        self._cache_status = CacheStatusReader(scenario)
        self._latency = latency_draws(scenario.link.client, scenario.seed, "client")
        self._grace = grace
        self._on_exchange, self._on_start, self._on_end = on_exchange, on_start, on_end
        self._backends = list(scenario.backend)
        self._upstreams = {name: number for number, name in enumerate(scenario.replicas)}
        self._rows: list[tuple[object, ...]] = []
        self._planned = 0
        self._timer = Timer()
        self._started, self._start = Event(), 0.0
        self._expected: int | None = None
        self._joined = self._ready = 0
        self._active: set[gevent.Greenlet] = set()
        self._connections: list[Connection] = []
        self._idle: defaultdict[str, list[Connection]] = defaultdict(list)
        self._cookies: dict[str, str] = {}  # the line to send, by client
        most = self._workload.connections
        self._turns = DummySemaphore() if most is None else Semaphore(most)
        self._later: list[gevent.Greenlet] = []
        self._cpu_at_start = self._cpu_share = self._cpu_seconds = 0.0
        self._over = self._abandoned = False

    @property
    def users(self) -> int:
        """Number of greenlets that must call `take_part`."""
        return self._workload.streams

    def all_spawned(self, users: int) -> None:
        """Tell the replay how many users exist; it starts as soon as all of them are ready."""
        self._expected = users
        self._start_if_ready()

    def take_part(self) -> None:
        """Replay the next user's stream from start to end, in the calling greenlet."""
        if self._over:
            return
        number = self._joined
        self._joined += 1
        self._active.add(gevent.getcurrent())
        try:
            if self._workload.closed:
                self._replay_closed(number)
            elif number < self._workload.streams:
                self._replay_open()
            else:
                self._wait_for_start()
        finally:
            self._active.discard(gevent.getcurrent())
            if not self._active:
                self._finish()

    def stop(self) -> None:
        """End the run now; outstanding requests are not recorded."""
        gevent.killall(list(self._active), block=False)

    def records(self) -> Records:
        """All requests with a result so far, in the order in which they were sent."""
        records = Records.from_rows(
            sorted(self._rows, key=lambda row: row[4]),
            list(self._upstreams),
            closed=self._workload.closed,
            caching=self._scenario.caching,
            proxies=len(self._scenario.chain),
            fanout=self._workload.fanout,
        )
        scenario = self._scenario
        return replace(
            records, canary=scenario.canary, services=scenario.services, outage_end=scenario.outage_end
        )

    def health(self) -> dict[str, float]:
        """How punctual the load generator was.

        Returns
        -------
        dict
            ``planned`` and ``sent`` requests; ``lag_mean_ms``, ``lag_p50_ms``, ``lag_p99_ms`` and
            ``lag_max_ms``, by which requests were sent after they were due; ``cpu_seconds`` of
            this process while requests were due, and ``cpu_share`` of one core.
        """
        records = self.records()
        lag = (records.sent - records.due) * 1e3 if len(records) else np.zeros(1)
        p50, p99 = np.percentile(lag, [50, 99]).tolist()
        return {
            "planned": self._planned,
            "sent": len(records),
            "lag_mean_ms": float(lag.mean()),
            "lag_p50_ms": p50,
            "lag_p99_ms": p99,
            "lag_max_ms": float(lag.max()),
            "cpu_seconds": self._cpu_seconds,
            "cpu_share": self._cpu_share,
        }

    def _replay_closed(self, user: int) -> None:
        connections = [self._connect(client_address(user)) for _ in range(self._workload.fanout)]
        stream = self._workload.wholes(user)
        upcoming, seq = next(stream, None), 0
        due = self._wait_for_start()
        while upcoming is not None:
            parts, due = upcoming, due + upcoming[0].pause
            if due >= self._start + self._scenario.duration:
                return
            self._planned += len(parts)
            asked = [(self._encode(part), (user, seq + i, part.object)) for i, part in enumerate(parts)]
            self._timer.sleep_until(due)
            due = self._ask_all(connections, asked, due, parts[0].client)
            upcoming, seq = next(stream, None), seq + len(parts)

    def _replay_open(self) -> None:
        clients = self._scenario.workload.clients
        for number in range(max(clients, _SPARE_CONNECTIONS)):
            address = client_address(number % clients)
            self._idle[address].append(self._connect(address))
        stream = self._workload.wholes(0)
        upcoming, seq, offset = next(stream, None), 0, 0.0
        start = self._wait_for_start()
        under_way = Group()
        while upcoming is not None:
            parts, offset = upcoming, offset + upcoming[0].pause  # added up as in the simulator
            if offset >= self._scenario.duration and self._workload.endless:
                break
            due = start + offset
            self._planned += len(parts)
            asked = [(self._encode(part), (0, seq + i, part.object)) for i, part in enumerate(parts)]
            self._timer.sleep_until(due)
            for (text, who), part in zip(asked, parts, strict=True):
                under_way.spawn(self._ask_once, text, who, due, part.client)
            upcoming, seq = next(stream, None), seq + len(parts)
        under_way.join()

    def _ask_once(self, text: bytes, who: tuple[int, int, int], due: float, client: str) -> None:
        idle = self._idle[client]
        with self._turns:
            if self._abandoned:
                return
            connection = idle.pop() if idle else self._new_connection(client)
            self._ask(connection, text, who, due, client)
            idle.append(connection)

    def _ask_all(
        self,
        connections: list[Connection],
        asked: list[tuple[bytes, tuple[int, int, int]]],
        due: float,
        client: str,
    ) -> float:
        """Send a user's requests at once, each on a connection; returns the time of the last response."""
        if len(asked) == 1:
            return self._ask(connections[0], *asked[0], due, client)
        under_way = Group()
        try:
            sent = [
                under_way.spawn(self._ask, connection, *each, due, client)
                for connection, each in zip(connections, asked, strict=False)
            ]
            under_way.join()
        finally:
            under_way.kill(block=False)
        return max(part.get() for part in sent)

    def _ask(
        self, connection: Connection, text: bytes, who: tuple[int, int, int], due: float, client: str
    ) -> float:
        """Send one request and record it; returns the time of its response."""
        exchange = self._fetch(connection, text)
        if exchange.cookie:
            self._cookies[client] = f"Cookie: {exchange.cookie.partition(';')[0]}\r\n"
        cache = self._cache_status.place(who[2], client, exchange.cache_status)
        upstream = NO_UPSTREAM if cache else self._upstreams.get(exchange.upstream, NO_UPSTREAM)
        # rounded, so that what is due at the end of the warm-up is on the same side of it in both twins
        times = (round(due - self._start, 9), exchange.sent - self._start, exchange.done - self._start)
        self._rows.append((*who, *times, exchange.status, cache, upstream, exchange.size))
        self._on_exchange(exchange)
        return exchange.done

    def _fetch(self, connection: Connection, text: bytes) -> Exchange:
        """Send one request; if the link has a latency, wait for it in both directions."""
        if self._latency is None:
            return connection.fetch(text)
        there, back = self._latency(), self._latency()
        self._timer.sleep_until(time.monotonic() + there)
        exchange = connection.fetch(text)
        arrival = exchange.done + back
        self._timer.sleep_until(arrival)
        return exchange._replace(sent=exchange.sent - there, done=arrival)

    def _encode(self, request: Request) -> bytes:
        names = self._backends
        trees = request.calls or repeat(())
        door = self._doors[request.client]
        work = ";".join(
            written(names, number, seconds, calls)
            for number, (seconds, calls) in enumerate(zip(request.demand, trees, strict=False))
        )
        return (
            f"GET {door.origin}/objects/{request.object} HTTP/1.1\r\nHost: {door.authority}\r\n"
            f"{self._cookies.get(request.client, '')}"
            f"Proxytwin-Demand: {work}\r\nProxytwin-Size: {request.size}\r\n\r\n"
        ).encode("ascii")

    def _new_connection(self, client: str) -> Connection:
        host = self._doors[client].host
        source = client if host.name.startswith("127.") else None
        connection = Connection(host.name, host.port, source)
        self._connections.append(connection)
        return connection

    def _connect(self, client: str) -> Connection:
        connection = self._new_connection(client)
        with contextlib.suppress(OSError):  # the first request tries again, and records the failure
            connection.open()
        return connection

    def _wait_for_start(self) -> float:
        """Wait for the common start and return its time; if it is over, return the current time."""
        if self._started.is_set():
            return time.monotonic()
        self._ready += 1
        self._start_if_ready()
        self._started.wait()
        return self._start

    def _start_if_ready(self) -> None:
        if self._started.is_set() or self._expected is None or self._ready < self._expected:
            return
        gc.collect()
        gc.freeze()  # later collections examine only the objects of this run, and are short
        self._start = time.monotonic() + _LEAD_S
        self._cpu_at_start = time.process_time()
        duration = self._scenario.duration
        self._later = [
            gevent.spawn_later(duration, self._read_cpu),
            gevent.spawn_later(duration + self._grace, self._abandon),
        ]
        self._started.set()
        self._on_start(self._start)

    def _read_cpu(self) -> None:
        """Called when the last request is due: the wait for the last responses would dilute the share."""
        self._cpu_seconds = time.process_time() - self._cpu_at_start
        self._cpu_share = self._cpu_seconds / max(time.monotonic() - self._start, 1e-3)

    def _abandon(self) -> None:
        self._abandoned = True
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.abandon()

    def _finish(self) -> None:
        self._over = True
        if not self._cpu_share:
            self._read_cpu()
        gevent.killall(self._later, block=False)
        for connection in self._connections:
            connection.close()
        self._timer.close()
        self._on_end()
