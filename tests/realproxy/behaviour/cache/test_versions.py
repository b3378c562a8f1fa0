"""Real threads, an origin that changes all the time, a small store: no answer ever mixes two versions."""

import contextlib
import itertools
import random
import threading

import pytest

from realproxy import Cache, Limits, Route, RouteCache, Service

SIZES = (10, 3_000, 90_000)
OBJECTS = 5


def changing():
    """An origin whose every answer is another version: the tag says which, and each line of the body."""
    numbers = itertools.count(1)

    def script(asked) -> bytes | None:
        number = next(numbers)
        if asked.method == "POST":
            return b"HTTP/1.1 204 X\r\n\r\n"
        rng = random.Random(number)
        tag = f'"{number}"'
        if asked["If-None-Match"] and rng.random() < 0.5:
            return f"HTTP/1.1 304 X\r\nETag: {asked['If-None-Match']}\r\n\r\n".encode()
        line = b"%d %s\n" % (number, asked.target.encode())
        body = line * (SIZES[int(asked.target[1:]) % len(SIZES)] // len(line) + 1)
        fields = [f"ETag: {tag}", rng.choice(["Vary: Foo", "X: 1"]), 'Cache-Groups: "all"']
        fields.append(rng.choice(["Cache-Control: max-age=60", "Cache-Control: max-age=0", "X: 2"]))
        head = "HTTP/1.1 200 X\r\n" + "".join(f"{field}\r\n" for field in fields)
        half = len(body) // 2
        if rng.random() < 0.4:
            chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (half, body[:half], len(body) - half, body[half:])
            if half:
                return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks
        whole = head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        if rng.random() < 0.1:  # it dies in the middle
            asked.sock.sendall(whole[: len(whole) - half - 1])
            return None
        return whole

    return script


def check(answer, target: str) -> str | None:
    """What is wrong with an answer, if anything is."""
    if answer.status == 206:
        lines = set(answer.body.split(b"\n")[1:-1])
        return None if len(lines) <= 1 else "a part mixes versions"
    if answer.status != 200:
        return None if answer.status in (304, 416, 502) else f"status {answer.status}"
    expected = b"%s %s" % (answer["ETag"].strip('"').encode(), target.encode())
    lines = answer.body.split(b"\n")
    whole = lines if answer.missing else lines[:-1]
    if answer.missing and whole:
        whole = whole[:-1]  # it is cut, and seen to be: its last line may be too
    return None if set(whole) <= {expected} else f"{expected!r} has {set(whole)!r}"


def roam(proxy, wire, seed: int, wrong: list[str]) -> None:
    """Ask at random, as one client."""
    rng, client = random.Random(seed), wire(proxy)
    for _ in range(60):
        target = f"/{rng.randrange(OBJECTS)}"
        fields = [rng.choice(["Foo: 1", "Foo: 2", "X: 0"])]
        if rng.random() < 0.15:
            fields.append(f"Range: bytes={rng.randrange(50)}-{rng.randrange(50, 4_000)}")
        try:
            if rng.random() < 0.1:
                client.ask(target, "POST", "Content-Length: 0")
                continue
            answer = client.ask(target, "GET", *fields)
        except (EOFError, ValueError):  # cut between two answers or two chunks
            client = wire(proxy)
            continue
        if (problem := check(answer, target)) is not None:
            wrong.append(problem)
        if answer.missing:
            client = wire(proxy)


@pytest.mark.parametrize("coalesce", [False, True])
def test_no_answer_ever_mixes_two_versions(origin, serve, wire, coalesce):
    proxy = serve(
        route=[Route(to="web", cache=RouteCache(coalesce=coalesce, ttl="20ms"))],
        service={"web": Service(upstreams=[origin(changing()).address])},
        cache=Cache(policy="lru", capacity="150KiB"),
        limits=Limits(drain="1s", idle_timeout="5s"),
    )
    wrong: list[str] = []
    threads = [threading.Thread(target=roam, args=(proxy, wire, seed, wrong)) for seed in range(8)]
    for thread in threads:
        thread.start()
    ended = threading.Event()

    def purge() -> None:
        for number in itertools.count():
            if ended.wait(0.005):
                return
            with contextlib.suppress(RuntimeError):
                proxy.purge(**([{"tag": "all"}, {"prefix": "http://shop.test/"}][number % 2]))

    purger = threading.Thread(target=purge)
    purger.start()
    for thread in threads:
        thread.join()
    ended.set()
    purger.join()
    stats = proxy.stats()
    assert wrong == []
    assert stats["waiting"] == 0
    assert stats["cache_bytes"] <= 150 * 1024
    assert stats["hits"] + stats["misses"] + stats["collapsed"] == stats["requests"]
