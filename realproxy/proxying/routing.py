"""Which side and route a request is for."""

from __future__ import annotations

from policies.reverse.routing import RequestAttributes, normal_path
from policies.settings import Forward
from realproxy.http1 import Malformed, RequestHead


def asked_of(head: RequestHead, client: str, sni: str = "") -> RequestAttributes:
    """What routes look at."""
    host = head.host.decode().removeprefix("[").removesuffix("]")
    return RequestAttributes(
        host, normal_path(head.path.decode("latin-1")), head.method, client, head.fields.text, sni
    )


def goes_forward(head: RequestHead, forward: Forward | None, scheme: bytes) -> bool:
    """Whether a request in absolute-form is for the forward side.

    The reverse side serves what came over TLS as ``https``. To other hosts, only a tunnel may carry it.

    Parameters
    ----------
    head : RequestHead
        Of the request.
    forward : Forward or None
        The forward side's settings.
    scheme : bytes
        Of the connection that it came on.

    Raises
    ------
    Malformed
        501 for an https target that cannot be served as one.
    """
    takes = forward is not None and "http" in forward.protocols
    if head.names_https and (takes or scheme != b"https"):
        raise Malformed(501, "scheme https is not supported")
    return takes
