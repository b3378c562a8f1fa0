"""The disk tier: it survives restarts, has no torn entries, keeps its limit, and delays no request."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from policies.bad_input import BadInput
from policies.settings import Cache as CacheSettings
from policies.settings import Disk, parse_settings
from realproxy import Cache, Proxy, Route, RouteCache, Service
from realproxy.cache import disk_store as disk_module
from realproxy.cache.disk_entry import read_entry
from realproxy.cache.disk_store import PROMOTED


def fresh(body: bytes, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields or ("Cache-Control: max-age=600",))
    return b"HTTP/1.1 200 X\r\n%bContent-Length: %d\r\n\r\n%b" % (lines.encode("latin-1"), len(body), body)


def outcome(answer) -> str:
    return answer["Cache-Status"].removeprefix("proxytwin; ")


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.answer"))


def on_disk(folder: Path) -> int:
    """Bytes of all files, those that are being written too."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # renamed just now
            continue
    return total


@pytest.fixture(name="tiered")
def _tiered(serve, tmp_path):
    """A proxy with a memory of so many bytes before a disk."""

    def start(server, capacity=2**20, disk=2**30, caching=True) -> Proxy:
        return serve(
            route=[Route(to="web", cache=caching)],
            service={"web": Service(upstreams=[server.address])},
            cache=Cache(policy="lru", capacity=capacity, disk={"folder": str(tmp_path), "capacity": disk}),
        )

    return start


@pytest.fixture
def flush(inside):
    return lambda proxy: inside(proxy)._now.snapshot.store.disk.flush()


def test_what_was_stored_is_found_after_a_restart(origin, tiered, wire):
    answer = fresh(b"hello", "Cache-Control: max-age=600", "Age: 7", 'ETag: "1"', "Vary: Foo", "X: \xe9")
    server = origin(lambda _: answer)
    first = tiered(server)
    assert outcome(wire(first).ask("/a?b", "GET", "Foo: 1")) == "fwd=uri-miss; stored"
    first.stop()
    second = tiered(server)
    stats = second.stats()
    assert (stats["cache_objects"], stats["disk_objects"]) == (0, 1)
    client = wire(second)
    found = client.ask("/a?b", "GET", "Foo: 1")
    assert (outcome(found), found.body, found["ETag"], found["X"]) == ("hit", b"hello", '"1"', "\xe9")
    assert 7 <= int(found["Age"]) <= 30
    assert second.stats()["cache_objects"] == 1, "what is small is in memory again"
    assert client.ask("/a?b", "GET", "Foo: 1", 'If-None-Match: "1"').status == 304
    assert outcome(client.ask("/a?b", "GET", "Foo: 2")).startswith("fwd=")
    stats = second.stats()
    assert (stats["hits"], stats["misses"]) == (2, 1)


def test_what_memory_has_evicted_is_still_on_disk(origin, tiered, wire, flush):
    server = origin(lambda asked: fresh(asked.target.encode() * 1_000))
    proxy = tiered(server, capacity=20_000)
    client = wire(proxy)
    for number in range(30):
        client.ask(f"/{number}")
    flush(proxy)
    assert proxy.stats()["disk_objects"] == 30
    for number in range(30):
        found = client.ask(f"/{number}")
        assert (outcome(found), found.body) == ("hit", b"/%d" % number * 1_000)
        assert proxy.stats()["cache_bytes"] <= 20_000
    assert len(server.asked) == 30


def test_a_long_body_is_sent_from_disk_and_its_parts_too(origin, tiered, wire):
    body = b"".join(b"%08d" % number for number in range((PROMOTED + 8_000) // 8))
    server = origin(lambda _: fresh(body, "Cache-Control: max-age=600", 'ETag: "1"'))
    first = tiered(server, capacity=4 * 2**20)
    wire(first).ask()
    first.stop()
    second = tiered(server, capacity=4 * 2**20)
    client = wire(second)
    assert client.ask().body == body
    part = client.ask("/", "GET", "Range: bytes=800-1599")
    assert (part.status, part.body, part["Content-Range"]) == (
        206,
        body[800:1600],
        f"bytes 800-1599/{len(body)}",
    )
    assert client.ask("/", "GET", 'If-None-Match: "1"').status == 304
    head = client.ask("/", "HEAD")
    assert (head["Content-Length"], outcome(head)) == (str(len(body)), "hit")
    assert client.ask("/", "GET", f"Range: bytes={len(body)}-").status == 416
    assert second.stats()["cache_objects"] == 0
    assert len(server.asked) == 1


def test_memory_does_not_grow_with_what_is_sent_from_disk(origin, child, wire, tmp_path):
    size = 40_000_000
    server = origin(lambda _: fresh(bytes(size)))
    toml = (
        'listen = "127.0.0.1:0"\n[[route]]\nto = "web"\ncache = true\n'
        f'[service.web]\nupstreams = "{server.address}"\n[cache.disk]\nfolder = "{tmp_path / "cache"}"\n'
    )
    first = child(toml)
    assert len(wire(first.port).ask().body) == size
    first.close()
    second = child(toml)
    before = second.resident()
    answer = wire(second.port).ask()
    assert (outcome(answer), len(answer.body)) == ("hit", size)
    assert second.resident() - before < 8_000_000


@pytest.mark.parametrize("size", [100, PROMOTED + 1])
@pytest.mark.parametrize("damage", ["cut body", "cut header", "empty", "body", "header", "other"])
def test_a_torn_file_is_never_sent(origin, tiered, wire, tmp_path, damage, size):
    server = origin(lambda _: fresh(bytes(size)))
    first = tiered(server, capacity=4 * 2**20)
    wire(first).ask()
    first.stop()
    [path] = files(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "body":
        data[-1] ^= 1
    elif damage == "header":
        data[60] ^= 1
    elif damage == "other":
        data[:9] = b"something"
    cut = {"cut body": len(data) - 1, "cut header": 50, "empty": 0}.get(damage, len(data))
    path.write_bytes(data[:cut])
    second = tiered(server, capacity=4 * 2**20)
    answer = wire(second).ask()
    assert (outcome(answer), answer.body) == ("fwd=uri-miss; stored", bytes(size))
    assert len(server.asked) == 2
    second.stop()
    [path] = files(tmp_path)
    assert read_entry(path).size - read_entry(path).body_start == size, "and a whole one is there again"


def test_a_proxy_that_is_killed_leaves_nothing_torn(origin, child, wire, until, tmp_path, tiered):
    """kill -9 in the middle of writing, again and again."""
    server = origin(lambda asked: fresh(asked.target.encode() * 20_000))
    folder = tmp_path / "cache"
    folder.mkdir()
    toml = (
        'listen = "127.0.0.1:0"\n[[route]]\nto = "web"\ncache = true\n'
        f'[service.web]\nupstreams = "{server.address}"\n[cache.disk]\nfolder = "{folder}"\n'
    )
    for turn in range(2):
        proxy = child(toml)
        client = wire(proxy.port)
        for number in range(15):
            assert client.ask(f"/{turn}-{number}").status == 200
        os.kill(proxy.pid, signal.SIGKILL)
        proxy.process.wait(30)
        (folder / f"{turn}.new").write_bytes(b"half a file")
    proxy = child(toml)
    assert not list(folder.glob("*.new"))
    client, asked = wire(proxy.port), len(server.asked)
    found = 0
    for turn in range(2):
        for number in range(15):
            answer = client.ask(f"/{turn}-{number}")
            assert answer.body == f"/{turn}-{number}".encode() * 20_000
            found += outcome(answer) == "hit"
    assert found + len(server.asked) - asked == 30
    assert found > 0


def test_the_disk_is_bounded_to_the_byte(origin, tiered, wire, tmp_path, flush):
    """The file that is being written counts too."""
    server = origin(lambda asked: fresh(bytes(int(asked.target[1:]) * 997)))
    proxy = tiered(server, disk=60_000)
    client, most, ended = wire(proxy), [0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            most[0] = max(most[0], on_disk(tmp_path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 40):
        client.ask(f"/{number % 25}")
    client.ask("/100")
    flush(proxy)
    ended.set()
    watcher.join()
    assert most[0] <= 60_000
    assert on_disk(tmp_path) == proxy.stats()["disk_bytes"] > 20_000


def test_what_falls_falls_on_disk_too(origin, tiered, wire, tmp_path, flush):
    script = lambda asked: (  # noqa: E731
        fresh(b"x", "Cache-Control: max-age=600", 'Cache-Groups: "g"') if asked.method == "GET"
        else b"HTTP/1.1 204 X\r\n\r\n"
    )  # fmt: skip
    proxy = tiered(origin(script))
    client = wire(proxy)
    for change in (
        lambda: client.ask("/a", "POST", "Content-Length: 0"),
        lambda: proxy.purge(url="http://shop.test/a"),
        lambda: proxy.purge(prefix="http://shop.test/"),
        lambda: proxy.purge(tag="g"),
    ):
        client.ask("/a")
        flush(proxy)
        assert len(files(tmp_path)) == 1
        change()
        assert files(tmp_path) == []
        assert outcome(client.ask("/a")).startswith("fwd=uri-miss")
        proxy.purge(url="http://shop.test/a")


def test_a_disk_that_hangs_is_in_nobodys_way(origin, tiered, wire, monkeypatch, flush):
    gate = threading.Event()
    whole = disk_module.write
    monkeypatch.setattr(disk_module, "write", lambda *given: gate.wait(60) and whole(*given))
    proxy = tiered(origin(lambda _: fresh(b"hello")))
    client = wire(proxy)
    start = time.monotonic()
    for number in range(20):
        assert outcome(client.ask(f"/{number}")) == "fwd=uri-miss; stored"
        assert outcome(client.ask(f"/{number}")) == "hit"
    assert time.monotonic() - start < 15
    assert proxy.stats()["disk_objects"] <= 1
    gate.set()
    flush(proxy)
    assert proxy.stats()["disk_objects"] == 20


def test_a_disk_that_fails_costs_only_what_it_would_have_kept(
    origin, tiered, wire, monkeypatch, tmp_path, flush
):
    def fail(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk_module, "write", fail)
    proxy = tiered(origin(lambda _: fresh(b"hello")))
    client = wire(proxy)
    assert [outcome(client.ask()) for _ in range(2)] == ["fwd=uri-miss; stored", "hit"]
    flush(proxy)
    assert (files(tmp_path), proxy.stats()["disk_bytes"]) == ([], 0)


def test_what_has_expired_is_not_taken_over(later, origin, tiered, wire, tmp_path):
    server = origin(lambda _: fresh(b"x", "X: 1"))
    first = tiered(server, caching=RouteCache(ttl="20s", stale="0s"))
    wire(first).ask()
    first.stop()
    assert len(files(tmp_path)) == 1
    later(20.1)
    assert tiered(server).stats()["disk_objects"] == 0
    assert files(tmp_path) == []


def test_a_folder_is_for_one_proxy(origin, tiered, tmp_path):
    server = origin()
    first = tiered(server)
    with pytest.raises(BadInput, match=r"^settings: cache.disk.folder: another proxy uses this folder$"):
        tiered(server)
    with pytest.raises(BadInput, match="cannot change while the proxy runs"):
        first.reload(first.settings.model_copy(update={"cache": CacheSettings(capacity=1)}))
    first.stop()
    tiered(server)
    with pytest.raises(BadInput, match="cannot be used"):
        Proxy(route=[Route(respond=204)], cache=Cache(disk=Disk(folder="/proc/no"))).start()
    with pytest.raises(BadInput, match="workers = 1"):
        parse_settings({"workers": 2, "route": [{"respond": 204}], "cache": {"disk": {"folder": "x"}}})
