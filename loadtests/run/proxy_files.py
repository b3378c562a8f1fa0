"""The files of a load test's proxy process: its settings, and policy classes from a notebook."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cloudpickle

from policies.admission import admission_policies
from policies.balancing import balancing_policies
from policies.eviction import eviction_policies
from policies.registry import Registry
from policies.settings import ProxySettings, Upstream

REGISTRIES: dict[str, Registry[Any]] = {
    "admission": admission_policies,
    "balancing": balancing_policies,
    "eviction": eviction_policies,
}


def with_addresses(settings: ProxySettings, ports: Mapping[str, int]) -> ProxySettings:
    """A proxy's settings with real addresses instead of the names of backends and of other proxies.

    All processes run on the loopback, so a forward proxy may always reach private addresses.

    Parameters
    ----------
    settings : ProxySettings
        The settings of the scenario.
    ports : mapping of str to int
        Port of each replica, by its name such as ``web/0``, in the order of the scenario; and of the
        proxies behind this one, such as ``proxy.1``. Every replica has the weight of its backend.
    """
    services = {}
    for name, service in settings.service.items():
        upstreams = tuple(
            Upstream(address=f"127.0.0.1:{port}", weight=upstream.weight)
            for upstream in service.upstreams
            for name_of_port, port in ports.items()
            if upstream.address in (name_of_port, name_of_port.rpartition("/")[0])
        )
        services[name] = service.model_copy(update={"upstreams": upstreams})
    forward = settings.forward and settings.forward.model_copy(update={"private_targets": True})
    update = {"service": services, "forward": forward, "listen": "127.0.0.1:0"}
    return settings.model_copy(update=update)


def named(settings: ProxySettings, name: str) -> ProxySettings:
    """The settings of a proxy that says its name in Cache-Status, so that clients see whose hit it was."""
    return settings.model_copy(update={"cache": settings.cache.model_copy(update={"name": name})})


def write_settings(settings: ProxySettings, path: Path) -> None:
    """Write settings as TOML, one line for each top-level key."""
    tables = settings.model_dump(exclude_none=True, warnings=False)
    lines = [f"{_toml(key)} = {_toml(value)}\n" for key, value in tables.items()]
    path.write_text("".join(lines), encoding="utf-8")


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = (f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, (bool, int, float, str)):
        return json.dumps(value, ensure_ascii=False).replace(
            "\x7f", "\\u007f"
        )  # TOML does not allow a raw DEL
    raise TypeError(f"settings hold plain values, not {value!r}")


def write_classes(path: Path) -> None:
    """Write the policies that were defined outside of `policies`, by value, for another process.

    By value means with their code: another process cannot import a class from a notebook's cell.
    """
    added = {family: registry.added() for family, registry in REGISTRIES.items()}
    modules = {policy.__module__ for classes in added.values() for policy in classes.values()}
    importable = [sys.modules[name] for name in sorted(modules - {"__main__"}) if name in sys.modules]
    for module in importable:
        cloudpickle.register_pickle_by_value(module)
    try:
        path.write_bytes(cloudpickle.dumps(added))
    finally:
        for module in importable:
            cloudpickle.unregister_pickle_by_value(module)


def register_classes(path: Path) -> None:
    """Register the classes that `write_classes` wrote."""
    for family, classes in cloudpickle.loads(path.read_bytes()).items():
        for name, policy in classes.items():
            REGISTRIES[family].register(name)(policy)
