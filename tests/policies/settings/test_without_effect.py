"""Every key of a proxy's file has an effect, is refused, or is warned of; a new key must go into a list."""

import re
import tomllib
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

import policies
import realproxy
from policies.bad_input import BadInput
from policies.settings import ProxySettings, parse_settings
from policies.settings.without_effect import warnings

WEB = "route = [{ to = 'web' }]\n"
ONE = WEB + "[service.web]\nupstreams = '127.0.0.1:9001'\n"
TWO = WEB + "[service.web]\nupstreams = ['127.0.0.1:9001', '127.0.0.1:9002']\n"
TCP = "tcp = [{ listen = '127.0.0.1:1', to = 'web' }]\nservice.web.upstreams = '127.0.0.1:9001'\n"
FORWARD = "[forward]\n"


def route(when: str) -> str:
    return f"route = [{{ when = {{ {when} }}, respond = 200 }}]"


def canary(keys: str, to: str = "web = 1, new = 1") -> str:
    services = "".join(f"[service.{name}]\nupstreams = '127.0.0.1:1'\n" for name in ("web", "new"))
    return f"route = [{{ to = {{ {to} }}, canary = {{ {keys} }} }}]\n{services}"


ANY = route("")
CACHING = TWO.replace("'web' }", "'web', cache = true }")
WARNED = {  # what stands in the file: the key that is warned of, and a part of what is said
    # the listener
    "listen = ':1'\n" + TCP: ("listen", "every request to 'listen' is refused"),
    "tls = { cert = 'a', key = 'b' }\n" + TCP: ("tls", "every request to 'listen' is refused"),
    "proxy_protocol = { from = ['10.0.0.0/8'] }\n" + TCP: ("proxy_protocol", "every request to 'listen'"),
    "proxy_protocol = { from = ['10.0.0.1/8'] }\n" + WEB + "service.web.upstreams = 'a:1'": (
        "proxy_protocol.from.0", "means '10.0.0.0/8'",
    ),
    TCP.replace("to =", "proxy_protocol = { from = ['::1/0'] }, to ="): (
        "tcp.0.proxy_protocol.from.0", "means '::/0'",
    ),
    "trusted_hops = 1\n" + FORWARD: ("trusted_hops", "there is no [[route]]"),
    "trace = false\n" + FORWARD: ("trace", "there is no [[route]]"),
    "tls = { cert = 'a', key = 'b', names = ['a.test'] }\n" + route(""): (
        "tls.0.names.0", "is shown for every name",
    ),
    "tls = [{ cert = 'a', key = 'b', names = ['a.test:443'] }, { cert = 'c', key = 'd' }]\n" + route(""): (
        "tls.0.names.0", "without its port",
    ),
    "tls = [{ cert = 'a', key = 'b', names = ['x'] }, { cert = 'c', key = 'd', names = ['X'] }]\n" + ANY: (
        "tls.1.names.0", "tls.0 has this name",
    ),
    # limits
    "workers = 4\nlimits.connections = 3\n" + route(""): ("limits.connections", "each of 4 workers"),
    "limits = { request_timeout = '1s', answer_timeout = '2s' }\n" + route(""): (
        "limits.answer_timeout", "limits.request_timeout is over before",
    ),
    # routes; more conditions in tests/policies/reverse/test_never_met.py
    route("host = 'a.test:80'"): ("route.0.when.host", "write 'a.test'"),
    route("path = 'a'"): ("route.0.when.path", "write '/a'"),
    route("method = 'get'"): ("route.0.when.method", "write 'GET'"),
    route("header = { 'X Y' = '1' }"): ("route.0.when.header.X Y", "no name of a field"),
    route("sni = 'a.test'"): ("route.0.when.sni", "there is no 'tls'"),
    route("caller = 'front'"): ("route.0.when.caller", "there is no 'identity'"),
    "identity = { folder = 'a', name = 'b', demand = false }\n" + ANY: (
        "identity.demand", "nothing shows the certificate",
    ),
    route("client = '10.0.0.1/8'"): ("route.0.when.client", "means '10.0.0.0/8'"),
    route("prefix = '/api/*'"): ("route.0.when.prefix", "write '/api'"),
    route("query = { 'a%20b' = '1' }"): ("route.0.when.query.a%20b", "write 'a b'"),
    "route = [{ when = { host = '*.a.b' }, redirect = { host = 'www.a.b' } }]": (
        "route.0.redirect", "a browser never arrives",
    ),
    "route = [{ redirect = { host = 'a.b' }, cache = true }]": ("route.0.cache", "'redirect' answers"),
    "route = [{ when = { prefix = '/x' }, redirect = { path = '/x/y' } }]": (
        "route.0.redirect", "leads back to this route",
    ),
    "route = [{ when = { prefix = '/x' }, redirect = { strip = '/y', host = 'a.b' } }]": (
        "route.0.redirect.strip", "each begins with '/x'",
    ),
    TWO.replace("'web' }", "'web', when = { prefix = '/x' }, rewrite = { strip = '/y' } }"): (
        "route.0.rewrite.strip", "each begins with '/x'",
    ),
    ANY.replace("200", "200, allow = ['10.0.0.1/8']"): ("route.0.allow.0", "means '10.0.0.0/8'"),
    ANY.replace("200", "200, response = {}"): ("route.0.response", "changes nothing"),
    ANY.replace("200", "200, cors = {}"): ("route.0.cors.origins", "no page"),
    ANY.replace("200", "200, cors = { origins = ['*'], credentials = true, expose = ['*'] }"): (
        "route.0.cors.expose", "write the names",
    ),
    TWO.replace("'web' }", "'web', request = {} }"): ("route.0.request", "changes nothing"),
    TWO + "request = {}": ("service.web.request", "changes nothing"),
    TWO + "response = {}": ("service.web.response", "changes nothing"),
    TWO + "hash_on = 'path'": ("service.web.hash_on", "hashes nothing"),
    ONE + "hash_on = 'path'": ("service.web.hash_on", "only one upstream"),
    canary("steps = [0.5, 1.0], watch = 'new'"): ("route.0.canary.steps.0", "begins with 50.00%"),
    canary("beta = 0.1, watch = 'new'"): ("route.0.canary.beta", "only 'steps'"),
    canary("acceptable = 0.1, watch = 'new'"): ("route.0.canary.acceptable", "only 'steps'"),
    canary("users = 10, watch = 'new'"): ("route.0.canary.users", "only where 'sticky'"),
    canary("watch = 'new'", "web = 1, new = 0"): ("route.0.canary.watch", "gets 0% of the requests"),
    "route = [{ respond = 200 }, { respond = 404 }]": ("route.1", "route.0 takes everything"),
    "route = [{ respond = 200, cache = true }]": ("route.0.cache", "'respond' answers without the cache"),
    TWO.replace("'web' }", "'web', cache = true, when = { method = 'POST' } }"): (
        "route.0.cache", "only responses to GET and HEAD are stored",
    ),
    TWO.replace("'web' }", "'web', cache = { wait = '1s' } }"): (
        "route.0.cache.wait", "'coalesce' holds back",
    ),
    "route = [{ respond = 200, fault = [{ kind = 'reset', probability = 0 }] }]": (
        "route.0.fault.0.probability", "never strikes",
    ),
    "route = [{ respond = 200, fault = [{ kind = 'error' }, { kind = 'reset' }] }]": (
        "route.0.fault.1", "fault.0 ends every request before",
    ),
    # services
    route("") + "\nservice.web.upstreams = 'a:1'": ("service.web", "no [[route]] and no [[tcp]] leads to it"),
    ONE.replace("'127.0.0.1:9001'", "{ address = 'a:1', weight = 2 }"): (
        "service.web.upstreams.0.weight", "no other upstream",
    ),
    ONE + "balance = 'p2c'": ("service.web.balance", "only one upstream"),
    ONE + "load_snapshot = '1s'": ("service.web.load_snapshot", "only one upstream"),
    ONE + "failover = true": ("service.web.failover", "only one upstream"),
    TWO + "eject.most = 0.4": ("service.web.eject.most", "none is ever ejected"),
    ONE + "eject = {}": ("service.web.eject.most", "0.5 of 1 is less than one upstream"),
    TWO + "retry.attempts = 1": ("service.web.retry.attempts", "expected 2 or more"),
    TWO + "retry.budget = 0": ("service.web.retry.budget", "after the first ten"),
    TWO + "hedge.after = '60s'": ("service.web.hedge.after", "limits.answer_timeout is over before"),
    TWO + "queue.in_flight = 256": ("service.web.queue.in_flight", "limits.threads allows no more than 256"),
    TWO + "eject.most_for = '60s'": ("service.web.eject.most_for", "only with 'grow'"),
    TWO + "eject.every = '5s'": ("service.web.eject.every", "only with 'grow' or 'success_rate'"),
    TWO + "eject.success_rate = true": ("service.web.eject.success_rate.hosts", "there are only 2 upstreams"),
    TWO + "eject.success_rate = { hosts = 2 }": (
        "service.web.eject.success_rate.deviations", "one of 2 upstreams is below the mean by 1 at most",
    ),
    TWO + "limit = {}\nqueue = { in_flight = 3, wait = '1s' }": (
        "service.web.queue.in_flight", "'limit' is obeyed instead",
    ),
    TWO + "limit = {}\nqueue = {}": ("service.web.queue", "without 'wait', nobody waits"),
    TWO + "queue = { in_flight = 3, order = 'lifo' }": ("service.web.queue.order", "nobody waits"),
    TWO + "queue = { in_flight = 3, length = 9 }": ("service.web.queue.length", "nobody waits"),
    TWO + "limit.latency = '1s'": ("service.web.limit.latency", "only 'aimd'"),
    TWO + "limit = { policy = 'fixed', min = 2 }": ("service.web.limit.min", "a fixed limit stays"),
    TWO + "limit = { policy = 'fixed', max = 200 }": ("service.web.limit.max", "a fixed limit stays"),
    TWO + "limit = 256": ("service.web.limit.initial", "limits.threads allows no more than 256"),
    TWO + "limit.min = 256": ("service.web.limit.min", "limits.threads allows no more than 256"),
    ONE + "slow_start = '5s'": ("service.web.slow_start", "only one upstream"),
    TWO + "resolve = '5s'": ("service.web.resolve", "no upstream has a name"),
    TWO + "tls = { ca = 'a.pem', verify = false }": ("service.web.tls.ca", "no certificate is checked"),
    # the forward side
    "tls = { cert = 'a', key = 'b' }\n" + FORWARD + "protocols = ['http', 'socks5']": (
        "forward.protocols", "SOCKS is not spoken",
    ),
    FORWARD + "protocols = ['http']\nconnect_ports = [443]": ("forward.connect_ports", "only for 'connect'"),
    FORWARD + "connect_ports = []": ("forward.connect_ports", "is empty"),
    FORWARD + "protocols = ['http']\nsocks_ports = [80]": ("forward.socks_ports", "only for 'socks4' or"),
    FORWARD + "socks_ports = []": ("forward.socks_ports", "is empty"),
    FORWARD + "protocols = ['connect']\nanonymity = 'elite'": ("forward.anonymity", "only for 'http'"),
    FORWARD + "protocols = ['connect']\ncache = true": ("forward.cache", "only for 'http'"),
    FORWARD + "protocols = ['socks4']\nauth = { a = 'b' }": ("forward.auth", "every client is refused"),
    FORWARD + "coalesce = true": ("forward.coalesce", "only with 'cache'"),
    FORWARD + "cache = true\nwait = '1s'": ("forward.wait", "'coalesce' holds back"),
    FORWARD + "block = ['ads.test:80']": ("forward.block.0", "without its port"),
    FORWARD + "block = ['10.0.0.1/8']": ("forward.block.0", "means '10.0.0.0/8'"),
    FORWARD + "parent_ca = 'a.pem'": ("forward.parent_ca", "begins with 'https://'"),
    FORWARD + "listen = ':1'\nservices = 'only'\nprivate_targets = true\n[service.web]\nupstreams = 'a:1'": (
        "forward.private_targets", "no other host can be reached",
    ),
    "listen = ':2'\n" + FORWARD + "listen = ':1'": ("listen", "'forward.listen' has its own"),
    FORWARD + "parent = 'http://a:1'\nparent_ca = 'a.pem'": ("forward.parent_ca", "begins with 'https://'"),
    # the cache
    route("") + "\ncache.policy = 'lru'": ("cache", "no route and no [forward] has 'cache'"),
    CACHING + "[cache]\ncapacity = 0": ("cache.capacity", "no object"),
    CACHING + "[cache]\ncapacity = '511B'\noverhead = '512B'": (
        "cache.capacity", "even the smallest counts 512B",
    ),
    CACHING + "[cache]\nadmission = 'size(511B)'\noverhead = '512B'": (
        "cache.admission", "no object may enter",
    ),
    CACHING + "[cache]\nadmission = 'size(64MiB)'": ("cache.admission", "no room for larger objects"),
    CACHING + "[cache.disk]\nfolder = 'a'\ncapacity = 0": (
        "cache.disk.capacity", "no object",
    ),
}  # fmt: skip
SIZED = "[cache]\npolicy = 'lru'\nadmission = 'size(64KiB)'"
SILENT = [
    TWO, TCP, FORWARD, route(""), ONE, TWO + "eject.most = 0.5",
    TWO + "eject = { grow = true, most_for = '60s', every = '5s' }\nslow_start = '5s'",
    TWO + "eject = { success_rate = { hosts = 2, deviations = 0.9, requests = 20 }, every = '5s' }",
    TWO + "limit = { policy = 'aimd', latency = '1s' }\nqueue = { wait = '1s', order = 'lifo' }",
    TWO + "limit = 255",
    ONE.replace("127.0.0.1", "web.test") + "resolve = '5s'\nslow_start = '5s'\nbalance = 'p2c'",
    "workers = 4\nlimits.connections = 4\n" + route(""),
    "limits = { request_timeout = '3s', answer_timeout = '2s' }\n" + route(""),
    TWO.replace("'web' }", "'web', cache = { coalesce = true, wait = '1s' } }") + SIZED,
    TWO.replace("'web' }", "'web', cache = true, when = { method = 'POST|GET' } }"),
    TWO + "retry = { attempts = 2, budget = 0.1 }\nqueue.in_flight = 255\nhedge.after = '59s'",
    FORWARD + "parent = 'https://a:1'\nparent_ca = 'a.pem'",
    FORWARD + "block = ['*.ads.test', '10.0.0.0/8', '::ffff:0:0/96']",
    FORWARD + "cache = true\ncoalesce = true\nwait = '1s'\nsocks_ports = [80]\nconnect_ports = [80, 443]",
    "tls = [{ cert = 'a', key = 'b', names = ['*.a.test'] }, { cert = 'c', key = 'd', names = ['b.test'] }]\n"
    + route("sni = '*.a.test'"),
    "trusted_hops = 1\ntrace = false\nproxy_protocol = { from = ['10.0.0.0/8', '10.0.0.1'] }\n" + route(""),
    "route = [{ respond = 200, fault = [{ kind = 'error', probability = 0.5 }, { kind = 'reset' }] }]",
    canary("watch = 'new', steps = [0.6, 1.0], beta = 0.1, acceptable = 0.01"),
    canary("watch = 'new', users = 10").replace("canary =", "sticky = 'client', canary ="),
    TWO + "balance = 'maglev'\nhash_on = 'path'\nrequest.set = { A = 'b' }\nresponse.remove = ['C']",
    "route = [{ redirect = { scheme = 'https' } }]",
    "listen = ':80'\nroute = [{ redirect = { scheme = 'https', status = 308 } }]",
    "route = [{ when = { path = '/y' }, respond = 200 }, { redirect = { path = '/y' } }]",
    "route = [{ when = { prefix = '/x/y' }, redirect = { strip = '/x/y', prefix = '/z' } }]",
    "route = [{ redirect = { host = 'elsewhere.test' } }]",
    "route = [{ when = { prefix = '/a b' }, respond = 200, allow = ['10.0.0.0/8'] }]",
    "route = [{ when = { prefix = '/a' }, respond = 200 }, { respond = 404 }]",
    "route = [{ when = { query = { a = '1' } }, respond = 200 }, { respond = 404 }]",
    ANY.replace("200", "200, cors = { origins = ['*'], credentials = true, expose = ['X-A'] }"),
]  # fmt: skip
REFUSED = {  # what stands in the file: the key that is refused
    FORWARD + "protocols = []": "forward.protocols",
    TWO + "health.path = 'health'": "service.web.health.path",
    TWO + "health.path = '/a b'": "service.web.health.path",
    TWO + "health.every = 0": "service.web.health.every",
    **{f"limits.{key} = 0\n" + route(""): f"limits.{key}" for key in (
        "header_timeout", "idle_timeout", "connect_timeout", "answer_timeout", "request_timeout", "min_rate",
        "connections", "threads", "queue", "head",
    )},
    ANY.replace("200", "200, fault = [{ kind = 'latency', delay = 0 }]"): "route.0.fault.0.latency.delay",
    ANY.replace("200", "200, fault = [{ kind = 'bandwidth', rate = 0 }]"): "route.0.fault.0.bandwidth.rate",
    TWO + "rate = 0": "service.web.rate",
    TWO + "limit = 0": "service.web.limit",
    TWO + "limit = 1.5": "service.web.limit",
    TWO + "limit.min = 0": "service.web.limit.min",
    TWO + "limit = { min = 5, max = 4 }": "service.web.limit",
    TWO + "limit = { min = 5, initial = 4 }": "service.web.limit",
    TWO + "limit.policy = 'vega'": "service.web.limit.policy",
    TWO + "queue.wait = '1s'": "service.web",
    TWO + "queue = { in_flight = 1, order = 'filo' }": "service.web.queue.order",
    TWO + "eject.grow = 1.0": "service.web.eject.grow",
    TWO + "eject.grow = 'yes'": "service.web.eject.grow",
    TWO + "eject.success_rate = { hosts = 1 }": "service.web.eject.success_rate.hosts",
    TWO + "resolve = 0": "service.web.resolve",
    CACHING + "[cache.disk]\nfolder = ''": "cache.disk.folder",
    TWO + "tls.ca = ''": "service.web.tls.ca",
    TWO + "tls.name = ''": "service.web.tls.name",
    FORWARD + "parent_ca = ''": "forward.parent_ca",
    "workers = 0\n" + route(""): "workers",
}  # fmt: skip
ALWAYS = {
    "cache.objects", "cache.overhead",
    "admin", "workers", "log.file", "log.format", "cache.policy", "cache.explain",
    "cache.name",
    "cache.disk.folder", "tls.cert", "tls.key",
    "limits.threads", "limits.head", "limits.queue", "limits.header_timeout", "limits.idle_timeout",
    "limits.connect_timeout", "limits.upstream_idle", "limits.request_timeout", "limits.min_rate",
    "limits.drain",
    "errors", "limits.body",
    "route.redirect.scheme", "route.redirect.host", "route.redirect.port", "route.redirect.prefix",
    "route.redirect.path", "route.redirect.status", "route.rewrite.prefix", "route.rewrite.path",
    "route.rewrite.host", "route.request.set", "route.request.add", "route.request.remove",
    "route.response.set", "route.response.add", "route.response.remove", "route.cors.methods",
    "route.cors.headers", "route.cors.credentials", "route.cors.max_age", "route.timeout",
    "route.try_timeout",
    "route.body", "route.auth", "route.errors", "route.sticky", "route.override.header",
    "route.override.cookie", "route.mirror.to", "route.mirror.share", "route.mirror.in_flight",
    "route.mirror.body", "route.canary.alpha", "route.canary.test", "route.canary.every",
    "route.canary.latency", "route.canary.slow", "route.canary.warm_up", "service.retry.codes",
    "service.retry.backoff", "service.request.set", "service.request.add", "service.request.remove",
    "service.response.set", "service.response.add", "service.response.remove",
    "route.to", "route.respond", "route.cache.ttl", "route.cache.stale", "route.cache.coalesce",
    "route.fault.kind", "route.fault.delay", "route.fault.law", "route.fault.status", "route.fault.rate",
    "route.fault.share",
    "tcp.listen", "tcp.to", "tcp.idle_timeout",
    "identity.folder", "identity.name", "service.mutual",
    "service.upstreams.address", "service.tls.name", "service.tls.verify", "service.proxy_protocol",
    "service.health.path", "service.health.every", "service.health.rise", "service.health.fall",
    "service.eject.errors", "service.eject.for", "service.breaker.failures", "service.breaker.open",
    "service.queue.wait", "service.rate", "service.deadline", "service.eject.grow", "service.limit.policy",
    "service.eject.success_rate.requests",
    "forward.block_files", "forward.parent", "forward.listen", "forward.services",
}  # fmt: skip
"""Keys whose every value that is accepted has an effect, wherever the key may stand."""
ONLY_SIMULATED = {"cache.hit_lock"}
"""Refused by the real proxy, see `policies.settings.unsupported`."""


def settings_of(toml: str) -> ProxySettings:
    return parse_settings(tomllib.loads(toml), "proxy.toml")


@pytest.mark.parametrize("toml", WARNED)
def test_what_has_no_effect_is_warned_of_by_its_key(toml: str) -> None:
    key, said = WARNED[toml]
    [warning] = warnings(settings_of(toml), "proxy.toml")
    assert (warning.where, warning.key) == ("proxy.toml", key)
    assert said in warning.problem


@pytest.mark.parametrize("toml", SILENT)
def test_what_has_an_effect_is_not_warned_of(toml: str) -> None:
    assert warnings(settings_of(toml), "proxy.toml") == []


@pytest.mark.parametrize("toml", REFUSED)
def test_what_would_leave_a_proxy_without_use_is_refused(toml: str) -> None:
    with pytest.raises(BadInput) as refusal:
        settings_of(toml)
    assert refusal.value.key == REFUSED[toml]


def leaves(model: type[BaseModel], prefix: str = "") -> typing.Iterator[str]:
    """The dotted keys of a table and of those in it, without names and numbers of items."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        inner = list(models_in(field.annotation))
        for other in inner:
            yield from leaves(other, f"{key}.")
        if not inner:
            yield key


def models_in(annotation: object) -> typing.Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models_in(part)


def plain(key: str) -> str:
    """A key of a warning without names and numbers of items."""
    without_numbers = re.sub(r"\.[0-9]+(?=\.|$)", "", key)
    return re.sub(r"^service\.web", "service", re.sub(r"\.(header|query)\..*", r".\1", without_numbers))


def test_every_key_is_in_a_list() -> None:
    """A new key belongs into `ALWAYS`, or gets a rule in `without_effect` and a case in `WARNED`."""
    warned = {plain(key) for key, _ in WARNED.values()}
    known = set(leaves(ProxySettings))
    tables = {key for key in warned if any(other.startswith(f"{key}.") for other in known)}
    assert known == ALWAYS | ONLY_SIMULATED | (warned - tables - {"route", "service"})


@pytest.mark.parametrize("key", sorted(ALWAYS))
def test_a_key_that_always_has_an_effect_is_read_somewhere(key: str) -> None:
    name = {"for": "for_"}.get(key.rpartition(".")[2], key.rpartition(".")[2])
    files = [*Path(realproxy.__file__).parent.rglob("*.py"), *Path(policies.__file__).parent.rglob("*.py")]
    texts = (file.read_text() for file in files if file.parent.name != "settings")
    assert any(re.search(rf"\.{name}\b", text) for text in texts)
