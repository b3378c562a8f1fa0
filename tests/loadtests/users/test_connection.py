"""A load test's connection: each request is sent once, and what became of it is told."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loadtests.users.connection import Connection

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nProxytwin-Upstream: web/1\r\n\r\nok"


@contextmanager
def server(answers: list[list[bytes]]) -> Iterator[tuple[Connection, Callable[[], int]]]:
    """A server with a list of answers for each connection, which it closes after the last one."""
    requests = 0
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        nonlocal requests
        for of_one in answers:
            connection, _ = listener.accept()
            with connection:
                for answer in of_one:
                    connection.recv(65536)
                    requests += 1
                    connection.sendall(answer)
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client = Connection("127.0.0.1", listener.getsockname()[1], timeout=30.0)
    yield client, lambda: requests
    client.close()
    thread.join(30.0)
    listener.close()


def test_an_answer_is_told_with_its_times_and_fields() -> None:
    with server([[OK.replace(b"Content-L", b"Cache-Status: proxytwin; hit\r\nContent-L")]]) as (client, _):
        exchange = client.fetch(REQUEST)
    assert (exchange.status, exchange.size, exchange.upstream) == (200, 2, "web/1")
    assert exchange.cache_status == "proxytwin; hit"
    assert exchange.problem is None
    assert 0 < exchange.done - exchange.sent < 5.0


def test_several_requests_share_one_connection() -> None:
    with server([[OK, OK, OK]]) as (client, requests):
        assert [client.fetch(REQUEST).status for _ in range(3)] == [200, 200, 200]
        assert requests() == 3


def test_a_get_is_not_sent_again_when_the_server_closes_without_an_answer() -> None:
    with server([[OK, b""], [OK]]) as (client, requests):
        assert client.fetch(REQUEST).status == 200
        failed = client.fetch(REQUEST)
        assert (failed.status, requests()) == (0, 2)
        assert "closed the connection" in str(failed.problem) or isinstance(failed.problem, OSError)
        assert client.fetch(REQUEST).status == 200


def test_a_connection_that_was_closed_while_idle_is_opened_again_before_sending() -> None:
    with server([[OK], [OK]]) as (client, requests):
        assert client.fetch(REQUEST).status == 200
        connection = client._socket
        assert connection is not None
        assert connection.recv(1, socket.MSG_PEEK) == b""
        assert (client.fetch(REQUEST).status, requests()) == (200, 2)


def test_half_an_answer_is_no_answer() -> None:
    with server([[OK[:-1]]]) as (client, _):
        exchange = client.fetch(REQUEST)
    assert (exchange.status, exchange.size) == (0, 1)


def test_nonsense_is_no_answer() -> None:
    with server([[b"SSH-2.0-OpenSSH\r\n"]]) as (client, _):
        assert client.fetch(REQUEST).status == 0


def test_an_answer_without_length_ends_with_the_connection() -> None:
    with server([[b"HTTP/1.0 200 OK\r\n\r\nbody"]]) as (client, _):
        exchange = client.fetch(REQUEST)
    assert (exchange.status, exchange.size) == (200, 4)


def test_interim_answers_are_passed_over() -> None:
    with server([[b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK]]) as (client, _):
        assert client.fetch(REQUEST).status == 200


def test_chunked_bodies_are_counted_without_their_framing() -> None:
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    with server([[text]]) as (client, _):
        assert client.fetch(REQUEST).size == 7


def test_a_refused_connection_is_no_answer() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        exchange = Connection(*nobody.getsockname()).fetch(REQUEST)
    assert exchange.status == 0
    assert isinstance(exchange.problem, ConnectionRefusedError)


def test_an_abandoned_request_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Connection(*silent.getsockname())
        client.open()
        timer = threading.Timer(0.05, client.abandon)
        timer.start()
        assert client.fetch(REQUEST).status == 0
        timer.join()
