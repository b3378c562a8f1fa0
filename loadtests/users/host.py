"""The address that ``--host`` names: a proxy or server, and a prefix of the paths."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from policies.bad_input import BadInput

_PATH = "/%:@!$&'()*+,;=~"
"""What a path may hold beside letters and digits (RFC 3986, section 3.3), and the sign of what is encoded."""

_NAME = re.compile(r"[A-Za-z0-9._~:%-]+")
"""A name in ASCII, or an IP address."""


class Host(NamedTuple):
    """Where a load test sends its requests.

    Attributes
    ----------
    name : str
        Name or IP address, without brackets.
    port : int
    prefix : str
        Begins every path, such as ``/base``; without a slash at its end.
    """

    name: str
    port: int
    prefix: str = ""

    @property
    def authority(self) -> str:
        """Host and port as in the field Host; an IPv6 address is in brackets (RFC 3986, section 3.2.2)."""
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


def parse_host(url: str) -> Host:
    """Host, port and prefix of a URL such as ``http://127.0.0.1:8080/base``; raises `BadInput`."""
    url = url.strip()
    try:
        parts = urlsplit(url)
        port = 80 if parts.port is None else parts.port
    except ValueError:  # a port that is no number, or brackets that do not fit
        raise _unfit(url) from None
    if parts.scheme == "https":
        raise _unfit(url, "TLS is not supported")
    if parts.username is not None or parts.password is not None:
        raise _unfit(url, "a user and a password are not supported")
    if "?" in url or "#" in url:
        raise _unfit(url, "a query or a fragment cannot begin the paths")
    if parts.scheme != "http" or not port or not _NAME.fullmatch(parts.hostname or ""):
        raise _unfit(url)
    return Host(parts.hostname or "", port, quote(parts.path, safe=_PATH).rstrip("/"))


def _unfit(url: str, why: str = "") -> BadInput:
    scheme, slashes, rest = url.rpartition("//")
    shown = scheme + slashes + rest.rpartition("@")[2]  # never a password
    problem = f"expected an address such as http://127.0.0.1:8080, not {shown!r}"
    return BadInput("--host", "", f"{problem}: {why}" if why else problem)
