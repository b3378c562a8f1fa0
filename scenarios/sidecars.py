"""The sidecars of a call graph: a proxy beside each replica, for what it is asked and what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from policies.registry import nearest
from policies.settings import Limits, ProxySettings, Route, Service, Upstream
from scenarios.backends import BackendSettings
from scenarios.call_graph import called, with_sidecars
from scenarios.modelled import not_modelled
from scenarios.table import Table

INBOUND = "inbound"
"""The service of a sidecar that leads to its own replica."""
_ROUTE_KEYS = {"when", "to", "timeout", "try_timeout"}


def _without_upstreams(value: object) -> object:
    """A service's table with a placeholder for its upstreams, which the call graph names."""
    if not isinstance(value, Mapping):
        return value
    tables: dict[str, Any] = {}
    for name, table in value.items():
        if isinstance(table, Mapping) and "upstreams" in table:
            raise ValueError(f"{name}.upstreams: expected none: these are the replicas of {name!r}")
        tables[name] = {"upstreams": name, **table} if isinstance(table, Mapping) else table
    return tables


class SidecarSettings(Table):
    """The settings of every sidecar.

    Parameters
    ----------
    service : dict of str to Service
        By the name of a called backend: how sidecars ask its replicas. ``inbound``: how each sidecar
        asks its own replica. No service has `upstreams`.
    route : list of Route
        How requests reach a replica, with `when`, `timeout` and `try_timeout`; each leads to ``inbound``. By
        default, one without limits.
    limits : Limits
        As in a proxy's file.
    """

    service: Annotated[dict[str, Service], BeforeValidator(_without_upstreams)] = Field(default_factory=dict)
    route: Annotated[tuple[Route, ...], Field(min_length=1)] = (Route(to=INBOUND),)
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _routes_lead_to_the_replica(self) -> SidecarSettings:
        for place, route in enumerate(self.route):
            if route.to != INBOUND:
                raise ValueError(f"route.{place}.to: expected {INBOUND!r}, not {route.to!r}")
            if more := sorted(route.model_fields_set - _ROUTE_KEYS):
                raise ValueError(f"route.{place}.{more[0]}: expected only {', '.join(sorted(_ROUTE_KEYS))}")
        return self


def check_sidecars(settings: SidecarSettings | None, backends: Mapping[str, BackendSettings]) -> None:
    """Check that sidecars exist, and that their services are those that are called.

    Raises
    ------
    ValueError
        In one line, with the key.
    """
    beside = with_sidecars(backends)
    if INBOUND in beside:
        raise ValueError(
            f"backend.{INBOUND}: in a call graph, this is the name of a sidecar's own service; "
            "expected another name"
        )
    if settings is None:
        return
    if not beside:
        raise ValueError("sidecar: no backend has 'calls', so there is no sidecar")
    known = [INBOUND, *dict.fromkeys(callee for name in beside for callee in called(backends, name))]
    for name in settings.service:
        if name not in known:
            raise ValueError(f"sidecar.service.{name}: no backend calls {name!r}{nearest(name, known)}")
    for name in beside:
        for key, problem in not_modelled(sidecar_of(settings, backends, name, 0), "sidecar"):
            raise ValueError(f"sidecar.{key}: {problem}")


def sidecar_of(
    settings: SidecarSettings | None, backends: Mapping[str, BackendSettings], backend: str, number: int
) -> ProxySettings:
    """The sidecar of one replica as a proxy's settings.

    Its upstreams are names: ``cart/0`` is the replica itself, and a backend stands for the sidecars of
    all of its replicas.
    """
    settings = settings or SidecarSettings()
    services = {INBOUND: f"{backend}/{number}"} | {name: name for name in called(backends, backend)}
    filled = {
        name: settings.service[name].model_copy(update={"upstreams": (Upstream(address=address),)})
        if name in settings.service
        else Service(upstreams=(Upstream(address=address),))
        for name, address in services.items()
    }
    return ProxySettings(route=settings.route, service=filled, limits=settings.limits)


def sidecar_seed(seed: int, replica: int) -> int:
    """The seed of the sidecar of one replica, by its number among all of the scenario."""
    return seed + (1000 + replica) * 2**32
