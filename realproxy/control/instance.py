"""The parts of a proxy that serves."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from policies.bad_input import BadInput
from policies.settings import ProxySettings
from realproxy.cache.fanout import Fanout
from realproxy.cache.purge import read_purge
from realproxy.control.listeners import Listeners, bind_listeners
from realproxy.downstream.connection import DownstreamConnection
from realproxy.errors import Termination
from realproxy.messages.record import RequestRecord
from realproxy.net.address import Address
from realproxy.net.listener import host_of
from realproxy.observe.access_log import AccessLog
from realproxy.observe.admin_pages import admin_pages
from realproxy.observe.admin_server import AdminServer
from realproxy.observe.metrics import Metrics, recent, traffic
from realproxy.proxying.snapshot import ConfigSnapshot
from realproxy.proxying.worker import ThreadState
from realproxy.server.connection_loop import ConnectionLoop
from realproxy.server.fast_path import FastPath
from realproxy.server.handshake import ConnectionFactory
from realproxy.server.http_server import HttpServer
from realproxy.server.shedding import Shedder
from realproxy.server.tcp_proxy import TcpProxies
from realproxy.server.worker_pool import WorkerPool
from realproxy.tunnel.relay import TunnelRelay
from realproxy.tunnel.udp_associate import UdpAssociations
from realproxy.upstream.health_check import HealthChecker

SWITCH_INTERVAL = 0.0005
"""Seconds after which a busy thread lets another one run: the front must not wait 5 ms for a worker."""
ABORT_PATIENCE = 2.0
"""Seconds that workers have to notice that their connections were broken off."""

_UPSTREAM_ENDS = frozenset(
    {
        Termination.UPSTREAM_UNREACHABLE,
        Termination.UPSTREAM_SLOW,
        Termination.UPSTREAM_BAD,
        Termination.UPSTREAM_BROKEN,
    }
)


class _SwitchInterval:
    """The interpreter's switch interval, short while any proxy serves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0.0

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


FIXED = ("listen", "admin", "tcp", "workers")
"""Keys that a new configuration cannot change: sockets were bound to what they said."""
RETIRE_EVERY = 0.1
"""Seconds between two looks whether a request still runs under a former configuration."""


class Generation(NamedTuple):
    """What one configuration made; requests that began under it keep it to their end."""

    settings: ProxySettings
    site: ConfigSnapshot
    serving: HttpServer
    log: AccessLog | None


class Instance:
    """The parts of a proxy that serves; exists from a successful start until the end of the stop.

    Threads. `reload` and `stop` are for one thread at a time; `_now` is replaced as a whole, so
    that whoever reads it once sees one configuration.
    """

    def __init__(
        self, settings: ProxySettings, seed: int | None, where: str, sockets: Listeners | None = None
    ) -> None:
        self._seed = seed
        sockets = bind_listeners(settings, where) if sockets is None else sockets
        self._admin_address = sockets.admin_address
        self._tcp_addresses: list[Address] = [sock.getsockname()[:2] for sock in sockets.tcp]
        self.address: Address = sockets.proxy.getsockname()[:2]
        try:
            welcome = ConnectionFactory(settings, where)
            self._now = now = self._generation(settings, where, None)
        except BadInput:
            sockets.close()
            raise
        limits, waits, pool = settings.limits, now.site.waits, now.site.pool
        self._shedder = Shedder(self._shed, self._abandon)
        self._workers = WorkerPool(
            now.serving.serve, self._abandon, waits, limits.threads, self._shedder.submit, limits.queue
        )
        submit, adjust = self._workers.submit, self._workers.adjust
        self._front = ConnectionLoop(sockets.proxy, limits, waits, submit, [pool.reap], adjust, welcome)
        self._front.entrance.turns = sockets.turns
        self._express = FastPath(self._front, self._workers, now.serving, limits.answer_timeout)
        self._front.express, pool.unwatch = self._express, self._front.unwatch
        self._relay = TunnelRelay(limits.idle_timeout, self._front.close, self._tunnel_ended)
        self.tcp = TcpProxies(
            settings, sockets.tcp, now.site.services, self._relay, pool.resolver, self._tunnel_ended
        )
        self._following = Fanout(self._front, self._workers.submit, self._follower_ended, limits.idle_timeout)
        self._associations = UdpAssociations(self.address, self._front.close, self._relay, self._tunnel_ended)
        now.serving.attach(self._front, self._relay, self._associations, self._following)
        self._retiring: list[threading.Thread] = []
        self._dropped_before = 0  # lines of logs that are closed
        self._stopping = threading.Event()
        self._health = HealthChecker(now.site.services.values(), pool.resolver, self._relay.loop)
        _switch_interval.shorten()
        self._workers.start()
        self._front.start()
        self._health.start()
        self.admin: AdminServer | None = None
        if sockets.admin is not None:
            self.admin = AdminServer(sockets.admin, host_of(settings.admin or ""), admin_pages(self))

    @property
    def settings(self) -> ProxySettings:
        """In force now."""
        return self._now.settings

    @property
    def tcp_addresses(self) -> list[Address]:
        """Where the raw TCP listeners listen, in the order of the settings."""
        return self.tcp.addresses

    def _generation(self, settings: ProxySettings, where: str, before: Generation | None) -> Generation:
        """What `settings` ask for, as far as `before` does not have it; raises `BadInput`."""
        try:
            site = ConfigSnapshot(settings, self._seed, before.site if before is not None else None)
        except BadInput as mistake:  # which knows the key, but not the file
            key = mistake.key if mistake.where == "settings" else mistake.where
            raise BadInput(where, key, mistake.problem) from None
        if site.forwarding is not None:
            site.forwarding.admin, site.forwarding.tcp = self._admin_address, self._tcp_addresses
        if before is not None and before.settings.log == settings.log:
            log = before.log
        else:
            try:
                log = _open_log(settings, where)
            except BadInput:
                if before is None:
                    site.store.close()
                raise
        return Generation(settings, site, HttpServer(site, self.address, log), log)

    def _abandon(self, client: DownstreamConnection) -> None:
        self._front.close(client)

    def _shed(self, client: DownstreamConnection, worker: ThreadState) -> None:
        self._now.serving.shed(client, worker)

    def _tunnel_ended(self, exchange: RequestRecord) -> None:
        self._now.serving.tunnel_ended(exchange)

    def _follower_ended(self, exchange: RequestRecord) -> None:
        self._now.serving.follower_ended(exchange)

    def reload(self, settings: ProxySettings, where: str) -> None:
        """See `realproxy.Proxy.reload`."""
        before = self._now
        check_fixed(before.settings, settings, where)
        welcome = ConnectionFactory(settings, where)
        now = self._generation(settings, where, before)
        now.serving.attach(self._front, self._relay, self._associations, self._following)
        now.serving.tunnel_meter = before.serving.tunnel_meter
        now.serving.follow_meter = before.serving.follow_meter
        for part in (now.site.pool, self._front):
            part.adopt(settings.limits)
        self._front.entrance.welcome = welcome
        self.tcp.adopt(now.site.services)
        self._health.stop()
        self._health = HealthChecker(now.site.services.values(), now.site.pool.resolver, self._relay.loop)
        self._health.start()
        self._relay.idle_timeout = self._following.idle_timeout = settings.limits.idle_timeout
        self._workers.places.limit, self._workers.most_queued = settings.limits.threads, settings.limits.queue
        self._express.patience = settings.limits.answer_timeout
        self._now, self._workers.serve, self._express.serving = now, now.serving.serve, now.serving
        self._front.wake()  # as more may be worked on now
        before.serving.retired = True
        earlier = [thread for thread in self._retiring if thread.is_alive()]
        thread = threading.Thread(
            target=self._retire, args=(before, before.log is not now.log, earlier), daemon=True
        )
        self._retiring = [*earlier, thread]
        thread.start()

    def purge(self, **what: str | None) -> int:
        """See `realproxy.Proxy.purge`."""
        purge, site = read_purge(**what), self._now.site
        count = site.store.purge(purge)
        site.gathering.purged(purge)
        return count

    def reopen_log(self) -> None:
        """See `realproxy.Proxy.reopen_log`."""
        if self._now.log is not None:
            self._now.log.reopen()

    def _retire(self, former: Generation, close_log: bool, earlier: list[threading.Thread]) -> None:
        """Wait until no request needs a former configuration, and end what it alone had."""
        for thread in earlier:  # which may share its log
            thread.join()
        serving = former.serving
        while not self._stopping.wait(RETIRE_EVERY):
            if not (self._workers.busy_with(serving.serve) or serving.under_way):
                break
        former.serving.refresher.retire()
        if former.log is not None and close_log:
            former.log.close()
            self._dropped_before += former.log.dropped

    def stop(self) -> None:
        """Finish what is under way for ``limits.drain`` at most, then end all threads."""
        self._health.stop()
        now = self._now
        deadline = time.monotonic() + now.settings.limits.drain
        self._front.drain()
        self.tcp.drain()
        drained = self._front.empty.wait(now.settings.limits.drain)
        self.tcp.wait(deadline)
        if not drained:
            self._front.abort()
            now.site.pool.abort()
            self._front.empty.wait(ABORT_PATIENCE)
        self._relay.stop()
        self._workers.stop(ABORT_PATIENCE)
        self._shedder.stop(ABORT_PATIENCE)
        self._following.stop()
        self._stopping.set()
        now.serving.refresher.stop()
        for thread in self._retiring:
            thread.join(ABORT_PATIENCE)
        self._front.end()
        self._workers.let_go()  # of what the front has still handed on
        entrance = self._front.entrance
        turns, entrance.turns = entrance.turns, None
        if turns is not None:
            turns.close()
        now.site.pool.close_all()
        now.site.store.close()
        if self.admin is not None:
            self.admin.stop()
        if now.log is not None:
            now.log.close()
        _switch_interval.restore()

    def stats(self) -> dict[str, Any]:
        """See `realproxy.Proxy.stats`."""
        now = self._now
        site, log, gathering = now.site, now.log, now.site.gathering
        tally = self._workers.tally() + Counter(dict(self._following.tally))
        tally += Counter(dict(self._shedder.worker.tally))
        disk = site.store.disk
        on_disk = disk.counts() if disk is not None else {"objects": 0, "bytes": 0}
        requests = tally.pop("requests", 0)
        ends = Counter({key: count for key, count in tally.items() if not key.isdigit()})
        cache = site.store.counts()
        return {
            "requests": requests,
            "answers": {key: count for key, count in sorted(tally.items()) if key.isdigit()},
            "ends": {str(key): count for key, count in sorted(ends.items())},
            "errors": sum(count for key, count in ends.items() if key in _UPSTREAM_ENDS),
            "hits": cache["hits"],
            "misses": cache["misses"] - gathering.collapsed - gathering.asked_again,
            "collapsed": gathering.collapsed,
            "waiting": gathering.waiting,
            "cache_objects": cache["objects"],
            "cache_bytes": cache["bytes"],
            "disk_objects": on_disk["objects"],
            "disk_bytes": on_disk["bytes"],
            "upstreams": {name: service.counts() for name, service in site.services.items()},
            "services": {name: service.state() for name, service in site.services.items()},
            "connections": self._front.connections,
            "accepted": self._front.entrance.accepted,
            "tunnels": self._relay.count,
            "associations": self._associations.count,
            "tcp": self.tcp.counts(),
            "threads": self._workers.count,
            "queued": self._workers.queued,
            "at_once": self._express.answered,
            "awaiting": self._express.awaiting,
            "upstream_idle": site.pool.idle,
            "log_dropped": self._dropped_before + (log.dropped if log is not None else 0),
            "cpu_seconds": time.process_time(),
            "traffic": traffic(self._meters()) if self.settings.admin is not None else [],
        }

    def recent(self) -> list[dict[str, Any]]:
        """The last exchanges, the latest first."""
        return recent(self._meters(), time.time() - time.monotonic())

    def _meters(self) -> list[Metrics]:
        return [
            *self._workers.meters(),
            self._shedder.worker.meter,
            self._now.serving.tunnel_meter,
            self._now.serving.follow_meter,
        ]


def check_fixed(
    before: ProxySettings, settings: ProxySettings, where: str, keys: Iterable[str] = FIXED
) -> None:
    """Raise `BadInput` if new settings change one of `keys`."""
    for key in keys:
        if getattr(settings, key) != getattr(before, key):
            raise BadInput(where, key, "cannot change while the proxy runs: stop and start it")


def _open_log(settings: ProxySettings, where: str) -> AccessLog | None:
    try:
        return AccessLog(settings.log) if settings.log is not None else None
    except OSError as error:
        raise BadInput(where, "log.file", f"cannot be written: {error.strerror}") from None


def gc_freeze() -> None:
    """Have collections look no more at what a start has made: it stays to the end.

    A whole collection would go through all of it, and all requests would wait for 20 ms.
    """
    gc.collect()
    gc.freeze()
