"""The pages of the admin port: counts, settings, the live page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, Protocol

from policies.bad_input import BadInput
from policies.pac import CONTENT_TYPE, pac_text
from policies.settings import ProxySettings
from realproxy.net.address import Address
from realproxy.observe.admin_server import Page, PageRequest, Pages, error_page

SECRET_KEYS = frozenset({"auth", "password", "secret", "token", "credentials"})
"""Keys of the settings below which every value is masked."""
MASK = "***"
_POLICY = "default-src 'none'; connect-src 'self'; img-src data:; " + (
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class StatsSource(Protocol):
    """Whose counts are served: one proxy, or a fleet."""

    @property
    def settings(self) -> ProxySettings:
        """The settings in force."""

    @property
    def forward_address(self) -> Address:
        """Where the forward side answers."""

    def stats(self) -> dict[str, Any]:
        """As `realproxy.Proxy.stats`."""

    def recent(self) -> list[dict[str, Any]]:
        """The last requests."""

    def purge(self, **what: str | None) -> int:
        """As `realproxy.Proxy.purge`."""

    def set_weights(self, route: int, weights: Mapping[str, float]) -> None:
        """As `realproxy.Proxy.set_weights`."""


def admin_pages(source: StatsSource) -> Pages:
    """The pages that every proxy has."""

    def metrics(_: PageRequest) -> Page:
        from realproxy.observe import prometheus  # here, as only a scrape needs the library

        return Page(prometheus.to_prometheus(source.stats()), prometheus.CONTENT_TYPE)

    return {
        ("GET", "/"): lambda _: _live_page(),
        ("GET", "/metrics"): metrics,
        ("GET", "/stats"): lambda _: _json(source.stats()),
        ("GET", "/recent"): lambda _: _json(source.recent()),
        ("POST", "/purge"): lambda request: _purge(source, request),
        ("POST", "/weights"): lambda request: _weights(source, request),
        ("GET", "/proxy.pac"): lambda request: _pac(source, request),
        ("GET", "/config"): lambda _: _json(masked(source.settings.model_dump(mode="json", by_alias=True))),
    }


def _json(data: Any) -> Page:
    return Page(json.dumps(data).encode() + b"\n", "application/json")


def _purge(source: StatsSource, request: PageRequest) -> Page:
    """Remove from the cache what ``url``, ``prefix`` or ``tag`` selects."""
    known = {"url", "prefix", "tag"}
    if unknown := sorted(set(request.parameters) - known):
        return error_page(400, f"purge: {unknown[0]}: expected one of url, prefix and tag")
    try:
        return _json({"purged": source.purge(**request.parameters)})
    except BadInput as error:
        return error_page(400, str(error))


def _weights(source: StatsSource, request: PageRequest) -> Page:
    """Give the arms of a split route other weights: ``route=0&api=90&api_canary=10``."""
    weights = dict(request.parameters)
    try:
        route = int(weights.pop("route", "0"))
        source.set_weights(route, {name: float(weight) for name, weight in weights.items()})
    except (ValueError, BadInput) as error:
        return error_page(400, str(error))
    return _json({"route": route, "splits": source.stats()["splits"]})


def _live_page() -> Page:
    body = resources.files("realproxy.observe").joinpath("live.html").read_bytes()
    return Page(body, "text/html; charset=utf-8", fields={"Content-Security-Policy": _POLICY})


def _pac(source: StatsSource, request: PageRequest) -> Page:
    """The PAC file for browsers; the host of this request names a proxy that listens everywhere."""
    forward = source.settings.forward
    if forward is None:
        return Page(b"there is no [forward] table, so there is no proxy to configure\n", status=404)
    host, port = source.forward_address
    if host in ("0.0.0.0", "::"):
        host = request.host.rpartition(":")[0] if request.host[-1:].isdigit() else request.host
    elif ":" in host:
        host = f"[{host}]"
    services = tuple(source.settings.service) if forward.services else ()
    return Page(pac_text(forward, f"{host}:{port}", services).encode(), CONTENT_TYPE)


def masked(data: Any, *, hidden: bool = False) -> Any:
    """Settings as plain data, with `MASK` in place of secrets."""
    if isinstance(data, dict):
        return {key: masked(value, hidden=hidden or key in SECRET_KEYS) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [masked(value, hidden=hidden) for value in data]
    if data is None or not hidden:
        return _CREDENTIALS.sub(MASK, data) if isinstance(data, str) else data
    return MASK
