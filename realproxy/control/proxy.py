"""The proxy as an object: built from settings, started, asked for its counts, stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from policies.settings import ProxySettings, load_settings, parse_settings
from policies.settings.unsupported import check_obeyed
from realproxy.control.fleet import COMMAND, Fleet
from realproxy.control.instance import Instance
from realproxy.net.address import Address
from realproxy.net.listener import url_of
from realproxy.proxying.snapshot import check_addresses


class Proxy:
    """A forward and reverse proxy.

    Parameters
    ----------
    settings : ProxySettings, optional
        Whole settings; or give their keys as keywords, as in its file.
    seed : int, optional
        Makes balancers and eviction policies take the same chances again, see
        `realproxy.proxying.snapshot.Site`.
    where : str
        What messages call the source of the settings.
    worker_command : sequence of str
        What starts a process if ``workers`` says more than one; it does what
        `realproxy.control.worker_process` does.
    **keywords
        The keys of the file: ``listen``, ``admin``, ``workers``, ``route``, ``service``, ``forward``,
        ``cache``, ``log``, ``limits``.

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
        worker_command: Sequence[str] = COMMAND,
        **keywords: Any,
    ) -> None:
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
        """The proxy that a TOML file describes; raises `BadInput`."""
        return cls(load_settings(path), seed=seed, where=str(path), worker_command=worker_command)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Proxy):
            return NotImplemented
        return (self.settings, self.seed) == (other.settings, other.seed)

    __hash__ = None  # type: ignore[assignment]

    def start(self) -> None:
        """Begin to serve; returns when connections are accepted. Raises `BadInput` if it cannot listen."""
        if self._running is None:
            if self.settings.workers > 1:
                self._running = Fleet(self.settings, self.seed, self._where, self._worker_command)
            else:
                self._running = Instance(self.settings, self.seed, self._where)

    def stop(self) -> None:
        """Stop: finish what is under way for ``limits.drain`` at most, then end all threads."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def reload(self, settings: ProxySettings) -> None:
        """Serve by other settings from now on, without losing a request.

        Requests that are under way end as they began. Services and the store live on where their
        tables are the same. ``listen`` and ``admin`` cannot change.

        Raises
        ------
        BadInput
            In one line; the former settings stay in force.
        """
        if problems := [*check_obeyed(settings, self._where), *check_addresses(settings, self._where)]:
            raise problems[0]
        if self._running is not None:
            self._running.reload(settings, self._where)
        self.settings = settings

    def reopen_log(self) -> None:
        """Write the access log to the file that has its name now, after that was moved away."""
        if self._running is not None:
            self._running.reopen_log()

    def purge(self, *, url: str | None = None, prefix: str | None = None, tag: str | None = None) -> int:
        """Drop stored answers, and see to it that what is on its way does not bring them back.

        Parameters
        ----------
        url : str, optional
            An absolute URL; all variants of it, on the reverse and the forward side.
        prefix : str, optional
            How absolute URLs begin.
        tag : str, optional
            A group that origins name in Cache-Groups (RFC 9875), of any origin.

        Returns
        -------
        int
            How many URIs had anything stored.

        Raises
        ------
        BadInput
            If not exactly one is given, or it is no absolute URL.
        """
        if self._running is None:
            raise RuntimeError("the proxy is not running")
        return self._running.purge(url=url, prefix=prefix, tag=tag)

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
        return url_of(self.address, "https" if self.settings.tls else "http")

    @property
    def admin_url(self) -> str:
        """Where its admin port can be reached; empty without one."""
        if self._running is None:
            raise RuntimeError("the proxy is not running")
        return url_of(self._running.admin.address) if self._running.admin is not None else ""

    @property
    def tcp_ports(self) -> list[int]:
        """Ports of its raw TCP listeners, in the order of the settings."""
        if self._running is None:
            raise RuntimeError("the proxy is not running")
        return [port for _, port in self._running.tcp_addresses]

    def stats(self) -> dict[str, Any]:
        """Counts since the start.

        Returns
        -------
        dict
            ``requests``; ``answers`` (by status, 0 where none was sent); ``ends`` (by
            `realproxy.errors.End`); ``errors`` (ends that an upstream is to blame for); ``hits``,
            ``misses``, ``collapsed`` (requests that were given what another one fetched),
            ``waiting`` (for such a fetch, now), ``cache_objects``, ``cache_bytes``,
            ``disk_objects``, ``disk_bytes``;
            ``upstreams`` (by service: address, requests, failures, outstanding, ejected, unhealthy);
            ``services`` (waiting, breaker_open); ``connections``, ``tunnels`` and
            ``associations`` (of datagrams; open now), ``accepted``;
            ``tcp`` (by listener: connections, and bytes both ways);
            ``threads`` (workers), ``queued`` (requests that wait for one), ``at_once`` (requests that
            needed none), ``awaiting`` (upstreams, without one); ``upstream_idle`` (connections);
            ``log_dropped`` (lines);
            ``cpu_seconds`` (of this process); ``traffic`` (see `realproxy.observe.metrics.traffic`; empty
            without ``admin``). With several ``workers`` the sum of all that live, and ``processes``
            (of each: pid, requests, connections, cpu_seconds) and ``restarts``.
        """
        if self._running is None:
            raise RuntimeError("the proxy is not running")
        return self._running.stats()
