"""Lesson 5, not only HTTP: tunnels by CONNECT, SOCKS and raw TCP, simulated and measured.

- `tunnel_model`: each way through a proxy, message by message; `figures` and `explorer` show it.
- `tunnel_measured`: the same on real sockets, over a `delay_line`, with `servers` and `clients` of its own.
- `experiments`: what gets through a proxy and what does not, Redis, and two proxies in a row.
- `exercise`: how many requests must share a connection before its setup hardly matters.

Servers, proxies and delay lines run in threads of the notebook's process; each function stops what
it started.
"""

from lessons.not_only_http.exercise import enough_requests, setup_share
from lessons.not_only_http.experiments import chained, redis_through, what_goes_through
from lessons.not_only_http.explorer import WayExplorer, explore_ways
from lessons.not_only_http.figures import figure_of_ways
from lessons.not_only_http.servers import has_redis
from lessons.not_only_http.tunnel_measured import measure_impatience, measure_ways
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
    "measure_impatience",
    "measure_ways",
    "redis_through",
    "setup_share",
    "what_goes_through",
]
