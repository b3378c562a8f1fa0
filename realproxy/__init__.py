"""A real forward and reverse proxy in threads and sockets: twin two.

Read `proxying.pipeline` first, the life of a request. The event loop's thread accepts connections, waits for
request heads and begins each request; workers go on with those that must wait (`server`). The relay thread
moves the bytes of tunnels (`tunnel`). `http1` is HTTP/1.1 without I/O. The rules that the simulator shares,
such as balancing and caching, are in `policies`. Packages import only from the floors below:
`control`; `server`; `proxying`; `cache`, `upstream`, `tunnel`, `observe`; `messages`, `downstream`, `net`;
`http1`, `socks`, `runtime`.
"""

from policies.bad_input import BadInput
from policies.settings import (
    Cache,
    Certificate,
    Disk,
    Forward,
    Identity,
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
    "BadInput", "Cache", "Certificate", "Disk", "Forward", "Identity", "Limits", "Log", "Match", "Proxy",
    "ProxyProtocol",
    "ProxySettings", "Route", "RouteCache", "Service", "Tcp", "Upstream", "UpstreamTls",
]  # fmt: skip
