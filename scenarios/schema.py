"""The schema of a scenario file: the clients, the backends, the proxies, and what is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from policies.registry import nearest
from policies.settings import ProxySettings, Route, RouteCache, Service, Upstream
from policies.settings.unsupported import check_obeyed
from policies.units import Duration, Rate
from scenarios.chance import own_errors, own_work
from scenarios.distributions import (
    DurationDistribution,
    ObjectPopularity,
    SizeDistribution,
    parse_distribution,
    parse_popularity,
)
from scenarios.modelled import not_modelled
from scenarios.profiles import LoadProfile
from scenarios.recovery import outage_end
from scenarios.shares import servers_by_service
from scenarios.trace_keys import TraceColumns, TraceFiles, TraceFormat, check_trace_keys
from scenarios.traces import Trace, read_trace

Metric = Literal[
    "throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "fetch_rps", "fetches_per_expiry",
    "error_ratio",
]  # fmt: skip


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _read_spell(value: object) -> object:
    if not isinstance(value, str):
        return value
    start, dots, end = value.partition("..")
    if not dots:
        raise ValueError(f"expected a time from and to such as '10s..20s', not {value!r}")
    return start.strip(), end.strip()


def _check_spell(spell: tuple[float, float]) -> tuple[float, float]:
    if spell[0] >= spell[1]:
        raise ValueError("expected a time that begins before it ends")
    return spell


Spell = Annotated[tuple[Duration, Duration], BeforeValidator(_read_spell), AfterValidator(_check_spell)]
"""Start and end in seconds since the start of a run; in the file, such as ``"10s..20s"``."""

ONLY_MODELLED = (
    "link.proxy",
    "backend.*.discipline",
)
"""Keys that real runs do not obey, see `policies.settings.unsupported`."""


class WorkloadSettings(_Table):
    """The clients; exactly one of `users`, `rate` and `trace` decides how requests arrive.

    Parameters
    ----------
    users : int
        Closed load: each user waits for its response, thinks, and sends again, as Locust's users do.
    think : distribution of durations
        Pause of a closed user before each request, including the first.
    rate : rate
        Open load: Poisson arrivals, independent of the responses.
    connections : int, optional
        Connections of the generator of an open load: a request that is due waits until one is free and
        is sent late. Shows what coordinated omission hides; a real run with late requests is void and
        reports so.
    clients : int
        Number of addresses that the requests of an open load or a trace come from, chosen at random;
        balancers that hash the source see them. Each closed user has one address.
    profile : profile, optional
        Factor of `rate` over time: ``ramp(low, high, over)``, ``bursts(every, lasting, factor)`` or
        ``day(length, swing)``, see `scenarios.profiles`.
    trace : str or list of str
        Replay of a file; time begins at its first request, and rows in another order are sorted by
        time. A CSV file with the columns ``time_s,object,size_bytes`` and optionally
        ``service_s``, or any other format of `scenarios.traces`. Several files are one trace. A
        relative path starts at the scenario's folder.
    format : str, optional
        The format of the trace; by default, its content tells it.
    columns : str, optional
        Which columns of a CSV trace hold what, such as ``"object=lbn,size=3,time=ts:ms"``.
    skip_bad : bool
        Whether broken lines of the trace are skipped and counted.
    fanout : int
        Number of requests, all sent at once, that form one request of a client; it ends with the
        slowest of them.
    objects : int
        Number of different objects.
    popularity : popularity
        ``zipf(exponent)`` or ``uniform``.
    size : distribution of sizes
        Body of an object; every object keeps its size.
    """

    users: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    think: DurationDistribution = parse_distribution("exponential(1s)")
    rate: Annotated[Rate, Field(gt=0)] | None = None
    connections: Annotated[int, Field(ge=1)] | None = None
    clients: Annotated[int, Field(ge=1, le=65_536)] = 1
    profile: LoadProfile | None = None
    trace: TraceFiles | None = None
    format: TraceFormat | None = None
    columns: TraceColumns | None = None
    skip_bad: bool = False
    fanout: Annotated[int, Field(ge=1, le=10_000)] = 1
    objects: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000
    popularity: ObjectPopularity = parse_popularity("zipf(0.9)")
    size: SizeDistribution = parse_distribution("1024", int)

    @model_validator(mode="after")
    def _one_way_to_arrive(self) -> WorkloadSettings:
        given = [name for name in ("users", "rate", "trace") if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of 'users', 'rate' and 'trace', found {found}")
        if self.users and self.connections:
            raise ValueError("connections: each closed user has one; expected 'rate' or 'trace'")
        if self.users and self.clients > 1:
            raise ValueError("clients: each closed user is one client; expected 'rate' or 'trace'")
        if self.profile is not None and self.rate is None:
            raise ValueError("profile: expected a 'rate' that it changes over time")
        check_trace_keys(self.model_fields_set, self.format)
        if self.users and "think" in self.model_fields_set and self.think.mean == 0:
            raise ValueError("think: a closed user that never thinks never pauses; expected a mean above 0")
        return self

    @property
    def trace_files(self) -> tuple[str, ...]:
        """The files of the trace; none without a trace."""
        return () if self.trace is None else (self.trace,) if isinstance(self.trace, str) else self.trace

    def read_trace(self) -> Trace:
        """The trace, which must be given; see `scenarios.traces.read_trace` for the errors."""
        return read_trace(self.trace_files, kind=self.format, columns=self.columns, skip_bad=self.skip_bad)


class Hiccup(_Table):
    """Pauses of a server: garbage collection, a busy disk, a noisy neighbour.

    Parameters
    ----------
    share : float
        Share of the requests with a pause; drawn when their work begins, so that another attempt is
        drawn again.
    lasts : duration
        Length of the pause.
    """

    share: Annotated[float, Field(ge=0, le=1)]
    lasts: Duration


class BackendSettings(_Table):
    """A group of equal servers.

    Parameters
    ----------
    replicas : int
        Number of servers.
    concurrency : int
        Requests in service at once at one replica; more wait there, first come, first served.
    service_time : distribution of durations
        Work of a request.
    discipline : str
        ``fifo``: `concurrency` requests are in service, more wait, first come, first served.
        ``ps``: all requests share `concurrency` processors evenly; none uses more than one.
    slow : dict of int to float
        Replicas with a factor on the duration of all work.
    slow_during : dict of int to spell
        When `slow` holds for a replica, such as ``"10s..20s"``; always by default.
    fail : dict of int to spell
        When a replica is down: it loses the work in progress and refuses connections.
    jitter : distribution of durations, optional
        Extra work, drawn by the server for every request that it gets; `service_time` is drawn for the
        request, whichever server gets it.
    hiccup : Hiccup, optional
        Pauses, also drawn by the server.
    errors : float
        Share of the responses that are errors (500), drawn by the server when the work ends.
    cache_control : str, optional
        The Cache-Control field of its responses.
    """

    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 1
    service_time: DurationDistribution = parse_distribution("exponential(10ms)")
    discipline: Literal["fifo", "ps"] = "fifo"
    slow: dict[int, Annotated[float, Field(gt=0, le=1e6)]] = Field(default_factory=dict)
    slow_during: dict[int, Spell] = Field(default_factory=dict)
    fail: dict[int, Spell] = Field(default_factory=dict)
    jitter: DurationDistribution | None = None
    hiccup: Hiccup | None = None
    errors: Annotated[float, Field(ge=0, le=1)] = 0.0
    cache_control: str | None = None

    @model_validator(mode="after")
    def _slow_replicas_exist(self) -> BackendSettings:
        for key in ("slow", "slow_during", "fail"):
            for replica in getattr(self, key):
                if not 0 <= replica < self.replicas:
                    last = self.replicas - 1
                    raise ValueError(f"{key}.{replica}: there is no such replica; expected 0 to {last}")
        for replica in self.slow_during:
            if replica not in self.slow:
                raise ValueError(f"slow_during.{replica}: expected slow.{replica} to say how slow")
        return self

    def own_work(self, seed: int, replica: str) -> Callable[[], float] | None:
        """Returns the extra seconds of work of each request, see `scenarios.chance.own_work`."""
        hiccup = self.hiccup and (self.hiccup.share, self.hiccup.lasts)
        return own_work(self.jitter, hiccup, seed, replica)

    def own_errors(self, seed: int, replica: str) -> Callable[[], bool] | None:
        """Says of each response whether it is an error, see `scenarios.chance.own_errors`."""
        return own_errors(self.errors, seed, replica)

    def slowness(self, replica: int) -> float:
        """Factor on the service time of one replica."""
        return self.slow.get(replica, 1.0)


class LinkSettings(_Table):
    """Latency of a message in one direction; a response has the same latency on its way back.

    It is added to what calibration measures on loopback, and drawn for every message.

    Parameters
    ----------
    client, proxy, backend : distribution of durations, optional
        Between client and first proxy, between two proxies, and between proxy and backend.
    """

    client: DurationDistribution | None = None
    proxy: DurationDistribution | None = None
    backend: DurationDistribution | None = None


_Chain = Annotated[tuple[ProxySettings, ...], Field(min_length=1)]
ProxyOrChain = Annotated[
    Annotated[ProxySettings, Tag("proxy[one]")] | Annotated[_Chain, Tag("proxy[chain]")],
    Discriminator(lambda value: "proxy[chain]" if isinstance(value, (list, tuple)) else "proxy[one]"),
]
"""One ``[proxy]``, or a chain of several ``[[proxy]]``."""


def check_real(scenario: Scenario, where: str) -> None:
    """Raise `BadInput` if `scenario` has a setting that a real run does not obey."""
    found = check_obeyed(scenario, where, ONLY_MODELLED)
    for name, proxy in zip(scenario.proxies, scenario.chain, strict=True):
        found += check_obeyed(proxy, where, prefix=f"{name}.")
    if found:
        raise found[0]


class Scenario(_Table):
    """One experiment.

    Parameters
    ----------
    title : str
        The question that it asks.
    seed : int
        Of all random numbers.
    duration : duration
        How long requests are sent: by default 10 s, or as long as the trace lasts.
    warmup : duration, optional
        Removed from the start, simulated or real; by default a fifth of the duration.
    workload : WorkloadSettings
        The clients.
    backend : dict of str to BackendSettings
        The servers.
    proxy : ProxySettings or tuple of ProxySettings
        A proxy's settings, whose upstreams are names of backends. Or a chain of proxies, the one that
        clients ask first: the upstream ``proxy.1`` is the second of them, and so on. The first may be a
        forward proxy, with ``[forward]`` and no routes: the clients ask it for the second.
    link : LinkSettings
        Network latency.
    compare : dict of str to list
        Dotted keys with the values to compare; several keys make a grid.
    rank_by : str
        The metric that decides which variant is best.
    """

    title: str
    seed: Annotated[int, Field(ge=0)] = 1
    duration: Annotated[Duration, Field(gt=0)] = 10.0
    warmup: Duration | None = None
    workload: WorkloadSettings
    backend: Annotated[dict[str, BackendSettings], Field(min_length=1)]
    proxy: ProxyOrChain
    link: LinkSettings = LinkSettings()
    compare: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    rank_by: Metric = "p99_ms"

    @model_validator(mode="after")
    def _parts_fit(self) -> Scenario:
        for number in range(len(self.chain)):
            self._check_proxy(number)
        if self.warmup is not None and self.warmup >= self.duration and not self.follows_trace:
            raise ValueError("warmup: expected less than the duration")
        return self

    def _check_proxy(self, number: int) -> None:
        """Check that a proxy of the chain leads to backends and to the next proxy."""
        proxy, key, following = self.chain[number], self.proxies[number], self.proxies[number + 1 :][:1]
        known = [*self.backend, *following]
        leads = {upstream.address for service in proxy.service.values() for upstream in service.upstreams}
        for name, service in proxy.service.items():
            for upstream in service.upstreams:
                if upstream.address not in known:
                    hint = nearest(upstream.address, known)
                    raise ValueError(f"{key}.service.{name}.upstreams: no backend {upstream.address!r}{hint}")
        for name, problem in not_modelled(proxy, key):
            raise ValueError(f"{key}.{name}: {problem}")
        if not proxy.route and not (number == 0 and following):
            raise ValueError(f"{key}.route: expected at least one route for the workload to take")
        if proxy.route and following and following[0] not in leads:
            raise ValueError(f"{key}.service: expected an upstream {following[0]!r}, the next proxy")

    @property
    def follows_trace(self) -> bool:
        """Whether the duration is that of the trace, see `scenarios.timeline.follow`."""
        return self.workload.trace is not None and "duration" not in self.model_fields_set

    @property
    def chain(self) -> tuple[ProxySettings, ...]:
        """The proxies, the one that clients ask first."""
        return self.proxy if isinstance(self.proxy, tuple) else (self.proxy,)

    @property
    def proxies(self) -> list[str]:
        """Their names in dotted keys and upstreams: ``proxy``, or ``proxy.0`` and so on."""
        return [f"proxy.{n}" for n in range(len(self.proxy))] if isinstance(self.proxy, tuple) else ["proxy"]

    @property
    def caching(self) -> bool:
        """Whether any proxy caches."""
        return any(proxy.caching for proxy in self.chain)

    def hop(self, number: int) -> Scenario:
        """The scenario for one proxy of the chain: only this proxy, with a separate seed.

        A forward proxy gets the route that its clients use: all requests go to the next proxy.
        """
        proxy = self.chain[number]
        if not proxy.route:
            cache = RouteCache() if proxy.forward is not None and proxy.forward.cache else None
            following = Service(upstreams=(Upstream(address=self.proxies[number + 1]),))
            update = {"route": (Route(to="forward", cache=cache),), "service": {"forward": following}}
            proxy = proxy.model_copy(update=update)
        return self.model_copy(update={"proxy": proxy, "seed": self.seed + number * 2**32})

    @property
    def services(self) -> dict[str, tuple[int, ...]]:
        """The numbers in `replicas` of the servers of each service, see `servers_by_service`."""
        return servers_by_service(self.chain[0], self.replicas)

    @property
    def canary(self) -> tuple[int, ...]:
        """The numbers in `replicas` of the servers of the watched canary of the first proxy."""
        watched = {route.canary.watch for route in self.chain[0].route if route.canary is not None}
        return tuple(number for name, those in self.services.items() if name in watched for number in those)

    @property
    def outage_end(self) -> float | None:
        """When the last spell of a slow or failing server ends, see `scenarios.recovery`."""
        return outage_end(self.backend.values())

    @property
    def window(self) -> tuple[float, float]:
        """Start and end, in seconds, of the part of a run that is evaluated."""
        return (self.duration / 5 if self.warmup is None else self.warmup), self.duration

    @property
    def replicas(self) -> list[str]:
        """The names of all servers, such as ``web/0``, in the order of the file."""
        return [f"{name}/{i}" for name, backend in self.backend.items() for i in range(backend.replicas)]
