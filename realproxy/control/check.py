"""The mistakes in a proxy's file, and what has no effect in it, found without starting a proxy."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from policies.bad_input import BadInput
from policies.settings import ProxySettings, load_settings
from policies.settings.unsupported import check_obeyed
from policies.settings.without_effect import warnings
from realproxy.control.composition import build_rules
from realproxy.net.address import split_address
from realproxy.net.certificates import check_certificates
from realproxy.net.identity import check_identity
from realproxy.net.listener import ALL, host_of
from realproxy.net.resolver import Resolver, look_up
from realproxy.net.tls import client_context
from realproxy.proxying.error_pages import ErrorPages

_EVERYWHERE = frozenset({ALL, "0.0.0.0", "::"})


class Findings(NamedTuple):
    """What `check` has found: with `mistakes` the proxy cannot serve as its file says.

    A warning is for what has no effect, or another one than it seems to have.
    """

    mistakes: list[BadInput]
    warnings: list[BadInput]


def check(path: str | Path) -> Findings:
    """All mistakes in a proxy's TOML file, or only the first one if it violates the schema; and warnings."""
    where = str(path)
    try:
        settings = load_settings(path)
    except BadInput as problem:
        return Findings([problem], [])
    found = list(check_addresses(settings, where))
    hosts = _listen_hosts(settings) | ({} if found else _upstream_hosts(settings))
    addresses = {key: look_up(host) for key, host in hosts.items()}
    mistakes = [
        *check_obeyed(settings, where),
        *found,
        *(BadInput(where, key, f"cannot resolve {hosts[key]!r}") for key in hosts if not addresses[key]),
        *_check_ports(settings, where),
        *_check_log(settings, where),
        *_check_disk(settings, where),
        *check_certificates(settings.tls, where),
        *check_identity(settings.identity, where),
        *_check_forward(settings, where),
        *_check_pages(settings, where),
    ]
    several = (
        BadInput(where, key, f"{hosts[key]!r} has several addresses: only {_first(addresses[key])} is used")
        for key in _listen_hosts(settings)
        if len(addresses[key]) > 1
    )
    return Findings(mistakes, [*warnings(settings, where), *several])


def _first(addresses: list[str]) -> str:
    """The address that `realproxy.net.listener.listen` takes."""
    return min(addresses, key=lambda address: ":" in address)


def _listen_hosts(settings: ProxySettings) -> dict[str, str]:
    """The hosts that must be resolved to listen, by key."""
    hosts = {key: host_of(text) for key, text in _listeners(settings)}
    return {key: host for key, host in hosts.items() if host != ALL}


def _listeners(settings: ProxySettings) -> list[tuple[str, str]]:
    found = [("listen", settings.listen)]
    if settings.forward is not None and settings.forward.listen is not None:
        found.append(("forward.listen", settings.forward.listen))
    found += [(f"tcp.{number}.listen", tcp.listen) for number, tcp in enumerate(settings.tcp)]
    return found + ([("admin", settings.admin)] if settings.admin is not None else [])


def _check_ports(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    """Find listeners that want the same port of the same address."""
    places = [(key, host_of(text), int(text.rpartition(":")[2])) for key, text in _listeners(settings)]
    for number, (key, host, port) in enumerate(places):
        for first, other, taken in places[:number]:
            if port == taken != 0 and (host == other or not {host, other}.isdisjoint(_EVERYWHERE)):
                yield BadInput(where, key, f"{first} listens on port {port}, too")
                break


def _upstream_hosts(settings: ProxySettings) -> dict[str, str]:
    return {
        f"service.{name}.upstreams.{number}.address": split_address(upstream.address)[0]
        for name, service in settings.service.items()
        for number, upstream in enumerate(service.upstreams)
    }


def _check_log(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    if settings.log is None or settings.log.file == "-":
        return
    file = Path(settings.log.file)
    if not file.parent.is_dir():
        yield BadInput(where, "log.file", f"there is no folder {str(file.parent)!r}")
    elif file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        yield BadInput(where, "log.file", f"{str(file)!r} cannot be written")


def _check_disk(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    """Check the folder of the disk tier, without making it."""
    if settings.cache.disk is None:
        return
    key, folder = "cache.disk.folder", Path(settings.cache.disk.folder).absolute()
    existing = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    if not existing.is_dir():
        yield BadInput(where, key, f"{str(existing)!r} is not a folder")
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield BadInput(where, key, f"{str(existing)!r} cannot be written")


def _check_forward(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    """Read the hosts files and certificates of the forward side."""
    try:
        build_rules(settings, Resolver(0.0))
    except BadInput as problem:
        key = problem.key if problem.where == "settings" else problem.where
        yield BadInput(where, key, problem.problem)


def _check_pages(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    """Read the error pages of the routes; `_check_forward` reads those for all routes."""
    for number, route in enumerate(settings.route):
        try:
            ErrorPages(route.errors, f"route.{number}.errors")
        except BadInput as problem:
            yield BadInput(where, problem.key, problem.problem)


def check_addresses(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    """The problems of upstreams: a real proxy needs ``host:port``, and files that can be read."""
    for name, service in settings.service.items():
        for number, upstream in enumerate(service.upstreams):
            try:
                split_address(upstream.address)
            except ValueError as error:
                problem = str(error)
                if ":" not in upstream.address:
                    problem += " (the name of a backend only means something in a scenario)"
                yield BadInput(where, f"service.{name}.upstreams.{number}.address", problem)
        if service.tls is not None:
            try:
                client_context(service.tls.ca)
            except OSError as error:
                problem = f"cannot be read: {(error.strerror or '').lower()}"
                if isinstance(error, ssl.SSLError):
                    problem = "holds no certificate"
                yield BadInput(where, f"service.{name}.tls.ca", f"{service.tls.ca!r} {problem}")
