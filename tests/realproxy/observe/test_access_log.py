"""The access log: a line an exchange, with the times and the outcome, and never in the way."""

import contextlib
import json
import os
import threading
import time
from datetime import datetime

import pytest

from realproxy import Limits, Log, Proxy, Route, Service
from realproxy.http1 import parse_request
from realproxy.messages.record import RequestRecord
from realproxy.observe import access_log as accesslog
from realproxy.observe.access_log import AccessLog


def lines_of(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_every_exchange_becomes_a_line_with_its_times(origin, wire, tmp_path):
    def script(asked):
        time.sleep(0.03)
        return b"HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nContent-Length: 5\r\n\r\nhello"

    server, file = origin(script), tmp_path / "access.log"
    proxy = Proxy(
        route=[Route(when={"path": "/no"}, respond=403), Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        log=Log(file=str(file)),
    )
    with proxy:
        client = wire(proxy)
        for target in ("/a?b", "/a?b", "/no"):
            client.ask(target, "GET", "User-Agent: test", "Referer: here")
        wire(proxy).send("garbage\r\n\r\n").answer()
    # The last two were answered to different clients, so their workers may log in either order.
    miss, hit, refused, bad = sorted(lines_of(file), key=lambda line: [200, 403, 400].index(line["status"]))
    assert {
        "client": "127.0.0.1", "side": "reverse", "method": "GET", "host": "shop.test", "target": "/a?b",
        "status": 200, "bytes": 5, "route": 1, "service": "web", "upstream": server.address, "reused": False,
        "cache": "fwd=uri-miss; stored", "end": "done", "user_agent": "test", "referer": "here",
    }.items() <= miss.items()  # fmt: skip
    assert 30 <= miss["first_byte_ms"] <= miss["total_ms"] < 5_000
    assert 0 <= miss["queue_ms"] <= miss["total_ms"]
    assert 0 <= miss["connect_ms"] <= miss["total_ms"]
    assert (hit["cache"], hit["upstream"], hit["connect_ms"], hit["first_byte_ms"]) == (
        "hit",
        None,
        None,
        None,
    )
    assert (refused["status"], refused["route"], refused["service"]) == (403, 0, None)
    assert (bad["status"], bad["end"], bad["target"]) == (400, "client-bad", None)


def test_an_exchange_that_was_cut_off_says_how_it_ended(origin, wire, tmp_path):
    def script(asked):
        asked.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")

    file = tmp_path / "access.log"
    server = origin(script)
    proxy = Proxy(
        route=[Route(to="web")], service={"web": Service(upstreams=[server.address])}, log=Log(file=str(file))
    )
    with proxy:
        wire(proxy).ask()
    [line] = lines_of(file)
    assert (line["end"], line["status"], line["bytes"]) == ("upstream-broken", 200, 3)


def test_a_tunnel_becomes_a_line_when_it_ends(origin, wire, tmp_path):
    server, file = origin(), tmp_path / "access.log"
    forward = {"connect_ports": [server.port], "private_targets": True}
    with Proxy(forward=forward, log=Log(file=str(file)), limits=Limits(drain="5s")) as proxy:
        client = wire(proxy)
        assert client.ask(server.address, "CONNECT").status == 200
        client.ask("/", "GET", "Connection: close")
        client.close()
    [line] = lines_of(file)
    assert (line["side"], line["method"], line["target"]) == ("tunnel", "CONNECT", server.address)
    assert (line["status"], line["end"]) == (200, "done")
    assert line["bytes"] == len("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def test_a_log_that_cannot_be_written_fails_no_request(serve, wire):
    proxy = serve(route=[Route(respond=204)], log=Log(file="/dev/full"))
    client = wire(proxy)
    assert [client.ask().status for _ in range(5)] == [204] * 5


def test_lines_that_are_lost_are_counted(serve, wire, until):
    proxy = serve(route=[Route(respond=204)], log=Log(file="/dev/full"))
    client = wire(proxy)
    for _ in range(5):
        client.ask()
    until(lambda: proxy.stats()["log_dropped"] == 5)


def test_a_renamed_log_is_left_alone_when_told_so(serve, wire, until, tmp_path):
    file, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    proxy = serve(route=[Route(respond=204)], log=Log(file=str(file)))
    client = wire(proxy)
    client.ask("/before")
    until(file.read_text)
    file.rename(rotated)
    proxy.reopen_log()
    client.ask("/after")
    until(lambda: file.exists() and file.read_text())
    assert [json.loads(path.read_text())["target"] for path in (rotated, file)] == ["/before", "/after"]


def test_a_renamed_log_is_noticed_without_being_told(serve, wire, until, tmp_path):
    file, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    proxy = serve(route=[Route(respond=204)], log=Log(file=str(file)))
    client = wire(proxy)
    client.ask()
    until(file.read_text)
    file.rename(rotated)
    asked = 1

    def asked_again() -> bool:
        nonlocal asked
        asked += 1
        client.ask()
        return file.exists()

    until(asked_again)
    until(lambda: sum(path.read_text().count("\n") for path in (rotated, file)) == asked)
    assert all(line["status"] == 204 for path in (rotated, file) for line in lines_of(path))


def test_sigusr1_reopens_the_log(child, wire, until, tmp_path):
    import signal

    file = tmp_path / "access.log"
    proxy = child(f'route = [{{ respond = 204 }}]\nlog = {{ file = "{file}" }}')
    wire(proxy).ask()
    until(file.read_text)
    file.rename(tmp_path / "access.log.1")
    proxy.process.send_signal(signal.SIGUSR1)
    until(file.exists)


@pytest.mark.parametrize("size", [0, 1, 150, 1000])
def test_a_disk_that_was_full_leaves_whole_lines(tmp_path, monkeypatch, until, size):
    """The disk takes `size` bytes, then nothing for a while."""
    real_write, room = os.write, [size]

    def write(fd: int, data: bytes) -> int:
        if fd != log._fd or room[0] is None:
            return real_write(fd, data)
        if room[0] == 0:
            raise OSError(28, "No space left on device")
        taken = real_write(fd, data[: room[0]])
        room[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", write)
    log = AccessLog(Log(file=str(tmp_path / "log")))
    for number in range(3):
        log.write(exchange(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))
    until(lambda: log.dropped)
    dropped, room[0] = log.dropped, None
    log.write(exchange(b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n"))
    log.close()
    whole = []
    for line in (tmp_path / "log").read_text().splitlines():
        with contextlib.suppress(ValueError):
            whole.append(json.loads(line)["target"])
    assert whole == [f"/{number}" for number in range(3 - dropped)] + ["/later"]


def test_a_log_that_nobody_reads_holds_up_no_request(serve, wire, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    proxy = Proxy(route=[Route(respond=204)], log=Log(file=str(tmp_path / "pipe")))
    proxy.start()
    client = wire(proxy)
    long = "X: " + "a" * 20_000
    assert [client.ask("/" + "a" * 2_000, "GET", long).status for _ in range(200)] == [204] * 200
    os.close(reader)
    proxy.stop()


@pytest.fixture
def stuck(tmp_path, monkeypatch):
    """A pipe that accepts no more bytes once it is full, like a hung disk; and its reading end."""
    monkeypatch.setattr(accesslog, "CLOSE_PATIENCE", 0.3)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    yield tmp_path / "pipe", reader
    os.close(reader)


def test_lines_that_a_stop_cannot_wait_for_are_counted_and_said(stuck, until, capsys):
    pipe, reader = stuck
    log = AccessLog(Log(file=str(pipe)))
    for number in range(3_000):
        log.write(exchange(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number))
    log.close()
    assert 0 < log.dropped <= 3_000
    assert capsys.readouterr().err == f"proxytwin: the access log {pipe} has lost lines: {log.dropped}\n"
    got = b""

    def ended() -> bool:
        nonlocal got
        with contextlib.suppress(BlockingIOError):
            while data := os.read(reader, 2**20):
                got += data
        return not log._thread.is_alive()

    until(ended)
    ended()
    assert got.count(b"\n") + log.dropped >= 3_000, "all that is missing is counted"
    assert got.count(b"\n") < 3_000, "what was taken away is not written after all"


def test_lines_that_a_former_log_lost_stay_counted(stuck, serve, wire, until, tmp_path):
    proxy = serve(route=[Route(respond=204)], log=Log(file=str(stuck[0])))
    client, target = wire(proxy), "/" + "a" * 2_000
    for _ in range(200):
        assert client.ask(target).status == 204
    proxy.reload(proxy.settings.model_copy(update={"log": Log(file=str(tmp_path / "new"))}))
    until(lambda: proxy.stats()["log_dropped"] > 0)
    assert client.ask().status == 204


def exchange(head: bytes) -> RequestRecord:
    record = RequestRecord("203.0.113.7", 1.0, 1.001)
    record.head = parse_request(head)
    record.status, record.sent, record.ended = 200, 12, 1.5
    return record


def test_every_line_of_a_crowd_of_writers_is_written_once(tmp_path):
    file, writers, each = tmp_path / "log", 4, 2_000
    log = AccessLog(Log(file=str(file), format="combined"))
    records = [exchange(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number) for number in range(each)]

    def write(client: str) -> None:
        for number, record in enumerate(records):
            mine = RequestRecord(client, 1.0, 1.0)
            mine.head, mine.ended = record.head, record.ended
            log.write(mine)
            if number % 500 == 0:
                log.reopen()

    threads = [threading.Thread(target=write, args=(f"192.0.2.{number}",)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    log.close()
    found = [(line.split()[0], line.split()[6]) for line in file.read_text().splitlines()]
    assert log.dropped == 0 and len(found) == writers * each
    for number in range(writers):  # and in order
        assert [target for client, target in found if client == f"192.0.2.{number}"] == [
            f"/{number}" for number in range(each)
        ]


def test_a_line_is_there_soon_after_any_pause(tmp_path, until):
    file = tmp_path / "log"
    log = AccessLog(Log(file=str(file)))
    for number in range(1, 6):
        log.write(exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        until(lambda number=number: file.read_text().count("\n") == number)
        until(lambda: log._asleep)
    log.close()


def test_what_waits_is_bounded_and_the_rest_is_counted(tmp_path, monkeypatch):
    """The disk hangs until all is written."""
    go_on, real_write = threading.Event(), os.write
    monkeypatch.setattr(accesslog, "MOST_WAITING", 50)
    monkeypatch.setattr(os, "write", lambda fd, data: (go_on.wait(30), real_write(fd, data))[1])
    log = AccessLog(Log(file=str(tmp_path / "log")))
    for number in range(500):
        log.write(exchange(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number))
    waiting = len(log._waiting)
    go_on.set()
    log.close()
    assert waiting <= 50 and log.dropped >= 350
    assert len((tmp_path / "log").read_text().splitlines()) + log.dropped == 500


def test_the_time_of_a_line_is_that_of_the_end_of_its_exchange(tmp_path):
    file = tmp_path / "log"
    log = AccessLog(Log(file=str(file)))
    record, now = exchange(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), time.time()
    record.ended = time.monotonic() - 3600
    log.write(record)
    log.close()
    [line] = lines_of(file)
    assert abs(datetime.fromisoformat(line["time"]).timestamp() - (now - 3600)) < 5
