"""A real forward and reverse proxy in threads and sockets: twin two.

One front thread accepts and waits for heads (`front`), workers answer requests (`workers`,
`serving`, `relaying`), a relay thread moves tunnels (`tunnel`). HTTP/1.1 itself is in `http1`,
without I/O; what is decided is decided in `policies`.
"""

from policies.bad_input import BadInput
from policies.settings import (
    Cache,
    Certificate,
    Disk,
    Forward,
    Limits,
    Log,
    Match,
    ProxyProtocol,
    ProxySettings,
    Route,
    RouteCache,
    Service,
    Tcp,
    Upstream,
    UpstreamTls,
)
from realproxy.control.proxy import Proxy

__all__ = [
    "BadInput", "Cache", "Certificate", "Disk", "Forward", "Limits", "Log", "Match", "Proxy", "ProxyProtocol",
    "ProxySettings", "Route", "RouteCache", "Service", "Tcp", "Upstream", "UpstreamTls",
]  # fmt: skip
