"""Varnish: https://varnish-cache.org/docs/7.1/reference/vcl.html, vmod_directors and varnishd."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from loadtests.peers.base import Order, Peer, Problem, field_of, milliseconds, stale_is_plain, waits
from loadtests.peers.room import room_for
from policies.settings import Health, RouteCache
from policies.settings.operation import Limits
from scenarios.schema import Scenario

_ENTRY = 281
"""Bytes of an object in its storage beyond its body, with the head that the backends of a real run send."""
_MIB = 2**20
_HEALTH_CHECK = "proxytwin-health"


def cost(size: int) -> int:
    """Bytes that an object takes in its storage."""
    return size + _ENTRY


class Varnish(Peer):
    """Varnish as a reverse proxy and cache."""

    name, title, program, package, least = "varnish", "Varnish", "varnishd", "varnish", (6, 0)
    ask_version = "-V"
    obeyed = (
        "service.*.retry.attempts", "service.*.retry", "service.*.health", "service.*.health.*",
    )  # fmt: skip
    balances: ClassVar[Mapping[str, str]] = {
        "round_robin": "round_robin", "random": "random", "source_hash": "hash", "ring_hash": "shard",
    }  # fmt: skip
    approximate: ClassVar[Mapping[str, str]] = {
        "source_hash": "another hash function, so other clients meet",
        "ring_hash": "another hash function, so other clients meet",
    }

    def refused(self, scenario: Scenario, sizes: Callable[[], Sequence[int]]) -> Iterator[Problem]:
        settings = scenario.chain[0]
        name, cache = settings.route[0].services[0], settings.route[0].cache
        service = settings.service[name]
        if settings.workers > 1:
            yield "proxy.workers", "it is one process of many threads; expected 1"
        if service.balance in ("round_robin", "ring_hash") and len({u.weight for u in service.upstreams}) > 1:
            yield f"proxy.service.{name}.upstreams", "its round robin and its ring have no weights"
        if service.failover and service.retry is None and any(b.fail for b in scenario.backend.values()):
            yield (
                f"proxy.service.{name}.failover",
                "it asks no other server after a refusal; expected 'false', or retry.attempts",
            )
        if settings.limits.header_timeout != Limits().header_timeout:
            yield "proxy.limits.header_timeout", "its versions name this time differently"
        if cache is not None:
            yield from self._of_the_cache(scenario, cache, sizes)

    def _of_the_cache(
        self, scenario: Scenario, cache: RouteCache, sizes: Callable[[], Sequence[int]]
    ) -> Iterator[Problem]:
        settings = scenario.chain[0]
        if not stale_is_plain(cache):
            yield "proxy.route.0.cache.stale", "it has no stale response for a failure; expected no such key"
        if waits(cache):
            yield "proxy.route.0.cache.wait", "clients wait for a fetch without a limit; expected no such key"
        if (room := room_for(settings.cache, sizes(), cost)) < _MIB:
            yield (
                "proxy.cache.capacity",
                f"its storage has at least 1 MiB, and this would be {room / _MIB:.2f} MiB; expected more",
            )

    def remarks(self, scenario: Scenario) -> Iterator[str]:
        yield "one process of many threads, on as many cores as there are"
        cache = scenario.chain[0].route[0].cache
        if cache is not None and cache.coalesce:
            yield "clients wait for a fetch without a limit"

    def files(self, order: Order) -> dict[str, str]:
        cache, retry, limits = order.cache, order.service.retry, order.settings.limits
        probe = _probe(order.service.health)
        backends = "".join(
            f'backend server{number} {{\n    .host = "{address.rpartition(":")[0]}"; '
            f'.port = "{address.rpartition(":")[2]}";\n'
            f"    .connect_timeout = {milliseconds(limits.connect_timeout)}; "
            f".first_byte_timeout = {milliseconds(limits.answer_timeout)};\n"
            f"    .between_bytes_timeout = {milliseconds(limits.answer_timeout)};\n{probe}}}\n"
            for number, (address, _) in enumerate(order.servers)
        )
        hint, ways = self._director(order)
        waiting = "" if cache is None or cache.coalesce else "    set req.hash_ignore_busy = true;\n"
        again = (
            f"    if ({{status}}bereq.retries < {retry.attempts - 1}) {{ return (retry); }}\n"
            if retry is not None
            else ""
        )
        status = "" if cache is None else (
            "    if (obj.hits > 0) { set resp.http.Cache-Status = \"varnish; hit\"; }\n"
            "    else { set resp.http.Cache-Status = \"varnish; fwd=uri-miss\"; }\n"
        )  # fmt: skip
        return {
            "varnish.vcl": (
                f"vcl 4.1;\nimport directors;\n{backends}sub vcl_init {{\n{ways}}}\n"
                f"sub vcl_recv {{\n    {hint}\n{waiting}"
                f"    return ({'pass' if cache is None else 'hash'});\n}}\n"
                f"sub vcl_backend_response {{\n{again.replace('{status}', 'beresp.status >= 500 && ')}}}\n"
                f"sub vcl_backend_error {{\n{again.replace('{status}', '')}}}\n"
                f"sub vcl_deliver {{\n{status}}}\n"
            )
        }

    def command(self, program: str, order: Order) -> list[str]:
        cache, limits = order.cache, order.settings.limits
        room = max(_MIB, 2**20 if cache is None else room_for(order.settings.cache, order.sizes, cost))
        parameters = {
            "default_ttl": 0 if cache is None or cache.ttl is None else cache.ttl,
            "default_grace": 0, "default_keep": 0, "shortlived": 0, "lru_interval": 0,
            "timeout_idle": limits.idle_timeout,
            "backend_idle_timeout": max(limits.upstream_idle, 1),
            "max_retries": 4 if order.service.retry is None else order.service.retry.attempts - 1,
            "thread_pools": 1, "thread_pool_min": 200,
        }  # fmt: skip
        written = [part for key, value in parameters.items() for part in ("-p", f"{key}={value:g}")]
        return [
            program, "-F", "-j", "none", "-n", str(order.folder / "varnish"),
            "-a", f"127.0.0.1:{order.port}", "-f", str(order.folder / "varnish.vcl"),
            "-s", f"malloc,{room}b", *written,
        ]  # fmt: skip

    def _director(self, order: Order) -> tuple[str, str]:
        """What a request says, and what is set up at the start."""
        word = self.balances[order.service.balance]
        key = _key(order.service.hash_on)
        named = [f"server{number}" for number in range(len(order.servers))]
        weights = word in ("random", "hash")
        adding = [
            f"    way.add_backend({name}{f', {weight}' if weights else ''});\n"
            for name, (_, weight) in zip(named, order.servers, strict=True)
        ]
        ways = f"    new way = directors.{word}();\n" + "".join(adding)
        ways += "    way.reconfigure();\n" if word == "shard" else ""
        asked = {"hash": key, "shard": f"by=KEY, key=way.key({key})"}.get(word, "")
        return f"set req.backend_hint = way.backend({asked});", ways


def _key(hash_on: str) -> str:
    kind, name = field_of(hash_on)
    if kind == "cookie":
        return f'regsub(req.http.Cookie, "(^|.*; *){name}=([^;]*).*", "\\2")'
    return {"client": '"" + client.ip', "path": "req.url"}.get(kind, f"req.http.{name}")


def _probe(health: Health | None) -> str:
    """A window in which `rise` good probes bring a server up, and `fall` bad ones take it down."""
    if health is None:
        return ""
    window = health.rise + health.fall - 1
    fields = (
        f'"GET {health.path} HTTP/1.1" "Host: proxytwin" "User-Agent: {_HEALTH_CHECK}" "Connection: close"'
    )
    return (
        f"    .probe = {{ .request = {fields}; .interval = {milliseconds(health.every)}; "
        f".window = {window}; .threshold = {health.rise}; .initial = {window}; }}\n"
    )
