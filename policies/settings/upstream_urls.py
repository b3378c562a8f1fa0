"""Upstreams written as URLs: ``http://host`` and ``https://host`` are understood, with or without a port."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

PORTS = {"http": 80, "https": 443}
"""The default port by scheme. RFC 9110, 4.2"""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)


def check_no_url(text: str) -> str:
    """Return an address that is no URL; raise `ValueError` for a URL that `read_urls` has left as it is."""
    found = _URL.fullmatch(text)
    if found is None:
        return text
    if found[1].lower() not in PORTS:
        raise ValueError(f"expected 'host:port', 'http://host' or 'https://host', not {text!r}")
    if "@" in found[2]:
        raise ValueError("expected no user and no password before the host: no request would carry them")
    raise ValueError(f"expected no path behind the host, for each request keeps its own, not {text!r}")


def read_urls(service: Any) -> Any:
    """The data of a service whose upstreams are URLs, with plain addresses and the ``tls`` that they mean.

    Raises `ValueError` if schemes and ``tls`` contradict each other.
    """
    upstreams = service.get("upstreams") if isinstance(service, Mapping) else None
    items = upstreams if isinstance(upstreams, (list, tuple)) else [upstreams]
    schemes = [_scheme(item) for item in items]
    if not any(schemes):
        return service
    data = {**service, "upstreams": [_without_scheme(item) for item in items]}
    if "https" not in schemes:
        if service.get("tls"):
            raise ValueError("tls: expected 'https://' before every upstream, not 'http://'")
        return data
    if set(schemes) != {"https"} or service.get("tls") is False:
        raise ValueError("expected 'https://' before every upstream, or before none")
    return {**data, "tls": service.get("tls", True)}


def _address(item: object) -> object:
    return item.get("address") if isinstance(item, Mapping) else getattr(item, "address", item)


def _scheme(item: object) -> str:
    """``http`` or ``https``; empty for anything else."""
    address = _address(item)
    found = _URL.fullmatch(address) if isinstance(address, str) else None
    scheme = found[1].lower() if found is not None else ""
    return scheme if scheme in PORTS else ""


def _without_scheme(item: object) -> object:
    """An upstream with ``host:port``, if its URL has nothing else; any other one as it is."""
    address = _address(item)
    found = _URL.fullmatch(address) if isinstance(address, str) else None
    if found is None or found[1].lower() not in PORTS or "@" in found[2] or found[3] not in ("", "/"):
        return item
    host, port = found[2].removesuffix(":"), PORTS[found[1].lower()]
    text = host if re.search(r":[0-9]+$", host) and not re.search(r"\[[^]]*$", host) else f"{host}:{port}"
    if isinstance(item, Mapping):
        return {**item, "address": text}
    return item.model_copy(update={"address": text}) if isinstance(item, BaseModel) else text
