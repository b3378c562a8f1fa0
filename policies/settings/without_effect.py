"""What is in a proxy's file and does nothing there: warnings, not errors, for the proxy can serve.

Each rule is a function that yields keys and problems. A value that makes the whole file wrong is refused by
the settings themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies.admission import SizeLimit, build_admission
from policies.bad_input import BadInput
from policies.eviction import charged_size
from policies.forward.blocking import as_network
from policies.host_names import host_problem
from policies.reverse.never_met import network_problem, problems, unreached
from policies.reverse.redirect_loops import endless_redirects
from policies.settings.base import Settings
from policies.settings.faults import Error, Reset
from policies.settings.forward import Forward
from policies.settings.proxy import ProxySettings
from policies.settings.routes import Match, Route, RouteCache
from policies.settings.services import Service
from policies.settings.without_effect_ingress import changes_nothing, ingress_problems
from policies.settings.without_effect_resilience import resilience_problems
from policies.units import format_size

Problem = tuple[str, str]
_HASH_NOTHING = frozenset(
    {
        "join_idle_queue", "least_requests", "p2c", "peak_ewma", "prequal", "random", "round_robin",
        "weighted_random", "weighted_round_robin",
    }
)  # fmt: skip
"""Balancers of ours that pick without a key."""


def warnings(settings: ProxySettings, where: str) -> list[BadInput]:
    """What has no effect in these settings, with the key of each; `where` is their source, for messages."""
    rules = (_sides, _listener, _identity, _limits, _routes, _forward, _services, _cache)
    return [BadInput(where, key, problem) for rule in rules for key, problem in rule(settings)]


def _given(table: Settings | None, *keys: str) -> Iterator[str]:
    """Those of the keys that stand in the file."""
    yield from (key for key in keys if table is not None and key in table.model_fields_set)


def _sides(settings: ProxySettings) -> Iterator[Problem]:
    if not settings.route and settings.forward is None:
        for key in _given(settings, "listen", "tls", "proxy_protocol"):
            yield key, "without a [[route]] or [forward], every request to 'listen' is refused"
    own = settings.forward is not None and settings.forward.listen is not None
    if not settings.route and own:
        for key in _given(settings, "listen", "tls", "proxy_protocol"):
            yield (
                key,
                "without a [[route]], every request is refused, for 'forward.listen' has its own",
            )
    named = settings.forward is not None and bool(settings.forward.services)
    if not settings.route and not (named and settings.trace):
        for key in _given(settings, "trusted_hops", "trace"):
            yield key, "only the reverse side obeys it, and there is no [[route]]"


def _identity(settings: ProxySettings) -> Iterator[Problem]:
    shown = settings.knows_callers or any(service.mutual for service in settings.service.values())
    if settings.identity is not None and not shown:
        yield "identity.demand", "nothing shows the certificate: 'demand' is off, and no service is 'mutual'"


def _listener(settings: ProxySettings) -> Iterator[Problem]:
    tables = [("proxy_protocol", settings.proxy_protocol)]
    tables += [
        (f"tcp.{number}.proxy_protocol", tcp.proxy_protocol) for number, tcp in enumerate(settings.tcp)
    ]
    for key, table in tables:
        for number, network in enumerate(table.from_ if table is not None else ()):
            if problem := network_problem(network):
                yield f"{key}.from.{number}", problem
    owners: dict[str, int] = {}
    for number, certificate in enumerate(settings.tls):
        for at, name in enumerate(certificate.names):
            key = f"tls.{number}.names.{at}"
            first = owners.setdefault(name.lower(), number)
            if len(settings.tls) == 1:
                yield key, "the only certificate is shown for every name"
            elif problem := host_problem(name):
                yield key, problem
            elif first != number:
                yield key, f"tls.{first} has this name too, and is shown for it"


def _limits(settings: ProxySettings) -> Iterator[Problem]:
    limits = settings.limits
    if limits.connections < settings.workers:
        yield "limits.connections", f"each of {settings.workers} workers accepts at least one connection"
    if limits.request_timeout is not None:
        for key in _given(limits, "answer_timeout"):
            if limits.answer_timeout >= limits.request_timeout:
                yield f"limits.{key}", "limits.request_timeout is over before"


# --- the reverse side ----------------------------------------------------------------------------


def _routes(settings: ProxySettings) -> Iterator[Problem]:
    for number, route in enumerate(settings.route):
        key = f"route.{number}"
        for condition, problem in problems(route.when, tls=settings.secured, callers=settings.knows_callers):
            yield f"{key}.when.{condition}", problem
        yield from ((f"{key}.{part}", problem) for part, problem in _route(route))
    for number in endless_redirects(settings):
        yield f"route.{number}.redirect", "leads back to this route, so that a browser never arrives"
    for later, earlier in unreached(settings.route):
        when = settings.route[earlier].when
        taken = "everything" if when == Match() else "every request that it could take"
        yield f"route.{later}", f"is never reached: route.{earlier} takes {taken}"


def _route(route: Route) -> Iterator[Problem]:
    yield from ingress_problems(route)
    if route.cache is not None:
        methods = {part.strip() for part in (route.when.method or "GET").split("|")}
        if route.to is None:
            answers = "respond" if route.redirect is None else "redirect"
            yield "cache", f"{answers!r} answers without the cache"
        elif methods.isdisjoint({"GET", "HEAD"}):
            yield "cache", "only responses to GET and HEAD are stored"
        if problem := _waiting(route.cache):
            yield "cache.wait", problem
    sure = None
    for number, fault in enumerate(route.fault):
        if sure is not None:
            yield f"fault.{number}", f"fault.{sure} ends every request before"
        elif fault.probability == 0:
            yield f"fault.{number}.probability", "the fault never strikes"
        if isinstance(fault, (Error, Reset)) and fault.probability == 1 and sure is None:
            sure = number


def _waiting(table: RouteCache | Forward) -> str | None:
    if "wait" in table.model_fields_set and not table.coalesce:
        return "only requests that 'coalesce' holds back wait"
    return None


def _services(settings: ProxySettings) -> Iterator[Problem]:
    led = {name for route in settings.route for name in route.services} | {tcp.to for tcp in settings.tcp}
    led |= {mirror.to for route in settings.route for mirror in route.mirror}
    if settings.forward is not None and settings.forward.services:
        led |= set(settings.service)
    for name, service in settings.service.items():
        key = f"service.{name}"
        if name not in led:
            yield key, "no [[route]] and no [[tcp]] leads to it"
        yield from ((f"{key}.{part}", problem) for part, problem in _service(service, settings))


def _service(service: Service, settings: ProxySettings) -> Iterator[Problem]:
    if len(service.upstreams) == 1 and service.resolve is None:
        for _ in _given(service.upstreams[0], "weight"):
            yield "upstreams.0.weight", "there is no other upstream to share with"
        for part in _given(service, "balance", "hash_on", "load_snapshot", "failover"):
            yield part, "there is only one upstream"
    elif service.balance in _HASH_NOTHING:
        for part in _given(service, "hash_on"):
            yield part, f"{service.balance!r} hashes nothing"
    for part in ("request", "response"):
        if problem := changes_nothing(getattr(service, part)):
            yield part, problem
    if service.tls is not None and not service.tls.verify and service.tls.ca is not None:
        yield "tls.ca", "'verify' is off, so that no certificate is checked"
    yield from resilience_problems(service, settings)


# --- the forward side ----------------------------------------------------------------------------


def _forward(settings: ProxySettings) -> Iterator[Problem]:
    forward = settings.forward
    if forward is not None:
        tls = settings.secured and forward.listen is None
        rules = (_access, _parent, _beside_services)
        found = (*_protocols(forward, tls=tls), *(problem for rule in rules for problem in rule(forward)))
        yield from ((f"forward.{key}", problem) for key, problem in found)


def _protocols(forward: Forward, *, tls: bool) -> Iterator[Problem]:
    spoken = set(forward.protocols)
    socks = spoken & {"socks4", "socks5"}
    if tls and socks and "protocols" in forward.model_fields_set:
        yield "protocols", "SOCKS is not spoken where 'listen' has 'tls'"
    for key, needed, found in (
        ("connect_ports", "'connect'", "connect" in spoken),
        ("socks_ports", "'socks4' or 'socks5'", bool(socks)),
        ("anonymity", "'http'", "http" in spoken or forward.parent is not None),
        ("cache", "'http'", "http" in spoken or not forward.cache),
    ):
        for _ in _given(forward, key):
            if not found:
                yield key, f"only for {needed}, which 'protocols' does not name"
            elif getattr(forward, key) == ():
                yield key, "is empty, so that no tunnel may reach any port"
    if forward.auth and spoken == {"socks4"}:
        yield "auth", "SOCKS 4 carries no password, so that every client is refused"
    if forward.coalesce and not forward.cache:
        yield "coalesce", "only with 'cache'"
    if problem := _waiting(forward):
        yield "wait", problem


def _beside_services(forward: Forward) -> Iterator[Problem]:
    if forward.services == "only":
        for key in _given(
            forward, "block", "block_files", "connect_ports", "socks_ports", "private_targets", "parent",
            "anonymity", "cache",
        ):  # fmt: skip
            yield key, "'services' is 'only', so that no other host can be reached"


def _access(forward: Forward) -> Iterator[Problem]:
    for number, rule in enumerate(forward.block):
        network = as_network(rule)
        problem = host_problem(rule) if network is None else None
        if network is not None and "/" in rule:
            problem = network_problem(rule.removeprefix("[").removesuffix("]"))
        if problem is not None and "IPv4 clients" not in problem:  # addresses are compared in every notation
            yield f"block.{number}", problem


def _parent(forward: Forward) -> Iterator[Problem]:
    parent = forward.next_proxy
    if forward.parent_ca is not None and (parent is None or parent.scheme != "https"):
        yield "parent_ca", "only for a parent whose URL begins with 'https://'"


# --- the cache -----------------------------------------------------------------------------------


def _cache(settings: ProxySettings) -> Iterator[Problem]:
    cache, capacity = settings.cache, settings.worker_cache.capacity
    smallest = max(1, charged_size(0, cache.overhead))
    if "cache" in settings.model_fields_set and not settings.caching:
        yield "cache", "nothing is stored: no route and no [forward] has 'cache'"
    elif settings.caching and capacity < smallest:
        yield (
            "cache.capacity",
            f"there is room for no object: even the smallest counts {format_size(smallest)}",
        )
    if cache.disk is not None and cache.disk.capacity < smallest:
        yield "cache.disk.capacity", "there is room for no object"
    admission = build_admission(cache.admission, capacity) if cache.admission is not None else None
    if isinstance(admission, SizeLimit) and admission.limit < smallest:
        yield "cache.admission", f"no object may enter: even the smallest counts {format_size(smallest)}"
    elif isinstance(admission, SizeLimit) and admission.limit >= capacity:
        yield "cache.admission", "'cache.capacity' has no room for larger objects anyway"
