"""The composition root: all parts of a proxy that serves, built, reloaded and stopped."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from policies.bad_input import BadInput
from policies.contract import PolicyFault
from policies.settings import ProxySettings
from realproxy.cache.fanout import Fanout
from realproxy.cache.purge import read_purge
from realproxy.control.composition import build_snapshot, collapser_of
from realproxy.control.listeners import Listeners, bind_listeners
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import Termination
from realproxy.messages.record import RequestRecord, summed
from realproxy.net.address import Address
from realproxy.net.dial import AsyncResolver
from realproxy.net.listener import host_of
from realproxy.observe.access_log import AccessLog
from realproxy.observe.admin_pages import admin_pages
from realproxy.observe.admin_server import AdminServer
from realproxy.observe.metrics import ThreadMetrics, recent, traffic
from realproxy.proxying.revalidation import BackgroundRevalidation
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.proxying.socks import answer_socks
from realproxy.proxying.worker import ThreadState
from realproxy.server.connection_loop import ConnectionLoop
from realproxy.server.fast_path import FastPath
from realproxy.server.handshake import ConnectionFactory, doors_of, socks_handshake
from realproxy.server.http_server import HttpServer
from realproxy.server.tcp_proxy import TcpProxy
from realproxy.server.worker_pool import WorkerPool
from realproxy.socks import ServerHandshake
from realproxy.tunnel.relay import TunnelRelay
from realproxy.tunnel.udp_associate import UdpAssociations
from realproxy.upstream.changing_names import NameWatch
from realproxy.upstream.health_check import HealthChecker

SWITCH_INTERVAL = 0.0005
"""Seconds after which a busy thread lets another one run: the event loop must not wait 5 ms for a worker."""
ABORT_PATIENCE = 2.0
"""Seconds that workers have to notice that their connections were broken off."""
FIXED = ("listen", "forward.listen", "admin", "tcp", "workers")
"""Settings that cannot change while the proxy runs, because sockets were bound by them."""
RETIRE_EVERY = 0.1
"""Seconds between two checks whether a request still runs under a former configuration."""
_UPSTREAM_ENDS = frozenset(end for end in Termination if end.name.startswith("UPSTREAM_"))


class _SwitchInterval:
    """The interpreter's switch interval, short while any proxy serves."""

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, 0.0

    def shorten(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = sys.getswitchinterval()
                sys.setswitchinterval(min(SWITCH_INTERVAL, self._before))
            self._users += 1

    def restore(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setswitchinterval(self._before)


_switch_interval = _SwitchInterval()


class Generation(NamedTuple):
    """The parts that belong to one configuration; a request that began under it keeps it to its end."""

    snapshot: ConfigSnapshot
    server: HttpServer
    revalidation: BackgroundRevalidation
    log: AccessLog | None

    def close(self) -> None:
        """End the threads of all parts, and close what they have open."""
        self.revalidation.stop()
        self.snapshot.pool.close_all()
        self.snapshot.store.close()
        if self.log is not None:
            self.log.close()


class Instance:
    """A proxy in this process, from a successful start until the end of the stop.

    Threads. One thread at a time may call `reload` and `stop`. `_now` is replaced as a whole: a thread that
    reads it once sees one configuration.
    """

    def __init__(
        self, settings: ProxySettings, seed: int | None, where: str, sockets: Listeners | None = None
    ) -> None:
        self._seed = seed
        self._metrics = ThreadMetrics() if settings.admin is not None else None
        sockets = bind_listeners(settings, where) if sockets is None else sockets
        with contextlib.ExitStack() as undo:  # a start that fails leaves no thread and no descriptor
            undo.callback(sockets.close)
            self._start(settings, where, sockets, undo)
            undo.pop_all()

    def _start(
        self, settings: ProxySettings, where: str, sockets: Listeners, undo: contextlib.ExitStack
    ) -> None:
        """Build the parts and start their threads; `undo` ends them again, the last one first."""
        self._admin_address = sockets.admin_address
        self.tcp_addresses: list[Address] = [sock.getsockname()[:2] for sock in sockets.tcp]
        self.address: Address = sockets.proxy.getsockname()[:2]
        self.forward_address: Address = sockets.forward_address
        factories = self._factories(settings, where)
        self._now = now = self._generation(settings, where, None)
        undo.callback(now.close)
        limits, waits, pool = settings.limits, now.snapshot.waits, now.snapshot.pool
        server, services = now.server, now.snapshot.services
        self._workers = WorkerPool(
            server.serve, self._abandon, waits, limits.threads, self._shed, limits.queue
        )
        undo.callback(self._workers.stop, ABORT_PATIENCE)
        submit, adjust = self._workers.submit, self._workers.adjust
        self._loop = ConnectionLoop(sockets.http, limits, waits, submit, [pool.reap], adjust, factories)
        undo.callback(self._loop.end)
        for entrance in self._loop.entrances:
            entrance.balance = sockets.balance
        self._fast_path = FastPath(self._loop, self._workers, server)
        self._loop.fast_path, pool.unwatch = self._fast_path, self._loop.unwatch
        self._relay = TunnelRelay(limits.idle_timeout, self._loop.close, self._report)
        undo.callback(self._relay.loop.stop)
        names = AsyncResolver(self._relay.loop, pool.resolver)
        self._tcp = [
            TcpProxy(tcp, sock, services[tcp.to], self._relay, names, limits)
            for tcp, sock in zip(settings.tcp, sockets.tcp, strict=True)
        ]
        self._fanout = Fanout(self._loop, submit, self._report, limits.idle_timeout)
        undo.callback(self._fanout.stop)
        self._associations = UdpAssociations(self.forward_address, self._relay, names)
        self._answer_socks = partial(answer_socks, self._associations)
        server.attach(self._loop, self._relay, self._answer_socks)
        collapser_of(now.snapshot).fanout = self._fanout
        self._retiring: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._dropped_before = 0  # lines of logs that are closed
        self._health = HealthChecker(services.values(), pool.resolver, self._relay.loop)
        self._names = NameWatch(services.values(), pool.resolver, self._relay.loop)
        _switch_interval.shorten()
        undo.callback(_switch_interval.restore)
        self._workers.start()
        self._health.start()
        undo.callback(self._health.stop)
        self._names.start()
        undo.callback(self._names.stop)
        self.admin: AdminServer | None = None
        if sockets.admin is not None:
            self.admin = AdminServer(sockets.admin, host_of(settings.admin or ""), admin_pages(self))
            undo.callback(self.admin.stop)
        self._loop.start()  # last: it accepts clients

    @property
    def settings(self) -> ProxySettings:
        """The settings in force."""
        return self._now.snapshot.settings

    def _generation(self, settings: ProxySettings, where: str, before: Generation | None) -> Generation:
        """The parts for `settings`; takes over those of `before` that are the same. Raises `BadInput`."""
        try:
            former = before.snapshot if before is not None else None
            snapshot = build_snapshot(settings, self._seed, former, self.address[1])
        except PolicyFault:
            raise
        except BadInput as mistake:  # it knows the key, but not the file
            key = mistake.key if mistake.where == "settings" else mistake.where
            raise BadInput(where, key, mistake.problem) from None
        access = snapshot.rules.forward
        if access is not None:
            access.admin, access.others = self._admin_address, [self.address, *self.tcp_addresses]
        if before is not None and before.snapshot.settings.log == settings.log:
            log = before.log
        else:
            try:
                log = AccessLog(settings.log) if settings.log is not None else None
            except BaseException as error:
                if before is None:
                    snapshot.pool.close_all()
                    snapshot.store.close()
                if not isinstance(error, OSError):
                    raise
                raise BadInput(where, "log.file", f"cannot be written: {error.strerror}") from None
        revalidation = BackgroundRevalidation(snapshot.store, snapshot.pool)
        reports: list[Callable[[RequestRecord], None]] = []
        if self._metrics is not None:
            reports.append(self._metrics.record)
        if log is not None:
            reports.append(log.write)
        server = HttpServer(snapshot, self.forward_address, reports, revalidation.submit)
        return Generation(snapshot, server, revalidation, log)

    def _factories(self, settings: ProxySettings, where: str) -> list[ConnectionFactory]:
        """What makes the connections of each HTTP listener."""
        return [ConnectionFactory(settings, where, self._begin_socks, door) for door in doors_of(settings)]

    def _begin_socks(self) -> ServerHandshake | None:
        return socks_handshake(self.settings.forward)

    def _abandon(self, client: DownstreamConnection) -> None:
        self._loop.close(client)

    def _shed(self, client: DownstreamConnection, worker: ThreadState) -> None:
        self._now.server.shed(client, worker)

    def _report(self, record: RequestRecord) -> None:
        self._now.server.report(record)

    def reload(self, settings: ProxySettings, where: str) -> None:
        """As `realproxy.Proxy.reload`."""
        before = self._now
        check_fixed(before.snapshot.settings, settings, where)
        factories = self._factories(settings, where)
        now = self._generation(settings, where, before)
        now.server.attach(self._loop, self._relay, self._answer_socks)
        snapshot = now.snapshot
        collapser_of(snapshot).fanout = self._fanout
        snapshot.pool.adopt(settings.limits)
        self._loop.adopt(settings.limits)
        for entrance, factory in zip(self._loop.entrances, factories, strict=True):
            entrance.make_connection = factory
        for listener in self._tcp:
            listener.service = snapshot.services[listener.settings.to]
        self._health.stop()
        self._names.stop()
        self._health = HealthChecker(snapshot.services.values(), snapshot.pool.resolver, self._relay.loop)
        self._names = NameWatch(snapshot.services.values(), snapshot.pool.resolver, self._relay.loop)
        self._health.start()
        self._names.start()
        self._relay.idle_timeout = self._fanout.idle_timeout = settings.limits.idle_timeout
        self._workers.slots.adopt(settings.limits.threads)
        self._workers.most_queued = settings.limits.queue
        self._now, self._workers.serve, self._fast_path.server = now, now.server.serve, now.server
        self._loop.wake()  # the limits may allow more now
        before.server.retired = True
        earlier = [thread for thread in self._retiring if thread.is_alive()]
        arguments = (before, before.log is not now.log, earlier)
        thread = threading.Thread(target=self._retire, args=arguments, daemon=True)
        self._retiring = [*earlier, thread]
        thread.start()

    def purge(self, **what: str | None) -> int:
        """As `realproxy.Proxy.purge`."""
        purge, snapshot = read_purge(**what), self._now.snapshot
        count = snapshot.store.purge(purge)
        collapser_of(snapshot).purged(purge)
        return count

    def set_weights(self, route: int, weights: Mapping[str, float]) -> None:
        """As `realproxy.Proxy.set_weights`."""
        found = next((split for split in self._now.snapshot.splits if split.number == route), None)
        if found is None:
            raise BadInput("weights", f"route.{route}", "expected a route with several services in 'to'")
        try:
            with found.lock:
                found.rollout.set_weights(weights, time.time())
        except ValueError as error:
            raise BadInput("weights", f"route.{route}", str(error)) from None

    def reopen_log(self) -> None:
        """As `realproxy.Proxy.reopen_log`."""
        if self._now.log is not None:
            self._now.log.reopen()

    def _retire(self, former: Generation, close_log: bool, earlier: list[threading.Thread]) -> None:
        """Wait until no request runs under a former configuration, and end the parts that it alone has."""
        for thread in earlier:  # their configurations may have the same log
            thread.join()
        server = former.server
        while not self._stopping.wait(RETIRE_EVERY):
            if not (self._workers.busy_with(server.serve) or server.under_way):
                break
        former.revalidation.retire()
        for mirror in former.snapshot.mirrors:
            mirror.retire()
        if former.log is not None and close_log:
            former.log.close()
            self._dropped_before += former.log.dropped

    def stop(self) -> None:
        """Finish the requests, for ``limits.drain`` at most, then end all threads."""
        self._health.stop()
        self._names.stop()
        now = self._now
        deadline = time.monotonic() + now.snapshot.limits.drain
        self._loop.drain()
        for listener in self._tcp:
            listener.drain()
        drained = self._loop.empty.wait(now.snapshot.limits.drain)
        for listener in self._tcp:
            listener.empty.wait(max(0.0, deadline - time.monotonic()))
        if not drained:
            self._loop.abort()
            now.snapshot.pool.abort()
            self._loop.empty.wait(ABORT_PATIENCE)
        self._relay.loop.stop()
        self._workers.stop(ABORT_PATIENCE)
        self._fanout.stop()
        self._stopping.set()
        now.revalidation.stop()
        for mirror in now.snapshot.mirrors:
            mirror.stop(now.snapshot.pool.abort)
        for thread in self._retiring:
            thread.join(ABORT_PATIENCE)
        self._loop.end()
        self._workers.let_go()  # requests that the event loop has submitted meanwhile
        entrances = self._loop.entrances
        balance = entrances[0].balance
        for entrance in entrances:
            entrance.balance = None
        if balance is not None:
            balance.close()
        if self.admin is not None:
            self.admin.stop()
        now.close()
        _switch_interval.restore()

    def stats(self) -> dict[str, Any]:
        """As `realproxy.Proxy.stats`."""
        now = self._now
        snapshot, log, collapser = now.snapshot, now.log, collapser_of(now.snapshot)
        tally = summed([self._workers.tally(), self._fanout.tally])
        cache = snapshot.store.counts()
        return {
            "requests": tally.requests,
            "answers": {str(status): count for status, count in sorted(tally.statuses.items())},
            "ends": {str(end): count for end, count in sorted(tally.ends.items())},
            "errors": sum(count for end, count in tally.ends.items() if end in _UPSTREAM_ENDS),
            "hits": cache["hits"],
            "misses": cache["misses"],
            "collapsed": collapser.collapsed,
            "waiting": collapser.waiting,
            "cache_objects": cache["objects"],
            "cache_bytes": cache["bytes"],
            "disk_objects": cache["disk_objects"],
            "disk_bytes": cache["disk_bytes"],
            "upstreams": {name: service.counts() for name, service in snapshot.services.items()},
            "services": {name: service.state() for name, service in snapshot.services.items()},
            "splits": [split.state() for split in snapshot.splits],
            "mirrors": [mirror.counts() for mirror in snapshot.mirrors],
            "connections": self._loop.connections,
            "accepted": sum(entrance.accepted for entrance in self._loop.entrances),
            "accepted_forward": self._loop.entrances[-1].accepted if len(self._loop.entrances) > 1 else 0,
            "tunnels": len(self._relay.tunnels),
            "associations": len(self._associations.running),
            "tcp": [listener.counts() for listener in self._tcp],
            "threads": len(self._workers.threads),
            "queued": self._workers.queued,
            "at_once": self._fast_path.answered,
            "awaiting": len(self._fast_path.awaited),
            "upstream_idle": snapshot.pool.idle,
            "log_dropped": self._dropped_before + (log.dropped if log is not None else 0),
            "cpu_seconds": time.process_time(),
            "traffic": traffic(self._metrics.all()) if self._metrics is not None else [],
        }

    def recent(self) -> list[dict[str, Any]]:
        """The last requests, the latest first."""
        metrics = self._metrics.all() if self._metrics is not None else []
        return recent(metrics, time.time() - time.monotonic())


def check_fixed(before: ProxySettings, settings: ProxySettings, where: str) -> None:
    """Raise `BadInput` if new settings change one of the `FIXED` ones."""
    for key in FIXED:
        if _value(settings, key) != _value(before, key):
            raise BadInput(where, key, "cannot change while the proxy runs: stop and start it")


def _value(settings: object, key: str) -> object:
    table, _, inner = key.partition(".")
    value = getattr(settings, table, None)
    return _value(value, inner) if inner else value


def gc_freeze() -> None:
    """Exclude from garbage collection the objects of the start, which live until the end.

    A full collection would visit all of them, and all requests would wait for 20 ms.
    """
    gc.collect()
    gc.freeze()
