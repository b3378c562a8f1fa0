"""A request that was handed to another thread is not touched any more by the thread that handed it over."""

import threading
from typing import ClassVar

from realproxy import RouteCache
from realproxy.proxying.context import RequestContext
from realproxy.server import http_server


class Watched(RequestContext):
    """Notes what the thread changes that has parked it, after that."""

    made: ClassVar[list["Watched"]] = []

    def __init__(self, *arguments, **keywords) -> None:
        self.changed: list[str] = []
        super().__init__(*arguments, **keywords)
        self.made.append(self)

    def __setattr__(self, name: str, value: object) -> None:
        if getattr(self, "parked_by", None) is threading.current_thread():
            self.changed.append(name)
        super().__setattr__(name, value)


def test_a_parked_request_is_not_touched(origin, serve, wire, inside, until, monkeypatch):
    gate = threading.Event()
    server = origin(lambda _: gate.wait(20) and b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    proxy = serve(server, caching=RouteCache(ttl="1h", coalesce=True, wait="60s"))
    monkeypatch.setattr(http_server, "RequestContext", Watched)
    fanout = inside(proxy)._fanout
    wait = fanout.wait

    def wait_noted(reader) -> None:
        reader.request.parked_by = threading.current_thread()
        wait(reader)

    monkeypatch.setattr(fanout, "wait", wait_noted)
    clients = []
    for number in range(3):
        clients.append(wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        until(lambda now=number: (len(server.asked), proxy.stats()["waiting"]) == (1, now))
    gate.set()
    assert [client.answer().body for client in clients] == [b"hello"] * 3
    assert sum(hasattr(request, "parked_by") for request in Watched.made) == 2
    assert [request.changed for request in Watched.made] == [[]] * 3
