"""One service of the shop: ``python -m examples.shop.service front``.

It writes its port as one line of JSON, and ends at the end of its standard input. The lines that it reads
there name the forward side of its sidecar. A service knows the others only by name: it asks
``http://cart/`` through its sidecar, which knows the addresses, balances, and tries again.

Threads: each connection has one; `Service` is written only before requests come.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PASSED_ON = ("traceparent", "tracestate", "Proxytwin-Timeout-Ms")
"""Fields that a service sends on, so that the trace and the deadline reach the last of them."""
LONGEST_S = 10.0
Ask = Callable[[str], Any]


def front(path: str, ask: Ask) -> Any:
    """A page: the customer's cart, then three goods at once."""
    time.sleep(random.expovariate(1 / 0.015))
    customer = path.rpartition("/")[2]
    cart = ask(f"http://cart/carts/{customer}")
    with ThreadPoolExecutor(len(cart["goods"])) as pool:
        goods = list(pool.map(lambda number: ask(f"http://catalogue/goods/{number}"), cart["goods"]))
    return {"customer": customer, "goods": goods}


def cart(_path: str, _ask: Ask) -> Any:
    """Which goods a customer wants."""
    time.sleep(random.expovariate(1 / 0.020))
    return {"goods": random.sample(range(100), 3)}


def catalogue(path: str, ask: Ask) -> Any:
    """One article; four times of ten, the store must say how many there are."""
    time.sleep(random.expovariate(1 / 0.020))
    number = int(path.rpartition("/")[2])
    stock = ask(f"http://store/stock/{number}")["stock"] if random.random() < 0.4 else None
    return {"article": number, "stock": stock}


def store(path: str, _ask: Ask) -> Any:
    """How many of an article are left."""
    time.sleep(random.expovariate(1 / 0.040))
    return {"stock": int(path.rpartition("/")[2]) % 7}


SERVICES: dict[str, Callable[[str, Ask], Any]] = {
    "front": front, "cart": cart, "catalogue": catalogue, "store": store,
}  # fmt: skip


class Service(ThreadingHTTPServer):
    """One service on a free port of the loopback."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.work = SERVICES[name]
        self.lead_out("")

    def lead_out(self, sidecar: str) -> None:
        """Ask other services through this proxy from now on."""
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": sidecar}))


class Handler(BaseHTTPRequestHandler):
    """Answers requests to a service."""

    protocol_version = "HTTP/1.1"
    timeout = 60.0
    server: Service

    def do_GET(self) -> None:
        """Answer with JSON; 502 if another service failed."""
        status, told = 200, None
        if self.path != "/health":
            try:
                told = self.server.work(self.path, self._ask)
            except OSError as problem:  # also urllib's, and time-outs
                status, told = 502, {"error": str(problem)}
        body = json.dumps(told).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _ask(self, url: str) -> Any:
        fields = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        request = urllib.request.Request(url, headers=fields)
        with self.server.opener.open(request, timeout=LONGEST_S) as answer:
            return json.load(answer)

    def log_message(self, *_: Any) -> None:
        """Nothing: the sidecars log."""


def main() -> None:
    """Serve until standard input ends."""
    with Service(sys.argv[1]) as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.1,))
        thread.start()
        print(json.dumps({"port": service.server_address[1]}), flush=True)
        for line in sys.stdin:
            service.lead_out(json.loads(line)["sidecar"])
            print(line, end="", flush=True)
        service.shutdown()
        thread.join()


if __name__ == "__main__":
    main()
