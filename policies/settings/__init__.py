"""The settings of a proxy: the schema of its TOML file.

The real proxy obeys all of it, a scenario embeds it, and the simulator models most of it. Each field
has its default beside it and its meaning in the docstring of its class.

Start with `proxy`, the whole file. Then `routes`, `services` (with `transport` for TLS, and `resilience`)
and `store` for the reverse side, `forward` for the forward side, `faults`, and `operation` (log and limits).
`base` has the types that all tables use; `unsupported` lists what the real proxy does not obey. Settings
never change: a reload reads new ones.
"""

from policies.settings.base import Listen, Pattern, Settings
from policies.settings.canary import Canary, Mirror, Override
from policies.settings.faults import Fault
from policies.settings.forward import Forward
from policies.settings.ingress import Cors, HeaderChanges, Redirect, Rewrite
from policies.settings.operation import Limits, Log
from policies.settings.proxy import ProxySettings, load_settings, parse_settings
from policies.settings.resilience import Breaker, Eject, Health, Hedge, Limit, Queue, Retry, SuccessRate
from policies.settings.routes import STALE, Match, Route, RouteCache
from policies.settings.services import Service, Upstream
from policies.settings.store import Cache, Disk
from policies.settings.transport import Certificate, Identity, ProxyProtocol, Tcp, UpstreamTls

__all__ = [
    "STALE",
    "Breaker",
    "Cache",
    "Canary",
    "Certificate",
    "Cors",
    "Disk",
    "Eject",
    "Fault",
    "Forward",
    "HeaderChanges",
    "Health",
    "Hedge",
    "Identity",
    "Limit",
    "Limits",
    "Listen",
    "Log",
    "Match",
    "Mirror",
    "Override",
    "Pattern",
    "ProxyProtocol",
    "ProxySettings",
    "Queue",
    "Redirect",
    "Retry",
    "Rewrite",
    "Route",
    "RouteCache",
    "Service",
    "Settings",
    "SuccessRate",
    "Tcp",
    "Upstream",
    "UpstreamTls",
    "load_settings",
    "parse_settings",
]
