"""Many clients, and many requests: no client suffers from others, and no resource is left.

The small version of ``benchmarks/crowds.py`` and ``benchmarks/soak.py``, where the figures come from.
"""

import contextlib
import json
import socket
import statistics
import struct
import threading
import time
import urllib.request
from pathlib import Path

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def p99_ms(port: int, requests: int = 150) -> float:
    """Of one client on one connection."""
    times = []
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        for _ in range(requests):
            start = time.perf_counter()
            sock.sendall(ASK)
            assert sock.recv(65536).startswith(b"HTTP/1.1 204")
            times.append(1e3 * (time.perf_counter() - start))
            time.sleep(0.001)
    return statistics.quantiles(times, n=100)[98]


def test_a_good_client_is_as_fast_beside_a_crowd(child, wire):
    """300 idle connections and 150 clients that send a head byte by byte, in a process of 3 threads.

    Beside it, another process without a crowd is measured: a busy machine slows both down.
    """
    toml = 'route = [{ respond = 204 }]\nlimits = { header_timeout = "1m" }'
    proxy, peer = child(toml), child(toml)
    with contextlib.ExitStack() as stack:
        crowd = [
            stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=30))
            for _ in range(450)
        ]
        slow, over = crowd[:150], threading.Event()
        for sock in crowd[150:]:
            sock.sendall(ASK)
            sock.recv(65536)

        def drip() -> None:
            head = ASK[:-2] + b"X: " + b"a" * 1000
            for byte in head:
                for sock in slow:
                    sock.send(byte.to_bytes())
                if over.wait(1.0):
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        excess = []  # in the best of several rounds: the crowd would spoil all, a busy machine only some
        while len(excess) < 10 and min(excess, default=1) > 0:
            alone, beside = p99_ms(peer.port), p99_ms(proxy.port)
            excess.append(beside - (3 * alone + 3))  # milliseconds
        over.set()
        thread.join()
    assert min(excess) <= 0


def held(pid: int) -> tuple[int, int, int]:
    """Descriptors, threads and kilobytes of private memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    number = {key: int(status.partition(f"{key}:")[2].split()[0]) for key in ("Threads", "RssAnon")}
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), number["Threads"], number["RssAnon"]


def test_descriptors_threads_and_memory_do_not_grow(child, origin, until):
    server = origin(
        lambda _: b"HTTP/1.1 200 OK\r\nCache-Control: max-age=1\r\nContent-Length: 1000\r\n\r\n" + bytes(1000)
    )
    proxy = child(
        'admin = "127.0.0.1:0"\ncache = { capacity = "64KiB" }\n'
        'route = [{ when = { path = "/no" }, respond = 403 }, { to = "web", cache = true }]\n'
        f'service.web.upstreams = "{server.address}"\n'
        'limits = { upstream_idle = "100ms", idle_timeout = "20s" }\n'
    )

    def kinds() -> None:
        """Some of everything: answered, refused, not understood, cut off at any moment."""
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as sock:
            for number in range(200):
                sock.sendall(ASK.replace(b" / ", b" /%d " % (number % 150) if number % 5 else b" /no "))
                assert sock.recv(65536)
        for number in range(50):
            with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as sock:
                sock.sendall((ASK, ASK[:10], b"nonsense\r\n\r\n", ASK * 2)[number % 4])
                if number % 3 == 0:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif number % 3 == 1 and number % 4 != 1:
                    sock.recv(10)

    def rests() -> bool:
        """Whether nothing of all this is left: no client, and no kept connection to the origin."""
        with urllib.request.urlopen(proxy.ready["admin"] + "/stats", timeout=30) as answer:
            stats = json.load(answer)
        return stats["connections"] == 0 and stats["upstream_idle"] == 0

    for _ in range(3):
        kinds()
    until(rests)
    descriptors, threads, memory = held(proxy.pid)
    for _ in range(6):
        kinds()
    until(rests)
    until(lambda: held(proxy.pid)[0] <= descriptors + 3)
    now = held(proxy.pid)
    assert now[1] <= threads + 2
    assert now[2] <= memory + 4096
