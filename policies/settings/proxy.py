"""The settings of a whole proxy, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from policies.bad_input import BadInput, read_toml, validate
from policies.file_kinds import SCENARIO, kind_of_tables
from policies.registry import nearest
from policies.settings.base import Listen, Settings
from policies.settings.forward import Forward
from policies.settings.operation import Limits, Log
from policies.settings.routes import ErrorStatus, Route, is_status
from policies.settings.services import Service
from policies.settings.store import Cache
from policies.settings.transport import Certificate, Identity, ProxyProtocol, Tcp


def _read_certificates(value: object) -> object:
    return [value] if isinstance(value, (Mapping, Certificate)) else value


class ProxySettings(Settings):
    """A whole proxy.

    Parameters
    ----------
    listen : str
        ``host:port``; port 0 is any free one. ``*`` and an empty host are all addresses, IPv4 and IPv6.
        For both sides, unless the forward side has a listener of its own (`Forward.listen`).
    admin : str, optional
        ``host:port`` for metrics, counts, settings and the live page; off by default. Everyone that can
        reach it can read them, so use a loopback address.
    tls : Certificate or list of Certificate
        Certificates for `listen`, chosen by the client's server name (SNI); the first if none fits.
        By default, `listen` does not speak TLS.
    identity : Identity, optional
        The name that this proxy proves to others, and that its clients on `listen` must prove: mutual TLS.
    proxy_protocol : ProxyProtocol, optional
        The proxies in front of `listen` that name their clients.
    workers : int
        Number of processes. The one with the fewest connections accepts the next. Each decides on its
        own, with ``limits.threads`` threads and a separate store, see `worker_cache`.
    trusted_hops : int
        Number of proxies in front of the reverse side that may name the client, by X-Forwarded-For or
        Forwarded; none by default.
    errors : dict of str to str
        Files with the pages for the proxy's own error statuses, such as ``{ "404" = "lost.html" }`` or
        ``{ "5xx" = "sorry.html" }``; those of a route come first.
    trace : bool
        Whether requests to services carry a traceparent, in the client's trace or a new one. This proxy is a
        span of its own: the parent of what the service asks.
    forward : Forward, optional
        The forward side; off by default.
    route : list of Route
        The reverse side; the first route that matches takes the request.
    tcp : list of Tcp
        Raw TCP listeners, beside `listen`.
    service : dict of str to Service
        The services that routes and raw TCP listeners lead to, by name.
    cache : Cache
        The store, for routes and the forward side with caching.
    log : Log, optional
        The access log; off by default.
    limits : Limits
    """

    listen: Listen = "127.0.0.1:0"
    admin: Listen | None = None
    tls: Annotated[tuple[Certificate, ...], BeforeValidator(_read_certificates)] = ()
    identity: Identity | None = None
    proxy_protocol: ProxyProtocol | None = None
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    trusted_hops: Annotated[int, Field(ge=0, le=32)] = 0
    errors: dict[ErrorStatus, str] = Field(default_factory=dict)
    trace: bool = True
    forward: Forward | None = None
    route: tuple[Route, ...] = ()
    tcp: tuple[Tcp, ...] = ()
    service: dict[str, Service] = Field(default_factory=dict)
    cache: Cache = Cache()
    log: Log | None = None
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _one_process_a_folder(self) -> ProxySettings:
        if self.cache.disk is not None and self.workers > 1:
            raise ValueError("cache.disk: expected workers = 1: a folder is for one process")
        return self

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> ProxySettings:
        led = [
            (f"route.{number}.to", name) for number, route in enumerate(self.route) for name in route.services
        ]
        led += [
            (f"route.{number}.mirror.to", copy.to)
            for number, route in enumerate(self.route)
            for copy in route.mirror
        ]
        led += [(f"tcp.{number}.to", tcp.to) for number, tcp in enumerate(self.tcp)]
        for key, name in led:
            if name not in self.service:
                hint = (
                    nearest(name, list(self.service)) if self.service else "; there is no [service.…] table"
                )
                raise ValueError(f"{key}: unknown service {name!r}{hint}")
        if not self.route and not self.tcp and self.forward is None:
            raise ValueError("expected at least one [[route]] or a [forward] table, or a [[tcp]] listener")
        return self

    @model_validator(mode="after")
    def _services_can_do_it(self) -> ProxySettings:
        for number, tcp in enumerate(self.tcp):
            for key in ("tls", "mutual", "retry", "hedge", "breaker", "queue", "rate", "request", "response"):
                if getattr(self.service[tcp.to], key) not in (None, False):
                    raise ValueError(f"tcp.{number}.to: service {tcp.to!r} has {key}, which only routes obey")
        for name in self.service:
            if is_status(name):
                raise ValueError(f"service.{name}: expected a name that is no status")
        for number, route in enumerate(self.route):
            if route.canary is not None and self.workers > 1:
                raise ValueError(
                    f"route.{number}.canary: expected workers = 1: one watch must see all answers"
                )
        return self

    @model_validator(mode="after")
    def _services_can_be_hosts(self) -> ProxySettings:
        if self.forward is not None and self.forward.services:
            hosts: dict[str, str] = {}
            for name in self.service:
                other = hosts.setdefault(name.lower(), name)
                if other != name:
                    raise ValueError(f"forward.services: {other!r} and {name!r} are one host: rename one")
            if not hosts:
                raise ValueError("forward.services: there is no [service.…] table")
        return self

    @model_validator(mode="after")
    def _names_can_be_proven(self) -> ProxySettings:
        for name, service in self.service.items():
            if service.mutual and self.identity is None:
                example = "identity = { folder = 'certs', name = 'front' }"
                raise ValueError(f"service.{name}.mutual: expected an identity to show such as {example}")
        if self.tls and self.identity is not None and self.identity.demand:
            raise ValueError("tls: expected identity.demand = false beside it, or no 'tls'")
        return self

    @property
    def secured(self) -> bool:
        """Whether `listen` speaks TLS."""
        return bool(self.tls) or self.knows_callers

    @property
    def knows_callers(self) -> bool:
        """Whether the clients of `listen` prove their names."""
        return self.identity is not None and self.identity.demand

    @property
    def caching(self) -> bool:
        """Whether any route or the forward side caches."""
        return any(route.cache for route in self.route) or (self.forward is not None and self.forward.cache)

    @property
    def worker_cache(self) -> Cache:
        """The store of one worker: an equal share of the room, because workers share no objects."""
        share = {
            "capacity": self.cache.capacity // self.workers,
            "objects": max(1, self.cache.objects // self.workers),
        }
        return self.cache.model_copy(update=share)


def load_settings(path: str | Path) -> ProxySettings:
    """Read the settings in a proxy's TOML file.

    Raises
    ------
    BadInput
        With one line: the file, the key and what was expected.
    """
    tables = read_toml(path, "a proxy's file")
    if kind_of_tables(tables) == SCENARIO:
        raise BadInput(str(path), "", f"is {SCENARIO}; expected a proxy's file")
    return validate(ProxySettings, tables, str(path))


def parse_settings(data: dict[str, Any], where: str = "settings") -> ProxySettings:
    """Settings from plain data or keyword arguments; raises `BadInput` as `load_settings` does."""
    return validate(ProxySettings, data, where)
