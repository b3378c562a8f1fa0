"""nginx: https://nginx.org/en/docs/http/ngx_http_upstream_module.html and ngx_http_proxy_module.html.

Its ``max_size`` is enforced by a process that wakes up every ten seconds, which is longer than most runs. But
each stored response has a node of 128 bytes in the zone of the keys, and a full zone evicts at once, in the
order of the last use. So a capacity is written as the size of this zone, in pages of 32 objects.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

from loadtests.peers.base import Order, Peer, Problem, field_of, milliseconds, stale_is_plain
from loadtests.peers.room import objects_in
from policies.settings import RouteCache
from scenarios.schema import Scenario

PAGE = 4096
IN_A_PAGE = 32
"""Nodes of 128 bytes in a page of the zone."""
LEAST_PAGES = 8
"""Of a zone, by nginx's own rule."""
_HEAD, _BY_PAGE = 600, 24
"""Bytes of the zone's head: of itself, and for each page."""
_KEYS = {"client": "$remote_addr", "path": "$uri"}
_STATUS = """\
    map $upstream_cache_status $cache_entry {
        default "";
        HIT "nginx; hit";
        STALE "nginx; hit; detail=stale";
        UPDATING "nginx; hit; detail=updating";
        MISS "nginx; fwd=uri-miss";
        EXPIRED "nginx; fwd=stale";
        REVALIDATED "nginx; fwd=stale; fwd-status=304";
        BYPASS "nginx; fwd=bypass";
    }
"""


class Nginx(Peer):
    """nginx as a reverse proxy."""

    name, title, program, package, least = "nginx", "nginx", "nginx", "nginx-light", (1, 18)
    obeyed = (
        "service.*.retry.attempts", "service.*.retry", "service.*.eject", "service.*.eject.errors",
        "service.*.eject.for", "log.file", "log.format",
    )  # fmt: skip
    balances: ClassVar[Mapping[str, str]] = {
        "round_robin": "", "weighted_round_robin": "", "random": "random;",
        "p2c": "random two least_conn;", "least_requests": "least_conn;", "source_hash": "hash {key};",
        "ring_hash": "hash {key} consistent;",
    }  # fmt: skip
    approximate: ClassVar[Mapping[str, str]] = {
        "least_requests": "of equally idle upstreams, it takes the next in turn, not one at random",
        "source_hash": "another hash function, so other clients meet",
        "ring_hash": "another hash function, so other clients meet",
    }

    def refused(self, scenario: Scenario, sizes: Callable[[], Sequence[int]]) -> Iterator[Problem]:
        settings = scenario.chain[0]
        cache = settings.route[0].cache
        if cache is None:
            return
        if cache.stale and not stale_is_plain(cache):
            yield (
                "proxy.route.0.cache.stale",
                "it knows whether a stale response may be used, not how long; expected '0s' or no such key",
            )
        least = nodes(LEAST_PAGES)
        if (held := objects_in(settings.cache, sizes())) < least:
            yield "proxy.cache.capacity", f"its cache holds at least {least} objects, here it would be {held}"

    def remarks(self, scenario: Scenario) -> Iterator[str]:
        settings = scenario.chain[0]
        if settings.caching:
            yield "it counts the objects of its cache, in steps of 32, not their bytes"
        if any(service.eject is not None for service in settings.service.values()):
            yield "eject: it counts failures within 'for', not one after the other, and has no 'most'"

    def files(self, order: Order) -> dict[str, str]:
        settings, limits = order.settings, order.settings.limits
        user = "user root;\n" if os.geteuid() == 0 else ""  # so that its workers may write in the folder
        log = "off"
        if settings.log is not None:
            log = f'"{order.folder / settings.log.file}" {settings.log.format}'
        inside = [*self._location(order), *self._caching(order.cache)]
        return {
            "nginx.conf": (
                f"{user}daemon off;\nworker_processes {settings.workers};\nerror_log stderr error;\n"
                f'pid "{order.folder}/nginx.pid";\nworker_rlimit_nofile 65536;\n'
                "events { worker_connections 20000; }\nhttp {\n"
                '    log_format json escape=json \'{"uri":"$request_uri","status":$status,'
                '"bytes":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr"}\';\n'
                f"    access_log {log};\n"
                + "".join(
                    f'    {kind}_temp_path "{order.folder}/{kind}";\n'
                    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
                )
                + _STATUS
                + self._upstream(order)
                + self._store(order)
                + "    server {\n"
                f"        listen 127.0.0.1:{order.port} backlog=1024;\n"
                f"        client_header_timeout {milliseconds(limits.header_timeout)};\n"
                f"        keepalive_timeout {milliseconds(limits.idle_timeout)};\n"
                "        keepalive_requests 1000000000;\n        tcp_nodelay on;\n"
                "        location / {\n"
                + "".join(f"            {line};\n" for line in inside)
                + "        }\n    }\n}\n"
            )
        }

    def command(self, program: str, order: Order) -> list[str]:
        return [program, "-p", str(order.folder), "-e", "stderr", "-c", str(order.folder / "nginx.conf")]

    def _upstream(self, order: Order) -> str:
        kind, name = field_of(order.service.hash_on)
        key = _KEYS.get(kind, f"${'http' if kind == 'header' else 'cookie'}_{name.lower().replace('-', '_')}")
        eject = order.service.eject
        fails = (
            "max_fails=0"
            if eject is None
            else f"max_fails={eject.errors} fail_timeout={_seconds(eject.for_)}"
        )
        lines = [self.balances[order.service.balance].format(key=key)]
        lines += [f"server {address} weight={weight} {fails};" for address, weight in order.servers]
        lines += [
            "keepalive 1024;",
            f"keepalive_timeout {milliseconds(order.settings.limits.upstream_idle)};",
        ]
        lines += ["keepalive_requests 1000000000;"]
        return "    upstream service {\n" + "".join(f"        {line}\n" for line in lines if line) + "    }\n"

    def _store(self, order: Order) -> str:
        if order.cache is None:
            return ""
        zone = pages_for(objects_in(order.settings.cache, order.sizes)) * PAGE
        # without its manager: it would shrink the store by an eighth after the zone was full
        return (
            f'    proxy_cache_path "{order.folder}/stored" keys_zone=stored:{zone} inactive=1d '
            "use_temp_path=off manager_files=1 manager_sleep=1h;\n"
        )

    def _location(self, order: Order) -> list[str]:
        limits, retry = order.settings.limits, order.service.retry
        if retry is not None:
            again = "error timeout invalid_header http_500 http_502 http_503 http_504"
            tries = retry.attempts
        else:
            again, tries = ("error" if order.service.failover else "off"), 0
        return [
            "proxy_pass http://service",
            "proxy_http_version 1.1",
            'proxy_set_header Connection ""',
            "proxy_set_header Host $http_host",
            "proxy_max_temp_file_size 0",
            f"proxy_connect_timeout {milliseconds(limits.connect_timeout)}",
            f"proxy_read_timeout {milliseconds(limits.answer_timeout)}",
            f"proxy_next_upstream {again}",
            f"proxy_next_upstream_tries {tries}",
        ]

    def _caching(self, cache: RouteCache | None) -> list[str]:
        if cache is None:
            return []
        lines = [
            "proxy_cache stored",
            "add_header Cache-Status $cache_entry always",
            "proxy_cache_revalidate on",
        ]
        lines += ["proxy_cache_key $request_uri", "proxy_cache_background_update on"]
        if cache.ttl:
            lines.append(f"proxy_cache_valid 200 {_seconds(cache.ttl)}")
        if cache.stale:
            lines.append("proxy_cache_use_stale error timeout http_500 http_502 http_503 http_504")
        if cache.coalesce:
            wait = milliseconds(cache.wait)
            lines += [
                "proxy_cache_lock on",
                f"proxy_cache_lock_timeout {wait}",
                f"proxy_cache_lock_age {wait}",
            ]
        return lines


def nodes(pages: int) -> int:
    """Objects that a zone of so many pages holds: one page has other things, one node is always free."""
    head = -(-(_HEAD + pages * _BY_PAGE) // PAGE)
    return (pages - head - 1) * IN_A_PAGE - 1


def pages_for(objects: int) -> int:
    """Pages of the zone that holds about so many objects."""
    pages = LEAST_PAGES
    while nodes(pages) + IN_A_PAGE // 2 < objects:
        pages += max(1, (objects - nodes(pages)) // (2 * IN_A_PAGE))
    return pages


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))}s"
