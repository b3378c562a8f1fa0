"""Settings of a proxy that the simulator does not model: a scenario with one of them gets one line."""

from __future__ import annotations

from collections.abc import Iterator

from policies.settings import ProxySettings
from policies.settings.unsupported import check_obeyed

_NOT_YET = "not modelled; only the real proxy obeys it"
BELOW_HTTP = (
    "tls", "identity", "proxy_protocol", "tcp", "service.*.tls", "service.*.mutual",
    "service.*.proxy_protocol", "route.*.when.caller",
)  # fmt: skip
"""Keys that are below HTTP."""
ONLY_REAL = (
    "cache.disk", "errors", "limits.body", "route.*.allow", "route.*.auth", "route.*.body",
    "route.*.errors", "route.*.override", "service.*.resolve", "service.*.resolve",
)  # fmt: skip
"""Keys that change what clients get."""


SIDES = ("forward.listen", "forward.services")
"""Keys of a sidecar, which a scenario describes in another way."""


def not_modelled(proxy: ProxySettings, where: str) -> Iterator[tuple[str, str]]:
    """What of a proxy the simulator does not model: the dotted key of each setting, and why.

    `where` is the proxy's key in the scenario.
    """
    for finding in check_obeyed(proxy, where, BELOW_HTTP):
        yield finding.key, "lies below HTTP, which the simulator does not model"
    for finding in check_obeyed(proxy, where, ONLY_REAL):
        yield finding.key, _NOT_YET
    for finding in check_obeyed(proxy, where, SIDES):
        yield finding.key, "not modelled in a proxy's table; only the real proxy obeys it"
    for name, service in proxy.service.items():
        if service.hash_on.startswith(("header:", "cookie:")):
            yield f"service.{name}.hash_on", "not modelled: expected 'client' or 'path' in a scenario"
    for place, route in enumerate(proxy.route):
        if route.arms and route.cache is not None:
            yield f"route.{place}.cache", "not modelled with several services in 'to'"
        if (route.sticky or "").startswith("header:"):
            yield f"route.{place}.sticky", "not modelled: the requests of a workload have no such field"
