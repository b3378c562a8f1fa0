"""The Location of a redirect: the request's own URL with some parts replaced. RFC 9110, 10.2.2"""

from __future__ import annotations

from policies.reverse.rewrite import new_target
from policies.settings.ingress import Redirect

DEFAULT_PORTS = {"http": 80, "https": 443}


def location(
    redirect: Redirect, scheme: str, hostname: str, port: int, listens: int, target: str, decoded: str
) -> str:
    """Where a redirect leads.

    Parameters
    ----------
    redirect : Redirect
    scheme, hostname, port : str, str, int
        Of the request, as the client knows them; an IPv6 address in brackets.
    listens : int
        The port that this proxy listens on. It takes the place of the request's port if the request names
        none.
    target, decoded : str
        As in `policies.reverse.rewrite.new_target`.

    Notes
    -----
    A port that is not given is the default one of the new scheme, or without a new scheme the port of the
    request. The default port of the scheme is left out.
    """
    to_scheme = redirect.scheme or scheme
    if redirect.port is not None:
        to_port = redirect.port
    elif redirect.scheme is not None:
        to_port = DEFAULT_PORTS[redirect.scheme]
    else:
        to_port = port or listens
    authority = redirect.host or hostname
    if to_port != DEFAULT_PORTS[to_scheme]:
        authority += f":{to_port}"
    if target == "*":  # OPTIONS of the server as a whole
        target = decoded = "/"
    return f"{to_scheme}://{authority}{new_target(redirect, target, decoded)}"


def leads_back(where: str, scheme: str, hostname: str, port: int, target: str) -> bool:
    """Whether the Location `where` is the URL that was asked for, so that a browser would never arrive."""
    asked = hostname if port == DEFAULT_PORTS[scheme] else f"{hostname}:{port}"
    return where == f"{scheme}://{asked}{target}"
