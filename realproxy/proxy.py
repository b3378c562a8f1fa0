"""The proxy as an object: built from settings, started, asked for its counts, stopped."""

from __future__ import annotations

import errno
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from policies.modelled import check_obeyed
from policies.problems import BadInput
from policies.settings import ProxySettings, load_settings, parse_settings
from realproxy.accesslog import AccessLog
from realproxy.client import Client
from realproxy.exchange import End
from realproxy.front import Front
from realproxy.serving import Serving
from realproxy.site import Site, check_addresses
from realproxy.targets import Address
from realproxy.tunnel import Relay
from realproxy.workers import Workers

SWITCH_INTERVAL = 0.0005
"""Seconds after which a busy thread lets another one run: the front must not wait 5 ms for a worker."""
BACKLOG = 1024
"""Clients that the kernel holds while none are accepted."""
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


class Proxy:
    """A forward and reverse proxy.

    Parameters
    ----------
    settings : ProxySettings, optional
        Whole settings; or give their keys as keywords, as in its file.
    seed : int, optional
        Makes balancers and eviction policies take the same chances again, see
        `realproxy.site.Site`.
    where : str
        What messages call the source of the settings.
    **keywords
        The tables of the file: ``listen``, ``route``, ``service``, ``forward``, ``cache``,
        ``log``, ``limits``.

    Raises
    ------
    BadInput
        In one line: where, the key and what was expected.

    Examples
    --------
    >>> from realproxy import Proxy, Route, Service
    >>> settings = dict(route=[Route(to="web")], service={"web": Service(upstreams=["127.0.0.1:9001"])})
    >>> with Proxy(**settings) as proxy:
    ...     proxy.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self,
        settings: ProxySettings | None = None,
        *,
        seed: int | None = None,
        where: str = "settings",
        **keywords: Any,
    ) -> None:
        if settings is not None and keywords:
            raise TypeError("give either settings or their keys as keywords")
        self.settings = settings if settings is not None else parse_settings(keywords, where)
        self.seed = seed
        self._where = where
        if problems := [*check_obeyed(self.settings, where), *check_addresses(self.settings, where)]:
            raise problems[0]
        self._running: _Running | None = None

    @classmethod
    def load(cls, path: str | Path, *, seed: int | None = None) -> Proxy:
        """The proxy that a TOML file describes; raises `BadInput`."""
        return cls(load_settings(path), seed=seed, where=str(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Proxy):
            return NotImplemented
        return (self.settings, self.seed) == (other.settings, other.seed)

    __hash__ = None  # type: ignore[assignment]

    def start(self) -> None:
        """Begin to serve; returns when connections are accepted. Raises `BadInput` if it cannot listen."""
        if self._running is None:
            self._running = _Running(self.settings, self.seed, self._where)

    def stop(self) -> None:
        """Stop: finish what is under way for ``limits.drain`` at most, then end all threads."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> Address:
        """IP address and port that it listens on."""
        if self._running is None:
            raise RuntimeError("the proxy is not running")
        return self._running.address

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return self.address[1]

    @property
    def url(self) -> str:
        """Where it can be reached, such as ``http://127.0.0.1:8080``."""
        host, port = self.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def stats(self) -> dict[str, Any]:
        """Counts since the start.

        Returns
        -------
        dict
            ``requests``; ``answers`` (by status, 0 where none was sent); ``ends`` (by
            `realproxy.exchange.End`); ``errors`` (ends that an upstream is to blame for); ``hits``,
            ``misses``, ``cache_objects``, ``cache_bytes``; ``upstreams`` (by service: address,
            requests, outstanding); ``connections`` and ``tunnels`` (open now), ``accepted``;
            ``threads`` (workers); ``upstream_idle`` (connections); ``log_dropped`` (lines);
            ``cpu_seconds`` (of this process).
        """
        if self._running is None:
            raise RuntimeError("the proxy is not running")
        return self._running.stats()


class _Running:
    """The parts of a proxy that serves; exists from a successful start until the end of the stop."""

    def __init__(self, settings: ProxySettings, seed: int | None, where: str) -> None:
        self._drain = settings.limits.drain
        self._site = Site(settings, seed)
        listener = _listen(settings.listen, where)
        self.address: Address = listener.getsockname()[:2]
        try:
            self._log = AccessLog(settings.log) if settings.log is not None else None
        except OSError as error:
            listener.close()
            raise BadInput(where, "log.file", f"cannot be written: {error.strerror}") from None
        limits = settings.limits
        serving = Serving(self._site, self.address, self._log)
        waits = self._site.waits
        self._workers = Workers(serving.serve, self._abandon, waits, limits.threads)
        self._front = Front(
            listener, limits, waits, self._workers.submit, [self._site.pool.reap], self._workers.adjust
        )
        self._relay = Relay(limits.idle_timeout, self._front.close, serving.log)
        serving.attach(self._front, self._relay)
        self._refresher = serving.refresher
        _switch_interval.shorten()
        self._workers.start()
        self._front.start()

    def _abandon(self, client: Client) -> None:
        self._front.close(client)

    def stop(self) -> None:
        self._front.drain()
        if not self._front.empty.wait(self._drain):
            self._front.abort()
            self._site.pool.abort()
            self._front.empty.wait(ABORT_PATIENCE)
        self._relay.stop()
        self._workers.stop()
        self._refresher.stop()
        self._front.end()
        self._site.pool.close_all()
        if self._log is not None:
            self._log.close()
        _switch_interval.restore()

    def stats(self) -> dict[str, Any]:
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
            "threads": self._workers.count,
            "upstream_idle": site.pool.idle,
            "log_dropped": self._log.dropped if self._log is not None else 0,
            "cpu_seconds": time.process_time(),
        }


def _listen(text: str, where: str) -> socket.socket:
    """A listening socket; raises `BadInput`."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    try:
        family, _, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise BadInput(where, "listen", f"{host!r} is no address of this machine: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        in_use = f"port {port} is in use: choose another one, or 0 for any free one"
        problem = in_use if error.errno == errno.EADDRINUSE else f"cannot listen on {text}: {error.strerror}"
        raise BadInput(where, "listen", problem) from None
    return listener
