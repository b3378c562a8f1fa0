"""The settings of a proxy: the one schema of its TOML file.

The real proxy obeys all of it, a scenario embeds it, the simulator models what it says. Each
field's default stands beside it, and its meaning in the docstring of its class.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.admission import check_admission
from policies.balancing import balancing_policies
from policies.eviction import check_online
from policies.patterns import check_pattern
from policies.problems import read_toml, validate
from policies.registry import nearest
from policies.units import Duration, Rate, Size

Pattern = Annotated[str, AfterValidator(check_pattern)]


class Settings(BaseModel):
    """A table of a settings file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _check_listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"expected 'host:port' such as '127.0.0.1:8080', not {text!r}")
    if (host.startswith("[") and host.endswith("]")) != (":" in host):
        raise ValueError(f"expected an IPv6 address in brackets such as '[::1]:8080', not {text!r}")
    return text


def _check_network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


Listen = Annotated[str, AfterValidator(_check_listen)]


class Match(Settings):
    """Which requests a route takes; every condition that is given must hold.

    Parameters
    ----------
    host : str, optional
        Exact name, glob (``*.shop.test``) or regular expression (``~^shop``), without port.
    path : str, optional
        Glob (``/api/*``) or regular expression, of the path without the query.
    method : str, optional
        One method, or several separated by ``|``.
    header : dict of str to str, optional
        Field names with the glob that the value must match.
    client : str, optional
        Network of the client's address, such as ``203.0.113.0/24``.
    """

    host: Pattern | None = None
    path: Pattern | None = None
    method: str | None = None
    header: dict[str, Pattern] = Field(default_factory=dict)
    client: Annotated[str, AfterValidator(_check_network)] | None = None


STALE = 600.0
"""Seconds that an answer may be stale, by default, while its origin cannot be reached."""


class RouteCache(Settings):
    """How answers of one route are cached.

    Parameters
    ----------
    ttl : duration, optional
        Freshness of an answer whose origin names none. Without it such answers are stored only if
        their Last-Modified allows a guess.
    stale : duration
        How much longer an answer may be used while its origin cannot be reached, unless the
        origin says otherwise.
    coalesce : bool
        Whether requests for an object that is being fetched wait for that fetch.
    """

    ttl: Duration | None = None
    stale: Duration = STALE
    coalesce: bool = False


def _read_route_cache(value: object) -> object:
    return RouteCache() if value is True else None if value is False else value


class Route(Settings):
    """One rule of the reverse side: the first route that matches takes the request.

    Parameters
    ----------
    when : Match
        Which requests; everything by default.
    to : str, optional
        Name of the service that answers.
    respond : int, optional
        A status to answer with, instead of a service.
    cache : RouteCache or bool, optional
        ``true`` or a table: this route's answers may be stored. Off by default.
    """

    when: Match = Match()
    to: str | None = None
    respond: Annotated[int, Field(ge=200, le=599)] | None = None
    cache: Annotated[RouteCache | None, BeforeValidator(_read_route_cache)] = None

    @model_validator(mode="after")
    def _one_answer(self) -> Route:
        if (self.to is None) == (self.respond is None):
            raise ValueError("expected either 'to' (a service) or 'respond' (a status)")
        return self


class Upstream(Settings):
    """One server of a service.

    Parameters
    ----------
    address : str
        ``host:port``. In a scenario, the name of a backend, which stands for all its replicas.
    weight : float
        Share relative to the other upstreams, for balancers that look at weights.
    """

    address: str
    weight: Annotated[float, Field(gt=0)] = 1.0


def _read_upstreams(value: object) -> object:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [{"address": item} if isinstance(item, str) else item for item in items]


class Health(Settings):
    """Probes of every upstream, see `policies.resilience.HealthChecks`.

    Parameters
    ----------
    path : str
        What is asked for.
    every : duration
        Between two probes of an upstream.
    rise, fall : int
        Probes in a row that bring an upstream up, or take it down.
    """

    path: str = "/health"
    every: Annotated[Duration, Field(gt=0)] = 2.0
    rise: Annotated[int, Field(ge=1)] = 2
    fall: Annotated[int, Field(ge=1)] = 3


class Eject(Settings):
    """Leave failing upstreams alone, see `policies.resilience.PassiveEjection`.

    Parameters
    ----------
    errors : int
        Failures in a row (500 or more, refused, too late) that eject an upstream.
    for_ : duration
        How long; ``for`` in the file.
    most : float
        Share of the upstreams that may be ejected at once.
    """

    model_config = ConfigDict(populate_by_name=True)

    errors: Annotated[int, Field(ge=1)] = 5
    for_: Annotated[Duration, Field(alias="for", gt=0)] = 10.0
    most: Annotated[float, Field(ge=0, le=1)] = 0.5


class Retry(Settings):
    """Ask another upstream after a failure.

    Parameters
    ----------
    attempts : int
        In all, the first one too.
    budget : float, optional
        Retries per request, see `policies.resilience.RetryBudget`; unlimited without it.
    """

    attempts: Annotated[int, Field(ge=1, le=100)] = 2
    budget: Annotated[float, Field(ge=0)] | None = None


class Hedge(Settings):
    """Ask a second upstream if the first is slow; the first answer counts.

    "The tail at scale": J. Dean, L. A. Barroso, Communications of the ACM 56, 2013.

    Parameters
    ----------
    after : duration
        How long the first has alone.
    """

    after: Annotated[Duration, Field(gt=0)]


class Breaker(Settings):
    """Refuse with 503 while a service fails, see `policies.resilience.CircuitBreaker`.

    Parameters
    ----------
    failures : int
        In a row, that open it.
    open : duration
        Until one request may try again.
    """

    failures: Annotated[int, Field(ge=1)] = 5
    open: Annotated[Duration, Field(gt=0)] = 5.0


class Queue(Settings):
    """Requests in flight to a service, see `policies.resilience.BoundedQueue`.

    Parameters
    ----------
    in_flight : int
        At once.
    wait : duration
        How long another may wait for its turn; then 503.
    """

    in_flight: Annotated[int, Field(ge=1)]
    wait: Duration = 0.0


class Service(Settings):
    """A set of servers that do the same work.

    Parameters
    ----------
    upstreams : list
        ``host:port`` texts or `Upstream` tables, at least one.
    balance : str
        Name of a balancing policy.
    load_snapshot : duration
        How often balancers learn of the upstreams' loads; 0: they always know.
    health, eject, retry, hedge, breaker, queue : table, optional
        See `Health`, `Eject`, `Retry`, `Hedge`, `Breaker` and `Queue`; off without it.
    rate : rate, optional
        Requests that are let through; the others are answered 429.
    """

    upstreams: Annotated[tuple[Upstream, ...], BeforeValidator(_read_upstreams), Field(min_length=1)]
    balance: Annotated[str, AfterValidator(balancing_policies.check)] = "round_robin"
    load_snapshot: Duration = 0.0
    health: Health | None = None
    eject: Eject | None = None
    retry: Retry | None = None
    hedge: Hedge | None = None
    breaker: Breaker | None = None
    queue: Queue | None = None
    rate: Annotated[Rate, Field(gt=0)] | None = None


class Cache(Settings):
    """The store that all caching routes and the forward side share.

    Parameters
    ----------
    policy : str
        Name of an eviction policy.
    capacity : size
        Bytes of stored objects, as `policies.eviction.charged_size` counts them.
    admission : str, optional
        An admission policy: ``tinylfu``, ``second_request`` or, for the size of an object as it is
        charged, ``size(64KiB)``. Without one, every object may enter.
    hit_lock : duration
        How long a hit holds the store's one lock, as a hit that moves list entries does; hits that
        come meanwhile wait. "Can increasing the hit ratio hurt cache throughput?": Z. Qiu, J. Yang,
        M. Harchol-Balter, 2024.
    """

    policy: Annotated[str, AfterValidator(check_online)] = "s3_fifo"
    capacity: Size = 64 * 2**20
    admission: Annotated[str, AfterValidator(check_admission)] | None = None
    hit_lock: Duration = 0.0


class Forward(Settings):
    """The forward side: what clients that are told to use this proxy may do.

    Parameters
    ----------
    protocols : list of str
        ``http`` (absolute-form) and ``connect`` (tunnels).
    connect_ports : list of int
        Ports that a tunnel may lead to.
    private_targets : bool
        Whether loopback, link-local and private addresses may be reached. The address that is
        dialled is what counts, not the name.
    cache : bool
        Whether answers may be stored.
    """

    protocols: tuple[Literal["http", "connect"], ...] = ("http", "connect")
    connect_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443,)
    private_targets: bool = False
    cache: bool = False


class Log(Settings):
    """The access log.

    Parameters
    ----------
    file : str
        Path that lines are appended to; ``-`` is standard output.
    format : str
        ``json`` (one object a line) or ``combined`` (as Apache and nginx write).
    """

    file: str
    format: Literal["json", "combined"] = "json"


class Limits(Settings):
    """What the proxy does not exceed or wait beyond.

    Parameters
    ----------
    connections : int
        Client connections at once; more wait in the kernel's queue.
    threads : int
        Requests that are worked on at once, each in a thread; more wait in a queue.
    head : size
        Bytes of a request's or an answer's head.
    header_timeout : duration
        From the first byte of a head to its end; then 408.
    idle_timeout : duration
        Between requests on a kept connection, and between two reads of a body or tunnel.
    connect_timeout : duration
        To reach an upstream; then 504.
    answer_timeout : duration
        Until an upstream's head, and between two reads of its body; then 504.
    upstream_idle : duration
        How long an unused upstream connection is kept.
    drain : duration
        How long a stop waits for requests that are under way.
    """

    connections: Annotated[int, Field(ge=1)] = 10_000
    threads: Annotated[int, Field(ge=1, le=4096)] = 256
    head: Annotated[Size, Field(ge=256)] = 32 * 2**10
    header_timeout: Duration = 10.0
    idle_timeout: Duration = 60.0
    connect_timeout: Duration = 5.0
    answer_timeout: Duration = 60.0
    upstream_idle: Duration = 30.0
    drain: Duration = 10.0


class ProxySettings(Settings):
    """A whole proxy.

    Parameters
    ----------
    listen : str
        ``host:port``; port 0 is any free one, an empty host is 127.0.0.1.
    forward : Forward, optional
        The forward side; off without it.
    route : list of Route
        The reverse side, first match wins.
    service : dict of str to Service
        What routes lead to, by name.
    cache : Cache
        The store; used by what has caching switched on.
    log : Log, optional
        The access log; off without it.
    limits : Limits
        Bounds and time-outs.
    """

    listen: Listen = "127.0.0.1:0"
    forward: Forward | None = None
    route: tuple[Route, ...] = ()
    service: dict[str, Service] = Field(default_factory=dict)
    cache: Cache = Cache()
    log: Log | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> ProxySettings:
        for number, route in enumerate(self.route):
            if route.to is not None and route.to not in self.service:
                hint = (
                    nearest(route.to, list(self.service))
                    if self.service
                    else "; there is no [service.…] table"
                )
                raise ValueError(f"route.{number}.to: unknown service {route.to!r}{hint}")
        if not self.route and self.forward is None:
            raise ValueError("expected at least one [[route]] or a [forward] table")
        return self

    @property
    def caching(self) -> bool:
        """Whether anything is cached at all."""
        return any(route.cache for route in self.route) or (self.forward is not None and self.forward.cache)


def load_settings(path: str | Path) -> ProxySettings:
    """The settings in a proxy's TOML file.

    Raises
    ------
    BadInput
        In one line: the file, the key and what was expected.
    """
    return validate(ProxySettings, read_toml(path), str(path))


def parse_settings(data: dict[str, Any], where: str = "settings") -> ProxySettings:
    """Settings from plain data or keyword arguments; raises `BadInput` like `load_settings`."""
    return validate(ProxySettings, data, where)
