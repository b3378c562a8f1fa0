"""The settings of services: their upstreams, balancing, and what happens when upstreams fail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from policies.balancing import balancing_policies
from policies.request_key import check_key
from policies.settings.base import Settings
from policies.settings.ingress import HeaderChanges, RequestChanges
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


class Health(Settings):
    """Probes of every upstream, see `policies.resilience.HealthChecks`.

    Parameters
    ----------
    path : str
        Path of the probe's request.
    every : duration
        Between two probes of an upstream.
    rise, fall : int
        Probes in a row that bring an upstream up, or take it down.
    """

    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/health"
    every: Annotated[Duration, Field(gt=0)] = 2.0
    rise: Annotated[int, Field(ge=1)] = 2
    fall: Annotated[int, Field(ge=1)] = 3


class Eject(Settings):
    """Stop sending requests to failing upstreams, see `policies.resilience.PassiveEjection`.

    Parameters
    ----------
    errors : int
        Consecutive failures (500 or more, refused, too late) that eject an upstream.
    for_ : duration
        Duration of an ejection; ``for`` in the file.
    most : float
        Largest share of the upstreams that may be ejected at once.
    """

    model_config = ConfigDict(populate_by_name=True)

    errors: Annotated[int, Field(ge=1)] = 5
    for_: Annotated[Duration, Field(alias="for", gt=0)] = 10.0
    most: Annotated[float, Field(ge=0, le=1)] = 0.5


class Retry(Settings):
    """Ask another upstream after a failure: no connection, no response in time, or a status of 500 or more.

    Only requests that may be sent twice are repeated: requests with idempotent methods (RFC 9110, 9.2.2)
    whose body, if any, is small enough to be kept, and requests that were not sent at all.

    Parameters
    ----------
    attempts : int
        In all, including the first one.
    budget : float, optional
        Retries per request, see `policies.resilience.RetryBudget`; unlimited by default.
    codes : list of int, optional
        Only these statuses are failures to repeat, 500 to 599; a response that did not come in time is a
        504, a broken one a 502. All by default.
    backoff : duration
        Before the first retry, and twice as long before each further one, see `policies.resilience.backoff`.
    """

    attempts: Annotated[int, Field(ge=1, le=100)] = 2
    budget: Annotated[float, Field(ge=0)] | None = None
    codes: tuple[Annotated[int, Field(ge=500, le=599)], ...] | None = None
    backoff: Duration = 0.0


class Hedge(Settings):
    """Ask a second upstream if the first is slow; the first response counts, the other request is cancelled.

    Only requests with idempotent methods and without a body are sent twice. J. Dean, L. A. Barroso,
    "The tail at scale", Communications of the ACM 56, 2013.

    Parameters
    ----------
    after : duration
        How long only the first upstream is asked.
    """

    after: Annotated[Duration, Field(gt=0)]


class Breaker(Settings):
    """Refuse with 503 while a service fails, see `policies.resilience.CircuitBreaker`.

    Parameters
    ----------
    failures : int
        Consecutive failures that open the breaker.
    open : duration
        Until one request may try again.
    """

    failures: Annotated[int, Field(ge=1)] = 5
    open: Annotated[Duration, Field(gt=0)] = 5.0


class Queue(Settings):
    """Limit the requests in flight to a service, see `policies.resilience.BoundedQueue`.

    Parameters
    ----------
    in_flight : int
        At once.
    wait : duration
        How long further requests may wait; then 503.
    """

    in_flight: Annotated[int, Field(ge=1)]
    wait: Duration = 0.0


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
