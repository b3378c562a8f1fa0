"""The public face of a proxy: built from settings, started, reloaded, and stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput
from policies.settings import ProxySettings, load_settings, parse_settings
from policies.settings.unsupported import check_obeyed
from policies.settings.without_effect import warnings
from realproxy.control.check import check_addresses
from realproxy.control.fleet import COMMAND, Fleet
from realproxy.control.instance import Instance
from realproxy.net.address import Address
from realproxy.net.listener import url_of
from realproxy.runtime.system import check_system


class Proxy:
    """A forward and reverse proxy.

    Give either `settings`, or the keys of the file as keywords: ``listen``, ``route`` … A `seed` makes the
    random choices of balancers, eviction policies and faults repeatable. `where` is the source of the
    settings, for messages. `worker_command` starts a worker process, if ``workers`` is more than one; it must
    do what `realproxy.control.worker_process` does.

    Raises `BadInput`, one line: the source, the key, and what was expected.

    Examples
    --------
    >>> from realproxy import Proxy, Route, Service
    >>> settings = dict(route=[Route(to="web")], service={"web": Service(upstreams=["127.0.0.1:9001"])})
    >>> with Proxy(**settings) as proxy:
    ...     proxy.url.startswith("http://127.0.0.1:")
    True
    """

    def __init__(
        self, settings: ProxySettings | None = None, *, seed: int | None = None, where: str = "settings",
        worker_command: Sequence[str] = COMMAND, **keywords: Any,
    ) -> None:  # fmt: skip
        if settings is not None and keywords:
            raise TypeError("give either settings or their keys as keywords")
        self.settings = settings if settings is not None else parse_settings(keywords, where)
        self.seed = seed
        self._where, self._worker_command = where, worker_command
        if problems := [*check_obeyed(self.settings, where), *check_addresses(self.settings, where)]:
            raise problems[0]
        self._running: Instance | Fleet | None = None

    @classmethod
    def load(
        cls, path: str | Path, *, seed: int | None = None, worker_command: Sequence[str] = COMMAND
    ) -> Proxy:
        """Read a proxy's settings from a TOML file; raises `BadInput`."""
        return cls(load_settings(path), seed=seed, where=str(path), worker_command=worker_command)

    def warnings(self) -> list[BadInput]:
        """What has no effect in the settings, one line each: the source, the key, and why."""
        return warnings(self.settings, self._where)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Proxy) and (self.settings, self.seed) == (other.settings, other.seed)

    __hash__ = None  # type: ignore[assignment]  # settings may change while it runs

    def start(self) -> None:
        """Begin to serve, and return when the proxy accepts connections; raises `BadInput` if it cannot."""
        if self._running is None:
            check_system()
            if self.settings.workers > 1:
                self._running = Fleet(self.settings, self.seed, self._where, self._worker_command)
            else:
                self._running = Instance(self.settings, self.seed, self._where)

    def stop(self) -> None:
        """Stop: finish the requests, for ``limits.drain`` at most, and end all threads."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def reload(self, settings: ProxySettings) -> None:
        """Serve by other settings from now on, without losing a request.

        A request that has begun ends by the former settings. Services and the cache are kept if their
        tables are equal. ``listen``, ``forward.listen``, ``admin``, ``tcp`` and ``workers`` cannot change. If
        this raises `BadInput`, the former settings stay in force.
        """
        if problems := [*check_obeyed(settings, self._where), *check_addresses(settings, self._where)]:
            raise problems[0]
        if self._running is not None:
            self._running.reload(settings, self._where)
        self.settings = settings

    def reopen_log(self) -> None:
        """Reopen the access log under its name, after its file was moved away."""
        if self._running is not None:
            self._running.reopen_log()

    def purge(self, *, url: str | None = None, prefix: str | None = None, tag: str | None = None) -> int:
        """Drop stored responses, and do not store those that are being fetched.

        Give one of: an absolute `url`, for all its variants on the reverse and the forward side; a `prefix`
        of absolute URLs; a `tag`, which is a group that origins name in Cache-Groups (RFC 9875).

        Returns the number of URIs that had a stored response. Raises `BadInput` if not exactly one is given,
        or it is not an absolute URL.
        """
        return self._started.purge(url=url, prefix=prefix, tag=tag)

    def set_weights(self, route: int, weights: Mapping[str, float]) -> None:
        """Give arms of the split route with this number other weights; a new watch of its canary begins.

        Raises `BadInput` if the route is not split, a name is no arm, or the weights cannot be used.
        """
        self._started.set_weights(route, weights)

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _started(self) -> Instance | Fleet:
        if self._running is None:
            raise RuntimeError("the proxy is not running")
        return self._running

    @property
    def address(self) -> Address:
        """IP address and port of the HTTP listener."""
        return self._started.address

    @property
    def port(self) -> int:
        """Port of the HTTP listener."""
        return self.address[1]

    @property
    def url(self) -> str:
        """URL of the HTTP listener, such as ``http://127.0.0.1:8080``."""
        return url_of(self.address, "https" if self.settings.secured else "http")

    @property
    def forward_port(self) -> int:
        """Port at which the forward side answers: that of ``forward.listen``, or else `port`."""
        return self._started.forward_address[1]

    @property
    def forward_url(self) -> str:
        """URL to configure clients with, such as ``http://127.0.0.1:15001``; empty without a forward side."""
        forward = self.settings.forward
        if forward is None:
            return ""
        return url_of(self._started.forward_address) if forward.listen is not None else self.url

    @property
    def admin_url(self) -> str:
        """URL of the admin port; empty if there is none."""
        admin = self._started.admin
        return url_of(admin.address) if admin is not None else ""

    @property
    def tcp_ports(self) -> list[int]:
        """Ports of the raw TCP listeners, in the order of the settings."""
        return [port for _, port in self._started.tcp_addresses]

    def stats(self) -> dict[str, Any]:
        """Counts since the start.

        Returns
        -------
        dict
            ``requests``; ``answers`` (by status, 0 if none was sent); ``ends`` (by
            `realproxy.errors.Termination`); ``errors`` (ends that an upstream caused).
            The cache: ``hits``, ``misses``, ``collapsed`` (requests that got the response to another
            request), ``waiting`` (requests that wait for such a response now), ``cache_objects``,
            ``cache_bytes``, ``disk_objects``, ``disk_bytes``.
            Upstreams: ``upstreams`` (by service: address, requests, failures, outstanding, ejected,
            unhealthy, ejections, ejected_s, warming), ``services`` (waiting, in_flight, limit,
            breaker_open), ``upstream_idle`` (connections).
            Clients: ``accepted``, ``accepted_forward`` (of these, by ``forward.listen``); ``connections``,
            ``tunnels`` and ``associations`` (UDP) that are open now; ``tcp`` (by listener: connections, and
            bytes in both directions).
            Work: ``threads`` (workers), ``queued`` (requests that wait for a worker), ``at_once``
            (requests that needed no worker), ``awaiting`` (requests that wait for an upstream without
            a worker), ``cpu_seconds`` (of this process), ``log_dropped`` (lines).
            ``traffic`` (see `realproxy.observe.metrics.traffic`; empty without ``admin``).
            With several ``workers``, the sum over all living ones, and ``processes`` (of each: pid,
            requests, connections, cpu_seconds) and ``restarts``.
        """
        return self._started.stats()
