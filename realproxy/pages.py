"""What the admin port serves: counts, settings, the live page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import resources
from typing import Any, Protocol

from policies.settings import ProxySettings
from realproxy.admin import Page, Pages, Question

SECRET_KEYS = frozenset({"auth", "password", "secret", "token", "credentials"})
"""Keys of the settings below which every value is masked."""
MASK = "***"
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class Counted(Protocol):
    """Whose counts are served: a proxy, or several added up."""

    @property
    def settings(self) -> ProxySettings:
        """In force now."""

    def stats(self) -> dict[str, Any]:
        """As `realproxy.Proxy.stats`."""

    def recent(self) -> list[dict[str, Any]]:
        """The last exchanges."""


def pages_of(counted: Counted) -> dict[tuple[str, str], Callable[[Question], Page]]:
    """The pages that every proxy has."""

    def prometheus(_: Question) -> Page:
        from realproxy.exposition import CONTENT_TYPE, metrics  # only who is scraped needs the library

        return Page(metrics(counted.stats()), CONTENT_TYPE)

    return {
        ("GET", "/"): lambda _: _live_page(),
        ("GET", "/metrics"): prometheus,
        ("GET", "/stats"): lambda _: _json(counted.stats()),
        ("GET", "/recent"): lambda _: _json(counted.recent()),
        ("GET", "/config"): lambda _: _json(masked(counted.settings.model_dump(mode="json", by_alias=True))),
    }


def _json(data: Any) -> Page:
    return Page(json.dumps(data).encode() + b"\n", "application/json")


def _live_page() -> Page:
    body = resources.files("realproxy").joinpath("live.html").read_bytes()
    return Page(body, "text/html; charset=utf-8", fields={"Content-Security-Policy": _POLICY})


def masked(data: Any, *, hidden: bool = False) -> Any:
    """Settings as plain data, with `MASK` in place of what nobody should read over a shoulder."""
    if isinstance(data, dict):
        return {key: masked(value, hidden=hidden or key in SECRET_KEYS) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [masked(value, hidden=hidden) for value in data]
    if data is None or not hidden:
        return _CREDENTIALS.sub(MASK, data) if isinstance(data, str) else data
    return MASK


__all__ = ["Counted", "Pages", "masked", "pages_of"]
