"""HAProxy: https://docs.haproxy.org/2.6/configuration.html."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from loadtests.peers.base import Order, Peer, Problem, field_of, milliseconds, refreshing, stale_is_plain
from loadtests.peers.room import HEAD, in_blocks, room_for
from policies.settings import Health, RouteCache
from scenarios.schema import Scenario

BLOCK = 1024
"""Its cache is made of blocks of this size."""
_ENTRY = 190
"""Bytes of an entry beyond head and body, about: its structure and the blocks of the message."""
_MIB = 2**20
_MOST_WEIGHT = 256
_HASHES = ("source_hash", "ring_hash")
_HEALTH_CHECK = "proxytwin-health"
"""By this User-Agent the backends of a run know a probe."""


def cost(size: int) -> int:
    """Bytes that an object takes in its cache."""
    return in_blocks(size + HEAD + _ENTRY, BLOCK)


class Haproxy(Peer):
    """HAProxy as a reverse proxy."""

    name, title, program, package, least = "haproxy", "HAProxy", "haproxy", "haproxy", (2, 6)
    obeyed = (
        "service.*.retry.attempts", "service.*.retry", "service.*.health", "service.*.health.*",
    )  # fmt: skip
    balances: ClassVar[Mapping[str, str]] = {
        "round_robin": "roundrobin", "weighted_round_robin": "roundrobin", "random": "random(1)",
        "p2c": "random(2)", "least_requests": "leastconn", "source_hash": "", "ring_hash": "",
    }  # fmt: skip
    approximate: ClassVar[Mapping[str, str]] = {
        "least_requests": "leastconn: of servers with equally few requests, it takes the next in turn, not "
        "one at random",
        "p2c": "random(2) may draw the same server twice",
        "source_hash": "another hash function, so other clients meet",
        "ring_hash": "another hash function, so other clients meet",
    }

    def refused(self, scenario: Scenario, sizes: Callable[[], Sequence[int]]) -> Iterator[Problem]:
        settings = scenario.chain[0]
        cache = settings.route[0].cache
        if cache is None:
            return
        if not stale_is_plain(cache):
            yield "proxy.route.0.cache.stale", "it never sends a stale response; expected no such key"
        if cache.coalesce:
            yield "proxy.route.0.cache.coalesce", "each miss asks a server; expected 'false'"
        for key in refreshing(scenario):
            yield key, "it does not know stale-while-revalidate"
        if (room := room_for(settings.cache, sizes(), cost)) < 0.97 * _MIB:
            yield (
                "proxy.cache.capacity",
                f"its cache counts whole MiB, and this would be {room / _MIB:.2f}; expected more",
            )

    def remarks(self, scenario: Scenario) -> Iterator[str]:
        if scenario.caching:
            yield "the room of its cache is rounded to whole MiB, of blocks of 1 KiB"

    def files(self, order: Order) -> dict[str, str]:
        limits = order.settings.limits
        retry = order.service.retry
        more = (
            (retry.attempts - 1) if retry is not None else len(order.servers) if order.service.failover else 0
        )
        again = "conn-failure empty-response response-timeout 500 502 503 504" if retry else "conn-failure"
        lines = [
            "global", f"    nbthread {order.settings.workers}",
            "defaults", "    mode http", "    http-reuse always", "    option redispatch 1",
            f"    retries {more}", f"    retry-on {again if more else 'none'}",
            f"    timeout connect {milliseconds(limits.connect_timeout)}",
            f"    timeout server {milliseconds(limits.answer_timeout)}",
            f"    timeout client {milliseconds(limits.idle_timeout)}",
            f"    timeout http-keep-alive {milliseconds(limits.idle_timeout)}",
            f"    timeout http-request {milliseconds(limits.header_timeout)}",
            *_cache(order),
            "frontend clients", f"    bind 127.0.0.1:{order.port}", "    default_backend service",
            "backend service", f"    balance {self._balance(order)}", *_hash_type(order.service.balance),
            *_use_of_cache(order.cache), *_check(order.service.health), *_servers(order),
        ]  # fmt: skip
        return {"haproxy.cfg": "".join(f"{line}\n" for line in lines)}

    def command(self, program: str, order: Order) -> list[str]:
        return [program, "-db", "-f", str(order.folder / "haproxy.cfg")]

    def _balance(self, order: Order) -> str:
        if order.service.balance not in _HASHES:
            return self.balances[order.service.balance]
        kind, name = field_of(order.service.hash_on)
        return {"client": "source", "path": "hash path", "header": f"hdr({name})"}.get(
            kind, f"hash req.cook({name})"
        )


def _hash_type(balance: str) -> list[str]:
    if balance not in _HASHES:
        return []
    return [f"    hash-type {'consistent' if balance == 'ring_hash' else 'map-based'}"]


def _cache(order: Order) -> list[str]:
    if order.cache is None:
        return []
    room = max(1, round(room_for(order.settings.cache, order.sizes, cost) / _MIB))
    largest = min(cost(max(order.sizes)), room * _MIB // 2)
    return [
        "cache stored", f"    total-max-size {min(room, 4095)}", f"    max-object-size {largest}",
        "    max-age 31536000",
    ]  # fmt: skip


def _use_of_cache(cache: RouteCache | None) -> list[str]:
    if cache is None:
        return []
    lines = ["    http-request cache-use stored"]
    if cache.ttl:
        none = "unless { res.hdr(Cache-Control) -m found }"
        lines.append(
            f'    http-response set-header Cache-Control "max-age={max(1, round(cache.ttl))}" {none}'
        )
    return [
        *lines,
        "    http-response cache-store stored",
        '    http-after-response set-header Cache-Status "haproxy; hit" if { res.cache_hit }',
        '    http-after-response set-header Cache-Status "haproxy; fwd=uri-miss" unless { res.cache_hit }',
    ]


def _check(health: Health | None) -> list[str]:
    if health is None:
        return []
    return [
        "    option httpchk",
        f"    http-check send meth GET uri {health.path} ver HTTP/1.1 hdr Host proxytwin "
        f"hdr User-Agent {_HEALTH_CHECK}",
    ]


def _servers(order: Order) -> list[str]:
    health = order.service.health
    check = ""
    if health is not None:
        check = f" check inter {milliseconds(health.every)} rise {health.rise} fall {health.fall}"
    idle = f"pool-purge-delay {milliseconds(order.settings.limits.upstream_idle)} pool-max-conn -1"
    largest = max(weight for _, weight in order.servers)
    scale = min(1.0, _MOST_WEIGHT / largest)
    return [
        f"    server server{number} {address} weight {max(1, round(weight * scale))} {idle}{check}"
        for number, (address, weight) in enumerate(order.servers)
    ]
