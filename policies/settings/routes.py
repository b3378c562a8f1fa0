"""The settings of the reverse side: which requests a route takes, and what happens to them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from policies.settings.base import HostPattern, Network, Pattern, Settings
from policies.settings.faults import Fault
from policies.units import Duration


class Match(Settings):
    """Which requests a route takes; all given conditions must hold.

    Parameters
    ----------
    host : str, optional
        Exact name, glob (``*.shop.test``) or regular expression (``~^shop``), without port. Letters other
        than ASCII stand for the form in which requests write them (``xn--…``).
    path : str, optional
        Glob (``/api/*``) or regular expression for the path without the query.
    method : str, optional
        One method, or several separated by ``|``.
    header : dict of str to str, optional
        Field names, each with a glob or regular expression for the value.
    sni : str, optional
        Like `host`, for the server name in the TLS handshake.
    client : str, optional
        Network of the client's address, such as ``203.0.113.0/24``.
    """

    host: HostPattern | None = None
    path: Pattern | None = None
    method: str | None = None
    header: dict[str, Pattern] = Field(default_factory=dict)
    sni: HostPattern | None = None
    client: Network | None = None


STALE = 600.0
"""Seconds of staleness in which a response may be used, by default, if its origin fails."""


class RouteCache(Settings):
    """How the responses of one route are cached.

    Parameters
    ----------
    ttl : duration, optional
        Freshness of a response that names none. Without it, such a response is stored only if it has
        a validator or its Last-Modified allows a heuristic.
    stale : duration
        How long a stale response may be used if its origin fails, unless the response says otherwise.
    coalesce : bool
        Whether requests for an object that is being fetched wait for that fetch.
    wait : duration
        How long such a request waits for the response to begin; then it fetches for itself.
    """

    ttl: Duration | None = None
    stale: Duration = STALE
    coalesce: bool = False
    wait: Annotated[Duration, Field(gt=0)] = 5.0


def _read_route_cache(value: object) -> object:
    return RouteCache() if value is True else None if value is False else value


class Route(Settings):
    """One rule of the reverse side: the first route that matches takes the request.

    Parameters
    ----------
    when : Match
        Which requests; all by default.
    to : str, optional
        Name of the service that answers.
    respond : int, optional
        Status of a response by the proxy itself, instead of a service.
    cache : RouteCache or bool, optional
        ``true`` or a table: this route's responses may be stored. Off by default.
    fault : list of Fault
        Faults that this route injects, see `policies.settings.faults`; none by default.
    """

    when: Match = Match()
    to: str | None = None
    respond: Annotated[int, Field(ge=200, le=599)] | None = None
    cache: Annotated[RouteCache | None, BeforeValidator(_read_route_cache)] = None
    fault: tuple[Fault, ...] = ()

    @model_validator(mode="after")
    def _faults_strike_one(self) -> Route:
        shared = self.cache is not None and self.cache.coalesce
        for fault in self.fault:
            if shared and fault.kind in ("bandwidth", "half"):
                raise ValueError(f"fault: {fault.kind!r} changes one answer, and cache.coalesce shares it")
        return self

    @model_validator(mode="after")
    def _one_answer(self) -> Route:
        if (self.to is None) == (self.respond is None):
            raise ValueError("expected either 'to' (a service) or 'respond' (a status)")
        return self
