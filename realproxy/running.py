"""The parts of a proxy that serves."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter
from typing import Any

from policies.problems import BadInput
from policies.settings import ProxySettings
from realproxy.accesslog import AccessLog
from realproxy.admin import Admin
from realproxy.client import Client
from realproxy.exchange import End
from realproxy.front import Front
from realproxy.listening import host_of, listen
from realproxy.metering import Meter, recent, traffic
from realproxy.pages import pages_of
from realproxy.serving import Serving
from realproxy.site import Site
from realproxy.targets import Address
from realproxy.tcp import TcpServices, open_listeners
from realproxy.tunnel import Relay
from realproxy.workers import Workers

SWITCH_INTERVAL = 0.0005
"""Seconds after which a busy thread lets another one run: the front must not wait 5 ms for a worker."""
ABORT_PATIENCE = 2.0
"""Seconds that workers have to notice that their connections were broken off."""

_UPSTREAM_ENDS = frozenset(
    {End.UPSTREAM_UNREACHABLE, End.UPSTREAM_SLOW, End.UPSTREAM_BAD, End.UPSTREAM_BROKEN}
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


class Running:
    """The parts of a proxy that serves; exists from a successful start until the end of the stop."""

    def __init__(self, settings: ProxySettings, seed: int | None, where: str) -> None:
        self.settings = settings
        self._site = Site(settings, seed)
        with contextlib.ExitStack() as opened:  # what must not stay open if something else fails
            listener = opened.enter_context(listen(settings.listen, where))
            self.address: Address = listener.getsockname()[:2]
            socks = [opened.enter_context(sock) for sock in open_listeners(settings, where)]
            admin = listen(settings.admin, where, "admin") if settings.admin is not None else None
            if admin is not None:
                opened.enter_context(admin)
            self._log = _open_log(settings, where)
            opened.pop_all()
        limits = settings.limits
        serving = Serving(self._site, self.address, self._log)
        waits = self._site.waits
        self._workers = Workers(serving.serve, self._abandon, waits, limits.threads)
        self._front = Front(
            listener, limits, waits, self._workers.submit, [self._site.pool.reap], self._workers.adjust
        )
        self._relay = Relay(limits.idle_timeout, self._front.close, serving.tunnel_ended)
        site, ended = self._site, serving.tunnel_ended
        self.tcp = TcpServices(settings, socks, site.services, self._relay, site.pool.resolver, ended)
        serving.attach(self._front, self._relay)
        self._serving = serving
        _switch_interval.shorten()
        self._workers.start()
        self._front.start()
        self.admin = (
            Admin(admin, host_of(settings.admin or ""), pages_of(self)) if admin is not None else None
        )

    def _abandon(self, client: Client) -> None:
        self._front.close(client)

    def stop(self) -> None:
        """Finish what is under way for ``limits.drain`` at most, then end all threads."""
        deadline = time.monotonic() + self.settings.limits.drain
        self._front.drain()
        self.tcp.drain()
        drained = self._front.empty.wait(self.settings.limits.drain)
        self.tcp.wait(deadline)
        if not drained:
            self._front.abort()
            self._site.pool.abort()
            self._front.empty.wait(ABORT_PATIENCE)
        self._relay.stop()
        self._workers.stop()
        self._serving.refresher.stop()
        self._front.end()
        self._site.pool.close_all()
        if self.admin is not None:
            self.admin.stop()
        if self._log is not None:
            self._log.close()
        _switch_interval.restore()

    def stats(self) -> dict[str, Any]:
        """See `realproxy.Proxy.stats`."""
        tally, site = self._workers.tally(), self._site
        requests = tally.pop("requests", 0)
        ends = Counter({key: count for key, count in tally.items() if not key.isdigit()})
        cache = site.store.counts()
        return {
            "requests": requests,
            "answers": {key: count for key, count in sorted(tally.items()) if key.isdigit()},
            "ends": {str(key): count for key, count in sorted(ends.items())},
            "errors": sum(count for key, count in ends.items() if key in _UPSTREAM_ENDS),
            "hits": cache["hits"],
            "misses": cache["misses"],
            "cache_objects": cache["objects"],
            "cache_bytes": cache["bytes"],
            "upstreams": {name: service.counts() for name, service in site.services.items()},
            "connections": self._front.connections,
            "accepted": self._front.accepted,
            "tunnels": self._relay.count,
            "tcp": self.tcp.counts(),
            "threads": self._workers.count,
            "queued": self._workers.queued,
            "upstream_idle": site.pool.idle,
            "log_dropped": self._log.dropped if self._log is not None else 0,
            "cpu_seconds": time.process_time(),
            "traffic": traffic(self._meters()) if self.settings.admin is not None else [],
        }

    def recent(self) -> list[dict[str, Any]]:
        """The last exchanges, the latest first."""
        return recent(self._meters(), time.time() - time.monotonic())

    def _meters(self) -> list[Meter]:
        return [*self._workers.meters(), self._serving.tunnel_meter]


def _open_log(settings: ProxySettings, where: str) -> AccessLog | None:
    try:
        return AccessLog(settings.log) if settings.log is not None else None
    except OSError as error:
        raise BadInput(where, "log.file", f"cannot be written: {error.strerror}") from None
