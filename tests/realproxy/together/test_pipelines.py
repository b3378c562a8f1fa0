"""Pipelines of anything: whatever fails in between, origins see what was sent and nothing made of parts."""

import contextlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from realproxy import Cache, Forward, Limits, Route, RouteCache, Service

INNER = b"GET /good?hidden HTTP/1.1\r\nHost: shop.test\r\n\r\n"
BODIES = [b"", b"ab", INNER, 3 * INNER, bytes(250), b"0\r\n\r\n" + INNER]
PIPELINES = 120
CLIENTS = 12


def good(asked) -> bytes:
    size = 0 if asked.method == "HEAD" else len(asked.body)
    return b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n" % len(
        asked.body
    ) + bytes(size)


def rubbish(asked) -> bytes:
    return b"rubbish\r\n\r\n" + bytes(len(asked.body))


def failing(asked) -> bytes:
    return b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n" % (0 * len(asked.body))


def dying(asked) -> None:
    _ = asked.body


def late(asked) -> None:
    _ = asked.body
    asked.reader.read(1)


def hasty(asked) -> bytes:
    """Answers before it has read the body."""
    asked.sock.sendall(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    _ = asked.body
    return b""


SCRIPTS: dict[str, Callable] = {
    "good": good, "rubbish": rubbish, "failing": failing, "dying": dying, "late": late, "hasty": hasty,
}  # fmt: skip


class Pipelines:
    """Requests at random, of which each has a number in its target."""

    def __init__(self, targets: list[str], rng: random.Random) -> None:
        self.targets, self._rng = targets, rng
        self.sent: dict[int, tuple[str, bytes]] = {}

    def request(self, *, last: bool) -> bytes:
        rng, number = self._rng, len(self.sent)
        method = rng.choice(["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
        target = f"{rng.choice(self.targets)}?{number}"
        fields, body, framed = [b"Host: shop.test"], rng.choice(BODIES), b""
        for field in (b"Expect: 100-continue", b"Max-Forwards: %d" % rng.randrange(3), b"If-None-Match: *"):
            if rng.random() < 0.1:
                fields.append(field)
        if last:
            fields.append(b"Connection: close")
        kind = rng.choice(["none", "length", "chunked"])
        if kind == "none":
            body = b""
        elif kind == "length":
            fields.append(b"Content-Length: %d" % len(body))
            framed = body
        else:
            fields.append(b"Transfer-Encoding: chunked")
            chunks = [body[at : at + 60] for at in range(0, len(body), 60)]
            framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])
        self.sent[number] = method, body
        return b"%b %b HTTP/1.1\r\n" % (method.encode(), target.encode()) + b"\r\n".join(
            [*fields, b"", framed]
        )

    def pieces(self) -> Iterator[bytes]:
        """One to five requests in a row, cut anywhere."""
        rng = self._rng
        length = rng.randrange(1, 6)
        data = b"".join(self.request(last=number == length - 1) for number in range(length))
        longest = rng.choice([len(data), 150])
        while data:
            size = rng.randrange(1, longest + 1) if longest < len(data) else len(data)
            yield data[:size]
            data = data[size:]


@pytest.mark.parametrize(("seed", "threads"), [(1, 64), (2, 3)])
def test_origins_see_what_was_sent_and_nothing_made_of_its_parts(origin, serve, wire, nobody, seed, threads):
    origins = {name: origin(script) for name, script in SCRIPTS.items()}
    services = {name: Service(upstreams=[server.address]) for name, server in origins.items()}
    services["dead"] = Service(upstreams=[f"127.0.0.1:{nobody}"])
    services["either"] = Service(upstreams=[f"127.0.0.1:{nobody}", origins["good"].address])
    cached = RouteCache(coalesce=True, wait="1s")
    proxy = serve(
        route=[
            Route(when={"path": "/cached"}, to="good", cache=cached),
            Route(when={"path": "/lost"}, to="dead", cache=cached),
            Route(when={"path": "/no"}, respond=403),
            *(Route(when={"path": f"/{name}"}, to=name) for name in services),
        ],
        service=services,
        cache=Cache(policy="lru", capacity="1MB"),
        forward=Forward(private_targets=True, block=["blocked.test"]),
        limits=Limits(answer_timeout="200ms", drain="0s", threads=threads),
    )
    places = ["http://blocked.test/", f"http://127.0.0.1:{nobody}/", f"http://{origins['good'].address}/"]
    names = ["cached", "lost", "no", "nowhere", *services]
    drawn = Pipelines([*places, *(f"/{name}" for name in names)], random.Random(seed))

    def converse(pieces: list[bytes]) -> None:
        client = wire(proxy)
        with contextlib.suppress(ConnectionError):  # closed before all was sent
            for piece in pieces:
                client.send(piece)
            while client.sock.recv(2**16):
                pass
        client.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(converse, [list(drawn.pieces()) for _ in range(PIPELINES)]))
    seen = [asked for server in origins.values() for asked in server.asked]
    for asked in seen:
        path, _, number = asked.target.partition("?")
        assert path in {*drawn.targets, "/"}, asked.line
        method, body = drawn.sent[int(number)]
        assert asked.method == method
        assert not asked.whole or asked.body == body
    assert len(seen) > PIPELINES
    assert "400" not in proxy.stats()["answers"]
