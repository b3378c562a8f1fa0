"""What a request needed goes with it: nothing is left for the garbage collector to find.

Its search holds up everybody, and costs as much as the rest of a small request.
"""

import gc

import pytest

from realproxy import Route, RouteCache, Service
from realproxy.messages.record import RequestRecord

REQUESTS = 40


def script(asked):
    start = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
    if asked.target == "/cut":
        return None
    if asked.target == "/chunked":
        return start + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    if asked.target == "/large":
        return start + b"Content-Length: 300000\r\n\r\n" + bytes(300_000)
    return (
        start
        + b"Content-Length: %d\r\n\r\n" % (0 if asked.method == "HEAD" else 5)
        + b"hello" * (asked.method != "HEAD")
    )


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/small", 200),
        ("HEAD", "/small", 200),
        ("POST", "/small", 200),
        ("GET", "/chunked", 200),
        ("GET", "/large", 200),
        ("GET", "/cached/hit", 200),
        ("GET", "/cached/miss", 200),
        ("GET", "/collapsed/miss", 200),
        ("GET", "/own", 403),
        ("GET", "/cut", 502),
    ],
)
def test_a_request_that_is_over_leaves_nothing_behind(origin, serve, wire, until, method, target, status):
    server = origin(script)
    proxy = serve(
        route=[
            Route(when={"path": "/own"}, respond=403),
            Route(when={"path": "/cached/*"}, to="web", cache=RouteCache(ttl="1h")),
            Route(when={"path": "/collapsed/*"}, to="web", cache=RouteCache(coalesce=True)),
            Route(to="web"),
        ],
        service={"web": Service(upstreams=[server.address])},
    )
    client = wire(proxy)

    def ask(number: int) -> None:
        path = f"{target}{number}" if target.endswith("miss") else target
        body = "hello" if method == "POST" else ""
        client.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}")
        assert client.answer(method).status == status

    def left() -> int:
        return sum(isinstance(thing, RequestRecord) for thing in gc.get_objects())

    ask(0)
    gc.collect()
    gc.disable()
    try:
        before = left()
        for number in range(REQUESTS):
            ask(number)
        until(lambda: left() - before < REQUESTS // 4, 5.0)
    finally:
        gc.enable()
