"""Long bodies: memory does not grow with them, and a slow reader slows the sender."""

import contextlib
import socket
import statistics
import threading
import time

GIB = 2**30
MIB = 2**20
BLOCK = bytes(MIB)


def one_service(address: str, extra: str = "") -> str:
    return f'route = [{{ to = "web", cache = true }}]\nservice.web.upstreams = "{address}"\n{extra}'


def download(asked) -> None:
    asked.sock.sendall(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nContent-Length: %d\r\n\r\n" % GIB)
    for _ in range(GIB // MIB):
        asked.sock.sendall(BLOCK)


def upload(asked) -> bytes:
    buffer, left = bytearray(MIB), int(asked["content-length"])
    while left and (size := asked.reader.readinto(memoryview(buffer)[: min(left, MIB)])):
        left -= size
    asked.fields.clear()  # the body has been read
    return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + (b"done" if not left else b"lost")


def chunked(asked) -> None:
    asked.sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(256):
        asked.sock.sendall(b"100000\r\n" + BLOCK + b"\r\n")
    asked.sock.sendall(b"0\r\n\r\n")


class Growth:
    """How much a process's resident memory grows, looked at all the time."""

    def __init__(self, proxy) -> None:
        self._proxy, self._before, self.most = proxy, proxy.resident(), 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.most = max(self.most, self._proxy.resident() - self._before)

    def __enter__(self) -> "Growth":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join()


def test_a_gibibyte_passes_both_ways_in_little_memory(origin, child, wire):
    server = origin(lambda asked: download(asked) if asked.method == "GET" else upload(asked))
    proxy = child(one_service(server.address))
    wire(proxy).ask("/", "PUT", "Content-Length: 0")
    with Growth(proxy) as growth:
        client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.head()["Content-Length"] == str(GIB)
        buffer, received = bytearray(MIB), 0
        while received < GIB and (size := client.reader.readinto(buffer)):
            received += size
        assert received == GIB

        client = wire(proxy).send(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n")
        for _ in range(GIB // MIB):
            client.send(BLOCK)
        assert client.answer().body == b"done"
    assert growth.most < 30 * MIB


def test_a_chunked_body_of_a_quarter_gibibyte_passes_whole(origin, child, wire):
    proxy = child(one_service(origin(chunked).address))
    with Growth(proxy) as growth:
        client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.head()["Transfer-Encoding"] == "chunked"
        total = 0
        while size := int(client.reader.readline(), 16):
            total += len(client.reader.read(size + 2)) - 2
        assert total == GIB // 4
    # Up to the cache's capacity it may have been recorded for storing.
    assert growth.most < 30 * MIB + 64 * MIB


def test_a_reader_that_stops_stops_the_sender(origin, child, wire):
    sent = 0
    stuck = threading.Event()

    def script(asked):
        nonlocal sent
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        asked.sock.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < GIB:
                sent += asked.sock.send(BLOCK)
        stuck.set()

    proxy = child(one_service(origin(script).address))
    before = proxy.resident()
    wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").head()
    assert stuck.wait(60)
    assert sent < 64 * MIB
    assert proxy.resident() - before < 30 * MIB


def test_a_reader_that_never_reads_is_dropped(origin, serve, wire, until):
    from realproxy import Limits

    server = origin(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB) + bytes(64 * MIB))
    proxy = serve(server, limits=Limits(idle_timeout="300ms", drain="1s"))
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: proxy.stats()["ends"].get("client-slow") == 1)
    with contextlib.suppress(ConnectionResetError):
        assert len(client.reader.read()) < 64 * MIB


def test_time_limits_are_for_silence_not_for_slowness(origin, serve, wire):
    from realproxy import Limits

    def slowly(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
        for _ in range(12):
            time.sleep(0.3)
            asked.sock.sendall(b"x")
        return b""

    limits = Limits(answer_timeout="3s", idle_timeout="3s", drain="1s")
    assert wire(serve(origin(slowly), limits=limits)).ask().body == b"x" * 12


def test_accepted_connections_send_at_once(serve, wire, origin):
    """Without TCP_NODELAY an answer in two parts takes 40 ms."""

    def parts(asked):
        asked.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        time.sleep(0.002)
        asked.sock.sendall(b"cd")
        return b""

    client = wire(serve(origin(parts)))
    took = []
    for _ in range(100):
        start = time.monotonic()
        assert client.ask().body == b"abcd"
        took.append(time.monotonic() - start)
    assert statistics.median(took) < 0.035
