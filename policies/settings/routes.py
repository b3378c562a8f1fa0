"""The settings of the reverse side: which requests a route takes, and what happens to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from policies.basic_auth import check_user
from policies.request_key import check_key
from policies.reverse.split import check_weight
from policies.settings.base import HostPattern, Network, Pattern, Settings
from policies.settings.canary import Canary, Mirror, Override
from policies.settings.faults import Fault
from policies.settings.ingress import Cors, DecodedPath, HeaderChanges, Redirect, RequestChanges, Rewrite
from policies.units import Duration, Size

Weight = Annotated[float, AfterValidator(check_weight)]
ErrorStatus = Annotated[str, Field(pattern=r"^[45](xx|\d\d)$")]


def is_status(name: str) -> bool:
    """Whether the name of an arm is a status with which the proxy answers itself."""
    return name.isdecimal() and name.isascii() and 400 <= int(name) <= 599


def check_sticky(text: str) -> str:
    """Return `text` if a split can be sticky by it; raise `ValueError` if it cannot (for pydantic)."""
    if text == "path":
        raise ValueError(
            "a path is no user: expected 'client', 'header:NAME', 'cookie:NAME' or 'canary-cookie:NAME'"
        )
    check_key(text.removeprefix("canary-") if text.startswith("canary-cookie:") else text)
    return text


class Match(Settings):
    """Which requests a route takes; all given conditions must hold.

    Parameters
    ----------
    host : str, optional
        Exact name, glob (``*.shop.test``) or regular expression (``~^shop``), without port. Letters other
        than ASCII stand for the form in which requests write them (``xn--…``).
    path : str, optional
        Glob (``/api/*``) or regular expression for the path without the query.
    prefix : str, optional
        Whole elements that the path begins with, decoded: ``/v2`` takes ``/v2`` and ``/v2/x``, not
        ``/v2example``.
    method : str, optional
        One method, or several separated by ``|``.
    header : dict of str to str, optional
        Field names, each with a glob or regular expression for the value.
    query : dict of str to str
        Names in the query, each with a glob or regular expression for the first value, which is decoded.
    sni : str, optional
        Like `host`, for the server name in the TLS handshake.
    caller : str, optional
        Like `host`, for the name in the certificate that the client has proven (see `Identity`). A client
        without a certificate has none.
    client : str, optional
        Network of the client's address, such as ``203.0.113.0/24``.
    """

    host: HostPattern | None = None
    path: Pattern | None = None
    prefix: DecodedPath | None = None
    method: str | None = None
    header: dict[str, Pattern] = Field(default_factory=dict)
    query: dict[str, Pattern] = Field(default_factory=dict)
    sni: HostPattern | None = None
    caller: HostPattern | None = None
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


def _read_to(value: object) -> object:
    """Refuse what is neither a name nor a table of weights, in plain words."""
    if isinstance(value, Mapping):
        for name, weight in value.items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)):
                raise ValueError(f"{name}: expected a weight, a number of 0 or more, not {weight!r}")
            try:
                check_weight(weight)
            except ValueError as mistake:
                raise ValueError(f"{name}: {mistake}") from None
    elif value is not None and not isinstance(value, str):
        example = "{ api = 95, api_canary = 5 }"
        raise ValueError(f"expected the name of a service, or several with weights such as {example}")
    return value


def _read_mirrors(value: object) -> object:
    if isinstance(value, str):
        raise ValueError(f"expected a table such as {{ to = {value!r} }}")
    return [value] if isinstance(value, (Mapping, Mirror)) else value


class Route(Settings):
    """One rule of the reverse side: the first route that matches takes the request.

    Parameters
    ----------
    when : Match
        Which requests; all by default.
    to : str or dict of str to float, optional
        Name of the service that answers; or several names, the arms of a split, with their weights. An arm's
        share is its weight over the sum of all. A name that is a status from 400 to 599 is an arm without a
        service: the proxy answers with this status.
    respond : int, optional
        Status of a response by the proxy itself, instead of a service.
    redirect : Redirect, optional
        Sends the client elsewhere, instead of a service.
    rewrite : Rewrite, optional
        Another path or host for the upstream.
    request, response : HeaderChanges, optional
        Changes of the fields that the upstream gets, or the client.
    cors : Cors, optional
        Which pages of other origins may use this route.
    timeout : duration, optional
        For the whole request, over all attempts; then 504.
    try_timeout : duration, optional
        For each attempt; then the next one, or 504.
    body : size, optional
        The largest body of a request; a larger one gets 413.
    auth : dict of str to str
        Users and their passwords (Basic); without such credentials 401.
    allow : list of str
        Networks of the clients that may use this route; others get 403.
    errors : dict of str to str
        Files with the pages for the proxy's own error statuses: ``{ "503" = "sorry.html", "5xx" = "…" }``.
    sticky : str, optional
        What keeps a user with one arm: ``client``, ``cookie:NAME`` or ``header:NAME``. By default, every
        request is split by chance. ``canary-cookie:NAME`` is here to be compared, see
        `policies.reverse.arms`.
    override : Override, optional
        Lets a request choose its arm.
    mirror : Mirror or list of Mirror
        Sends copies of requests to other services.
    canary : Canary, optional
        Watches one of the arms.
    cache : RouteCache or bool, optional
        ``true`` or a table: this route's responses may be stored. Off by default.
    fault : list of Fault
        Faults that this route injects, see `policies.settings.faults`; none by default.
    """

    when: Match = Match()
    to: Annotated[str | dict[str, Weight] | None, BeforeValidator(_read_to)] = None
    respond: Annotated[int, Field(ge=200, le=599)] | None = None
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    request: RequestChanges | None = None
    response: HeaderChanges | None = None
    cors: Cors | None = None
    timeout: Annotated[Duration, Field(gt=0)] | None = None
    try_timeout: Annotated[Duration, Field(gt=0)] | None = None
    body: Size | None = None
    auth: dict[Annotated[str, AfterValidator(check_user)], str] = Field(default_factory=dict)
    allow: tuple[Network, ...] = ()
    errors: dict[ErrorStatus, str] = Field(default_factory=dict)
    sticky: Annotated[str, AfterValidator(check_sticky)] | None = None
    override: Override | None = None
    mirror: Annotated[tuple[Mirror, ...], BeforeValidator(_read_mirrors)] = ()
    canary: Canary | None = None
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
        if sum(value is not None for value in (self.to, self.respond, self.redirect)) != 1:
            raise ValueError("expected one of 'to' (a service), 'respond' (a status) and 'redirect'")
        return self

    @model_validator(mode="after")
    def _no_service_is_a_status(self) -> Route:
        if isinstance(self.to, str) and is_status(self.to):
            raise ValueError(f"to: {self.to!r} is a status: expected 'respond = {self.to}'")
        return self

    @model_validator(mode="after")
    def _arms_can_be_told_apart(self) -> Route:
        if isinstance(self.to, dict) and not any(self.to.values()):
            raise ValueError("to: expected a weight above 0")
        for key in ("sticky", "override", "canary"):
            if getattr(self, key) is not None and len(self.arms) < 2:
                raise ValueError(f"{key}: expected several services with weights in 'to'")
        if self.canary is not None and self.canary.watch not in self.services:
            raise ValueError(f"canary.watch: {self.canary.watch!r} is none of {', '.join(self.services)}")
        return self

    @model_validator(mode="after")
    def _has_a_request_to_send(self) -> Route:
        if self.to is None:
            for key in ("rewrite", "request", "timeout", "try_timeout", "mirror"):
                if getattr(self, key):
                    raise ValueError(f"{key}: expected 'to', for without a service nothing is sent")
        if self.timeout is not None and (self.try_timeout or 0.0) > self.timeout:
            raise ValueError("try_timeout: expected no more than timeout")
        return self

    @property
    def services(self) -> tuple[str, ...]:
        """The services that requests may go to."""
        names = () if self.to is None else (self.to,) if isinstance(self.to, str) else self.to
        return tuple(name for name in names if not is_status(name))

    @property
    def arms(self) -> tuple[str, ...]:
        """The names in `to` with weights: services, and statuses; empty without a split."""
        return tuple(self.to) if isinstance(self.to, dict) else ()
