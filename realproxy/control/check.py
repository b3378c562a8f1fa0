"""The errors in a proxy's file, found without starting a proxy."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from policies.bad_input import BadInput
from policies.settings import Match, ProxySettings, load_settings
from policies.settings.unsupported import check_obeyed
from realproxy.control.composition import build_access
from realproxy.net.address import split_address
from realproxy.net.certificates import check_certificates
from realproxy.net.listener import host_of
from realproxy.net.resolver import Resolver, look_up
from realproxy.net.tls import client_context


def check(path: str | Path) -> list[BadInput]:
    """All errors in a proxy's TOML file, or only the first one if it violates the schema."""
    where = str(path)
    try:
        settings = load_settings(path)
    except BadInput as problem:
        return [problem]
    found = check_addresses(settings, where)
    return [
        *check_obeyed(settings, where),
        *found,
        *_check_listen(settings, where),
        *([] if found else _check_upstreams(settings, where)),
        *_check_log(settings, where),
        *_check_disk(settings, where),
        *check_certificates(settings.tls, where),
        *_check_reachability(settings, where),
        *_check_forward(settings, where),
    ]


def _check_listen(settings: ProxySettings, where: str) -> list[BadInput]:
    hosts = {"listen": host_of(settings.listen), "admin": host_of(settings.admin or "")}
    hosts |= {f"tcp.{number}.listen": host_of(tcp.listen) for number, tcp in enumerate(settings.tcp)}
    return _check_names(hosts, where)


def _check_upstreams(settings: ProxySettings, where: str) -> list[BadInput]:
    hosts = {
        f"service.{name}.upstreams.{number}.address": split_address(upstream.address)[0]
        for name, service in settings.service.items()
        for number, upstream in enumerate(service.upstreams)
    }
    return _check_names(hosts, where)


def _check_names(hosts: dict[str, str], where: str) -> list[BadInput]:
    """Resolve the host of each key."""
    return [
        BadInput(where, key, f"cannot resolve {host!r}") for key, host in hosts.items() if not look_up(host)
    ]


def _check_log(settings: ProxySettings, where: str) -> list[BadInput]:
    if settings.log is None or settings.log.file == "-":
        return []
    file = Path(settings.log.file)
    if not file.parent.is_dir():
        return [BadInput(where, "log.file", f"there is no folder {str(file.parent)!r}")]
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        return [BadInput(where, "log.file", f"{str(file)!r} cannot be written")]
    return []


def _check_disk(settings: ProxySettings, where: str) -> list[BadInput]:
    """Check the folder of the disk tier, without making it."""
    if settings.cache.disk is None:
        return []
    key, folder = "cache.disk.folder", Path(settings.cache.disk.folder).absolute()
    existing = next(path for path in (folder, *folder.parents) if os.access(path, os.F_OK))
    if not existing.is_dir():
        return [BadInput(where, key, f"{str(existing)!r} is not a folder")]
    if not os.access(existing, os.W_OK | os.X_OK):
        return [BadInput(where, key, f"{str(existing)!r} cannot be written")]
    return []


def _check_reachability(settings: ProxySettings, where: str) -> list[BadInput]:
    """Find the first route after one that matches every request."""
    for number, route in enumerate(settings.route[:-1]):
        if route.when == Match():
            problem = f"is never reached: route.{number} takes everything"
            return [BadInput(where, f"route.{number + 1}", problem)]
    return []


def _check_forward(settings: ProxySettings, where: str) -> list[BadInput]:
    """Read the hosts files and certificates of the forward side."""
    if settings.forward is None:
        return []
    try:
        build_access(settings.forward, Resolver(0.0), settings.limits)
    except BadInput as problem:
        return [BadInput(where, problem.where, problem.problem)]
    return []


def check_addresses(settings: ProxySettings, where: str) -> list[BadInput]:
    """The problems of upstreams: a real proxy needs ``host:port``, and files that can be read."""
    found = []
    for name, service in settings.service.items():
        for number, upstream in enumerate(service.upstreams):
            try:
                split_address(upstream.address)
            except ValueError as error:
                problem = str(error)
                if ":" not in upstream.address:
                    problem += " (the name of a backend only means something in a scenario)"
                found.append(BadInput(where, f"service.{name}.upstreams.{number}.address", problem))
        if service.tls is not None:
            try:
                client_context(service.tls.ca)
            except OSError as error:
                problem = f"cannot be read: {(error.strerror or '').lower()}"
                if isinstance(error, ssl.SSLError):
                    problem = "holds no certificate"
                found.append(BadInput(where, f"service.{name}.tls.ca", f"{service.tls.ca!r} {problem}"))
    return found
