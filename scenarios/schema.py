"""The schema of a scenario file: the clients, the backends, the proxies, and what is compared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from policies.settings import ProxySettings, Route, RouteCache, Service, Upstream
from policies.settings.unsupported import check_obeyed
from policies.units import Duration, Rate
from scenarios.backends import BackendSettings
from scenarios.call_graph import check_calls, with_sidecars
from scenarios.distributions import (
    DurationDistribution,
    ObjectPopularity,
    SizeDistribution,
    parse_distribution,
    parse_popularity,
)
from scenarios.profiles import LoadProfile
from scenarios.recovery import outage_end
from scenarios.shares import servers_by_service
from scenarios.sidecars import SidecarSettings, check_sidecars, sidecar_of
from scenarios.table import Table
from scenarios.topology import Topology, asked_by_forward, check_proxies, topology_of
from scenarios.trace_keys import TraceColumns, TraceFiles, TraceFormat, check_trace_keys
from scenarios.traces import Trace, read_trace

Metric = Literal[
    "throughput_rps", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "hit_ratio", "fetch_rps", "fetches_per_expiry",
    "error_ratio",
]  # fmt: skip


ONLY_MODELLED = (
    "link.proxy",
    "backend.*.discipline",
)
"""Keys that real runs do not obey, see `policies.settings.unsupported`."""


class WorkloadSettings(Table):
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
    doors : list of str
        The proxies that clients ask, such as ``["proxy.0", "proxy.1"]``: client n asks the one at n
        modulo their number. By default, all clients ask the first proxy.
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
    doors: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
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
        if (count := len(self.doors or ())) > (asking := self.users or self.clients):
            raise ValueError(f"doors: expected at least {count} clients, one for each, not {asking}")
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


class LinkSettings(Table):
    """Latency of a message in one direction; a response has the same latency on its way back.

    It is added to what calibration measures on loopback, and drawn for every message.

    Parameters
    ----------
    client, proxy, backend : distribution of durations, optional
        Between client and door, between two proxies, and between proxy and backend.
    """

    client: DurationDistribution | None = None
    proxy: DurationDistribution | None = None
    backend: DurationDistribution | None = None


_Chain = Annotated[tuple[ProxySettings, ...], Field(min_length=1, max_length=100)]
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


class Scenario(Table):
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
        A proxy's settings, whose upstreams are names of backends. Or several proxies: the upstream
        ``proxy.1`` is the second of them, and so on. Clients ask the first one, or `workload.doors`. A
        door may be a forward proxy, with ``[forward]`` and no routes: its clients name the next proxy.
    sidecar : SidecarSettings, optional
        The sidecars of all replicas whose backends call or are called.
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
    sidecar: SidecarSettings | None = None
    link: LinkSettings = LinkSettings()
    compare: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    rank_by: Metric = "p99_ms"

    @model_validator(mode="after")
    def _parts_fit(self) -> Scenario:
        check_calls(self.backend, self.asked_first)
        check_sidecars(self.sidecar, self.backend)
        if self.link.proxy is not None and with_sidecars(self.backend):
            raise ValueError("link.proxy: not modelled in a call graph, where sidecars are proxies, too")
        check_proxies(self.chain, self.proxies, list(self.backend), self.workload.doors or ())
        if self.warmup is not None and self.warmup >= self.duration and not self.follows_trace:
            raise ValueError("warmup: expected less than the duration")
        return self

    @property
    def follows_trace(self) -> bool:
        """Whether the duration is that of the trace, see `scenarios.timeline.follow`."""
        return self.workload.trace is not None and "duration" not in self.model_fields_set

    @property
    def chain(self) -> tuple[ProxySettings, ...]:
        """The proxies, in the order of the file."""
        return self.proxy if isinstance(self.proxy, tuple) else (self.proxy,)

    @property
    def proxies(self) -> list[str]:
        """Their names in dotted keys and upstreams: ``proxy``, or ``proxy.0`` and so on."""
        return [f"proxy.{n}" for n in range(len(self.proxy))] if isinstance(self.proxy, tuple) else ["proxy"]

    @property
    def caching(self) -> bool:
        """Whether any proxy caches."""
        return any(proxy.caching for proxy in self.chain)

    @property
    def topology(self) -> Topology:
        """Which proxies clients ask, and which proxies those ask."""
        return topology_of(self.chain, self.proxies, self.workload.doors or ())

    def hop(self, number: int) -> Scenario:
        """The scenario for one proxy of the chain: only this proxy, with a separate seed.

        A forward proxy gets the route that its clients use: all requests go to the next proxy.
        """
        proxy = self.chain[number]
        if (asked := asked_by_forward(number, self.chain)) is not None and not proxy.route:
            cache = RouteCache() if proxy.forward is not None and proxy.forward.cache else None
            following = Service(upstreams=(Upstream(address=self.proxies[asked]),))
            update = {"route": (Route(to="forward", cache=cache),), "service": {"forward": following}}
            proxy = proxy.model_copy(update=update)
        return self.model_copy(update={"proxy": proxy, "seed": self.seed + number * 2**32})

    @property
    def asked_first(self) -> list[str]:
        """The backends that proxies ask; others are only called by backends."""
        services = (service for proxy in self.chain for service in proxy.service.values())
        led = {upstream.address for service in services for upstream in service.upstreams}
        return [name for name in self.backend if name in led]

    @property
    def sidecars(self) -> dict[str, ProxySettings]:
        """The sidecar of each replica that has one, by the replica's name; see `sidecar_of`."""
        return {
            f"{name}/{number}": sidecar_of(self.sidecar, self.backend, name, number)
            for name in with_sidecars(self.backend)
            for number in range(self.backend[name].replicas)
        }

    @property
    def _doors(self) -> list[ProxySettings]:
        return [self.chain[number] for number in self.topology.doors]

    @property
    def services(self) -> dict[str, tuple[int, ...]]:
        """The numbers in `replicas` of the servers of each service of the doors, see `servers_by_service`.

        Empty if the doors do not agree.
        """
        found = [servers_by_service(door, self.replicas) for door in self._doors]
        return found[0] if all(one == found[0] for one in found) else {}

    @property
    def canary(self) -> tuple[int, ...]:
        """The numbers in `replicas` of the servers of the watched canaries of the doors."""
        routes = [route for door in self._doors for route in door.route]
        watched = {route.canary.watch for route in routes if route.canary is not None}
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
