"""Block lists and the access log: which requests a proxy refuses, and what it logs."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lessons.forward.anonymity import quickly
from lessons.kit.display import table
from lessons.kit.origin_server import SmallWeb
from realproxy import Forward, Log, Proxy
from twin.plots.style import MEASURED

LOGGED = ("time", "client", "method", "target", "status", "bytes", "end", "total_ms")
"""The keys of a log line that the lesson shows."""


class Visits:
    """The result of each visit; a notebook shows it as a table.

    Attributes
    ----------
    lines : list of dict
        The proxy's log, one line per visit.
    reached : int
        Number of requests that reached the web server.
    """

    def __init__(self, lines: list[dict[str, Any]], reached: int) -> None:
        self.lines, self.reached = lines, reached

    def rows(self) -> list[list[str]]:
        """One row per visit: the request, the status, and the rule that blocked it."""
        return [
            [f"{line['method']} {line['target']}", str(line["status"]), line["detail"] or "–"]
            for line in self.lines
        ]

    @property
    def log(self) -> LogLines:
        """The log lines, for display."""
        return LogLines(self.lines)

    def _repr_html_(self) -> str:
        return table(["visit", "status", "why"], self.rows(), {1: MEASURED})

    def __repr__(self) -> str:
        return "\n".join(" | ".join(row) for row in self.rows())


class LogLines:
    """Log lines; a notebook shows the keys in `LOGGED` as a table."""

    def __init__(self, lines: list[dict[str, Any]]) -> None:
        self.lines = lines

    def _repr_html_(self) -> str:
        shown = [{**line, "time": line["time"].partition("T")[2].partition("+")[0]} for line in self.lines]
        return table(list(LOGGED), [[str(line[key]) for key in LOGGED] for line in shown])

    def __repr__(self) -> str:
        return "\n".join(json.dumps({key: line[key] for key in LOGGED}) for line in self.lines)


def visit(urls: Sequence[str], block: Sequence[str] = ()) -> Visits:
    """Send requests through a real proxy with a block list. The web server behind it serves every name.

    Parameters
    ----------
    urls : sequence of str
        ``http://host/path`` for a GET; ``host:port`` for a CONNECT, as a browser sends it for https.
    block : sequence of str
        The rules; `policies.forward.blocking` describes them.
    """
    with SmallWeb() as web, tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        forward = Forward(block=list(block), parent=web.url, connect_ports=[443], private_targets=True)
        with Proxy(forward=forward, log=Log(file=str(log)), limits=quickly()) as proxy:
            for url in urls:
                _ask(proxy, url)
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    # Two requests that end at the same time may be logged in either order.
    visited = list(urls)
    return Visits(sorted(lines, key=lambda line: visited.index(line["target"])), len(web.seen))


def _ask(proxy: Proxy, url: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    try:
        method = "GET" if "://" in url else "CONNECT"
        connection.request(method, url)
        answer = connection.getresponse()
        if method == "GET":  # a tunnel stays open
            answer.read()
    finally:
        connection.close()
