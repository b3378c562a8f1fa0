"""Lesson 5, not only HTTP: tunnels by CONNECT, SOCKS and raw TCP, simulated and measured.

- `tunnel_model`: simulates each way through a proxy, message by message; `figures` and `explorer` show it.
- `tunnel_measured`: the same on real sockets, with a `delay_line`, `servers` and `clients`.
- `experiments`: which protocols go through a proxy, Redis, and a chain of two proxies.
- `exercise`: how many requests must share a connection before its setup hardly matters.

Servers, proxies and delay lines run in threads of the notebook's process. Each function stops the servers
and proxies that it started.
"""

from lessons.not_only_http.exercise import enough_requests, setup_share
from lessons.not_only_http.experiments import chained, redis_through, what_goes_through
from lessons.not_only_http.explorer import WayExplorer, explore_ways
from lessons.not_only_http.figures import figure_of_ways
from lessons.not_only_http.servers import has_redis
from lessons.not_only_http.tunnel_measured import measure_enough, measure_pipelined, measure_ways
from lessons.not_only_http.tunnel_model import WAYS, all_ways, converse

__all__ = [
    "WAYS",
    "WayExplorer",
    "all_ways",
    "chained",
    "converse",
    "enough_requests",
    "explore_ways",
    "figure_of_ways",
    "has_redis",
    "measure_enough",
    "measure_pipelined",
    "measure_ways",
    "redis_through",
    "setup_share",
    "what_goes_through",
]
