"""Squid as an accelerator: http://www.squid-cache.org/Doc/config/."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from loadtests.peers.base import Order, Peer, Problem, field_of, refreshing, stale_is_plain, waits
from loadtests.peers.room import HEAD, in_blocks, objects_in, room_for
from policies.settings import RouteCache
from scenarios.schema import Scenario

PAGE = 4096
"""Its memory cache is made of pages of this size."""
_SPARE = 3
"""So many times the room that the objects need: one takes several pages."""


def cost(size: int) -> int:
    """Bytes that an object takes in its memory cache."""
    return in_blocks(size + HEAD, PAGE)


class Squid(Peer):
    """Squid as a reverse proxy, with a cache in memory."""

    name, title, program, package, least = "squid", "Squid", "squid", "squid", (5, 0)
    obeyed = ("service.*.retry.attempts", "service.*.retry", "log.file", "log.format")
    balances: ClassVar[Mapping[str, str]] = {"round_robin": "round-robin", "source_hash": "sourcehash"}
    evictions: ClassVar[Mapping[str, str]] = {"lru": "lru"}
    approximate: ClassVar[Mapping[str, str]] = {"source_hash": "another hash function, so other clients meet"}

    def refused(self, scenario: Scenario, sizes: Callable[[], Sequence[int]]) -> Iterator[Problem]:
        settings = scenario.chain[0]
        name, cache = settings.route[0].services[0], settings.route[0].cache
        if settings.workers > 1:
            yield "proxy.workers", "several of its processes share other things than ours; expected 1"
        if settings.log is not None and settings.log.format == "json":
            yield "proxy.log.format", "expected 'combined'"
        if field_of(settings.service[name].hash_on)[0] != "client":
            yield f"proxy.service.{name}.hash_on", "it hashes the client's address; expected 'client'"
        if any(backend.fail for backend in scenario.backend.values()) and not settings.service[name].failover:
            yield f"proxy.service.{name}.failover", "it always asks another server; expected 'true'"
        if cache is not None:
            yield from self._of_the_cache(scenario, cache, sizes)

    def _of_the_cache(
        self, scenario: Scenario, cache: RouteCache, sizes: Callable[[], Sequence[int]]
    ) -> Iterator[Problem]:
        settings = scenario.chain[0]
        if not stale_is_plain(cache):
            yield "proxy.route.0.cache.stale", "it has other rules for stale responses; expected no such key"
        if waits(cache):
            yield "proxy.route.0.cache.wait", "clients wait for a fetch without a limit; expected no such key"
        if cache.ttl is not None and cache.ttl % 60:
            yield "proxy.route.0.cache.ttl", "it counts whole minutes; expected such as '60s'"
        everything = sizes()
        if (held := objects_in(settings.cache, everything)) < len(everything):
            yield (
                "proxy.cache.capacity",
                "while its memory is full it admits nothing new, so it does not evict as ours; expected room "
                f"for all {len(everything)} objects, not for {held}",
            )
        for key in refreshing(scenario):
            yield key, "it does not know stale-while-revalidate"

    def files(self, order: Order) -> dict[str, str]:
        settings, limits, cache, retry = (
            order.settings,
            order.settings.limits,
            order.cache,
            order.service.retry,
        )
        log = "none" if settings.log is None else f"stdio:{order.folder / settings.log.file} combined"
        minutes = 0 if cache is None or cache.ttl is None else int(cache.ttl // 60)
        lines = [
            f"http_port 127.0.0.1:{order.port} accel defaultsite=proxytwin.test no-vhost",
            "http_access allow all", "never_direct allow all", "visible_hostname squid",
            "pid_filename none", "cache_log /dev/null", "cache_store_log none", f"access_log {log}",
            "coredump_dir none", "netdb_filename none", "pinger_enable off", "shutdown_lifetime 0 seconds",
            "icp_port 0", "htcp_port 0", "max_filedescriptors 65536", "workers 1", "via off",
            "memory_cache_shared off", "memory_cache_mode always", "negative_ttl 0 seconds",
            "client_persistent_connections on", "server_persistent_connections on",
            f"connect_timeout {_whole(limits.connect_timeout)}",
            f"read_timeout {_whole(limits.answer_timeout)}",
            f"request_start_timeout {_whole(limits.idle_timeout)}",
            f"request_timeout {_whole(limits.header_timeout)}",
            f"client_idle_pconn_timeout {_whole(limits.idle_timeout)}",
            f"server_idle_pconn_timeout {_whole(limits.upstream_idle)}",
            f"forward_max_tries {25 if retry is None else retry.attempts}",
            f"retry_on_error {'off' if retry is None else 'on'}",
            f"refresh_pattern . {minutes} 0% {minutes}",
            *self._peers(order),
        ]  # fmt: skip
        if cache is None:
            lines += ["cache deny all", "cache_mem 8 MB"]
        else:
            room = _SPARE * room_for(settings.cache, order.sizes, cost)
            lines += [
                f"cache_mem {-(-room // 1024)} KB",
                f"maximum_object_size_in_memory {-(-(max(order.sizes) + PAGE) // 1024)} KB",
                f"memory_replacement_policy {self.evictions[settings.cache.policy]}",
                f"collapsed_forwarding {'on' if cache.coalesce else 'off'}",
            ]
        return {"squid.conf": "".join(f"{line}\n" for line in lines)}

    def command(self, program: str, order: Order) -> list[str]:
        return [program, "-N", "-f", str(order.folder / "squid.conf")]

    def _peers(self, order: Order) -> list[str]:
        word = self.balances[order.service.balance]
        return [
            f"cache_peer {address.rpartition(':')[0]} parent {address.rpartition(':')[2]} 0 no-query "
            f"no-digest no-netdb-exchange originserver name=server{number} {word} weight={weight}"
            for number, (address, weight) in enumerate(order.servers)
        ]


def _whole(seconds: float) -> str:
    return f"{max(1, round(seconds))} seconds"
