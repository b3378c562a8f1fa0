"""The settings of services: their upstreams, balancing, and what happens when upstreams fail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from policies.balancing import balancing_policies
from policies.request_key import check_key
from policies.settings.base import Settings
from policies.settings.ingress import HeaderChanges, RequestChanges
from policies.settings.resilience import Breaker, Eject, Health, Hedge, Limit, Queue, Retry, read_limit
from policies.settings.transport import UpstreamTls
from policies.settings.upstream_urls import check_no_url, read_urls
from policies.units import Duration, Rate

LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6


class Upstream(Settings):
    """One server of a service.

    Parameters
    ----------
    address : str
        ``host:port``, ``http://host`` or ``https://host``. All addresses of a name are used, in turn. In
        a scenario, the name of a backend: all of its replicas.
    weight : float
        Share relative to the other upstreams.
    """

    address: Annotated[str, AfterValidator(check_no_url)]
    weight: Annotated[float, Field(ge=LEAST_WEIGHT, le=MOST_WEIGHT)] = 1.0


def _read_upstreams(value: object) -> object:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [{"address": item} if isinstance(item, str) else item for item in items]


def _read_tls(value: object) -> object:
    return UpstreamTls() if value is True else None if value is False else value


def _read_mutual(value: object) -> object:
    if not isinstance(value, bool) and not (isinstance(value, str) and value):
        raise ValueError(f"expected true, false or the name in the upstreams' certificates, not {value!r}")
    return value


class Service(Settings):
    """A set of servers that do the same work.

    Parameters
    ----------
    upstreams : list
        ``host:port`` texts, URLs or `Upstream` tables, at least one.
    balance : str
        Name of a balancing policy.
    hash_on : str
        What hashing balancers hash: ``client``, ``path``, ``header:NAME`` or ``cookie:NAME``. A request
        without the field or cookie is hashed by its client.
    load_snapshot : duration
        How often balancers learn the upstreams' loads; with 0, they always know them.
    failover : bool
        Whether a request whose connection is refused goes to the next upstream, until all have
        refused it, regardless of its method: nothing was sent. Costs no attempt of `retry`.
    tls : UpstreamTls or bool, optional
        ``true`` or a table: requests go to the upstreams over TLS. This is also on if every upstream
        begins with ``https://``.
    mutual : bool or str
        ``true``: requests go to the upstreams over TLS, where this proxy shows the certificate of its
        `Identity`, and the upstream's certificate must have the name of the service. Or that name itself.
    proxy_protocol : str, optional
        ``v1`` or ``v2``: connections to the upstreams begin with a header that names the client. Such
        a connection belongs to one client and is not reused for others.
    health, eject, retry, hedge, breaker, queue : table, optional
        See `Health`, `Eject`, `Retry`, `Hedge`, `Breaker` and `Queue`; off by default.
    limit : Limit or int, optional
        A table: the requests in flight are limited, and the limit is learned; a number: a fixed limit.
        Further requests get 503 at once, or wait in `queue`.
    slow_start : duration
        An upstream that comes back or is new gets a share that rises to its whole one in this time, in
        tenths. Off by default.
    resolve : duration, optional
        How often the names of upstreams are resolved anew. Each address of a name is then an upstream of its
        own, which comes and goes with the name's addresses, and has the weight of its name. By default,
        a name is one upstream whose addresses are used in turn.
    deadline : bool
        Whether the upstreams are told how much time is left, where that is known; see
        `policies.resilience.deadline`.
    request, response : HeaderChanges, optional
        Changes of the fields that its upstreams get, or that clients get of its answers, before those of the
        route.
    rate : rate, optional
        Most requests per second; further requests get 429.
    """

    upstreams: Annotated[tuple[Upstream, ...], BeforeValidator(_read_upstreams), Field(min_length=1)]
    balance: Annotated[str, AfterValidator(balancing_policies.check)] = "round_robin"
    hash_on: Annotated[str, AfterValidator(check_key)] = "client"
    load_snapshot: Duration = 0.0
    failover: bool = True
    tls: Annotated[UpstreamTls | None, BeforeValidator(_read_tls)] = None
    mutual: Annotated[bool | str, BeforeValidator(_read_mutual)] = False
    proxy_protocol: Literal["v1", "v2"] | None = None
    health: Health | None = None
    eject: Eject | None = None
    retry: Retry | None = None
    hedge: Hedge | None = None
    breaker: Breaker | None = None
    queue: Queue | None = None
    limit: Annotated[Limit | None, BeforeValidator(read_limit)] = None
    slow_start: Duration = 0.0
    resolve: Annotated[Duration, Field(gt=0)] | None = None
    deadline: bool = True
    request: RequestChanges | None = None
    response: HeaderChanges | None = None
    rate: Annotated[Rate, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_kind_of_tls(self) -> Service:
        if self.mutual and self.tls is not None:
            raise ValueError("mutual: expected no 'tls' beside it: 'identity' says whom to trust")
        return self

    @model_validator(mode="before")
    @classmethod
    def _read_urls(cls, data: Any) -> Any:
        return read_urls(data)

    @model_validator(mode="after")
    def _queue_has_a_limit(self) -> Service:
        if self.queue is not None and self.queue.in_flight is None and self.limit is None:
            raise ValueError("queue.in_flight: expected a number of 1 or more, or 'limit'")
        return self
