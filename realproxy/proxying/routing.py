"""Is a request for the forward side, and what do the routes of the reverse side match against?"""

from __future__ import annotations

from policies.reverse.routing import RequestAttributes, normal_path
from policies.settings import Forward
from realproxy.http1 import Malformed, RequestHead


def request_attributes(head: RequestHead, client: str, sni: str = "") -> RequestAttributes:
    """The attributes of a request that routes match against."""
    return RequestAttributes(
        head.hostname, normal_path(head.path.decode("latin-1")), head.method, client, head.fields.text, sni
    )


def is_forward_request(head: RequestHead, forward: Forward | None, scheme: bytes) -> bool:
    """Whether a request in absolute-form is for the forward side.

    Only the reverse side serves an ``https`` target, and only over TLS: `scheme` is that of the client's
    connection. The forward side reaches https targets through CONNECT. Raises `Malformed` 501 for an https
    target that this proxy cannot serve.
    """
    accepts_http = forward is not None and "http" in forward.protocols
    if head.names_https and (accepts_http or scheme != b"https"):
        raise Malformed(501, "scheme https is not supported")
    return accepts_http
