"""The proxy auto-configuration (PAC) file: JavaScript that tells a browser when to use this proxy.

The format is Netscape's of 1996. All browsers still read it: a function FindProxyForURL(url, host)
returns ``PROXY host:port``, ``SOCKS5 host:port`` or ``DIRECT``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from policies.settings import Forward

CONTENT_TYPE = "application/x-ns-proxy-autoconfig"

_LOCAL = """\
  if (isPlainHostName(host) || dnsDomainIs(host, ".localhost") ||
      /^(0|10|127|169\\.254|192\\.168|172\\.(1[6-9]|2[0-9]|3[01]))(\\.[0-9]+)+$/.test(host) ||
      /^\\[?(::1|f[cd][0-9a-f]{2}:.*|fe80:.*)\\]?$/i.test(host))
    return "DIRECT";  // this proxy refuses private targets
"""


def pac_text(forward: Forward, address: str, services: Sequence[str] = ()) -> str:
    """The PAC file for the settings of the forward side.

    The browser connects directly to private targets that the proxy would refuse. It sends blocked
    hosts to the proxy: if it connected to them directly, it would bypass the block list.

    Parameters
    ----------
    forward : Forward
    address : str
        ``host:port`` at which the browser reaches the proxy.
    services : sequence of str
        Names of services that are hosts for this proxy.
    """
    hosts = [name.lower() for name in services]
    http, connect = "http" in forward.protocols, "connect" in forward.protocols
    socks = ""
    if "socks5" in forward.protocols:
        socks = f"SOCKS5 {address}"
    elif "socks4" in forward.protocols and not forward.auth:  # version 4 cannot carry a password
        socks = f"SOCKS {address}"
    other = socks or "DIRECT"
    plain = f"PROXY {address}" if http else other
    secure = f"PROXY {address}" if connect else other
    via = json.dumps(plain)
    lines = [
        "function FindProxyForURL(url, host) {",
        *([f"  if ({json.dumps(hosts)}.indexOf(host.toLowerCase()) >= 0) return {via};"] if hosts else []),
        *([] if forward.private_targets else [_LOCAL.rstrip("\n")]),
        "  var scheme = url.substring(0, url.indexOf(':')).toLowerCase();",
        f'  if (scheme == "http") return {json.dumps(plain)};',
        f'  if (scheme == "https" || scheme == "wss" || scheme == "ws") return {json.dumps(secure)};',
        f"  return {json.dumps(other)};",
        "}",
    ]
    return "\n".join(lines) + "\n"
