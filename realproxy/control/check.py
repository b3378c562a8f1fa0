"""The errors in a proxy's file, found without starting a proxy."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

from policies.bad_input import BadInput
from policies.settings import Match, ProxySettings, load_settings
from policies.settings.unsupported import check_obeyed
from realproxy.control.composition import build_rules
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
    found = list(check_addresses(settings, where))
    hosts = _listen_hosts(settings) | ({} if found else _upstream_hosts(settings))
    unknown = {key: host for key, host in hosts.items() if not look_up(host)}
    return [
        *check_obeyed(settings, where),
        *found,
        *(BadInput(where, key, f"cannot resolve {host!r}") for key, host in unknown.items()),
        *_check_log(settings, where),
        *_check_disk(settings, where),
        *check_certificates(settings.tls, where),
        *_check_reachability(settings, where),
        *_check_forward(settings, where),
    ]


def _listen_hosts(settings: ProxySettings) -> dict[str, str]:
    """The hosts to listen on, by key."""
    hosts = {"listen": host_of(settings.listen), "admin": host_of(settings.admin or "")}
    return hosts | {f"tcp.{number}.listen": host_of(tcp.listen) for number, tcp in enumerate(settings.tcp)}


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


def _check_reachability(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    """Find the first route after one that matches every request."""
    for number, route in enumerate(settings.route[:-1]):
        if route.when == Match():
            yield BadInput(where, f"route.{number + 1}", f"is never reached: route.{number} takes everything")
            return


def _check_forward(settings: ProxySettings, where: str) -> Iterator[BadInput]:
    """Read the hosts files and certificates of the forward side."""
    try:
        build_rules(settings, Resolver(0.0))
    except BadInput as problem:
        yield BadInput(where, problem.where, problem.problem)


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
