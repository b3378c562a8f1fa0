"""The pool: which connections are kept, for whom, and which endpoints need more than TCP."""

import select
import socket
import threading
import time

import pytest

from realproxy import Limits
from realproxy.errors import UpstreamError
from realproxy.runtime.blocking import BlockedThreads
from realproxy.upstream.endpoint import Endpoint
from realproxy.upstream.pool import ConnectionPool


@pytest.fixture
def pool():
    pool = ConnectionPool(Limits(), BlockedThreads())
    yield pool
    pool.abort()
    pool.close_all()


@pytest.fixture
def address():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()


def dialer(address):
    return lambda *_: socket.create_connection(address)


def test_endpoints_with_one_key_share_connections(pool, address):
    connection = pool.acquire(Endpoint([address]))
    pool.release(connection)
    assert pool.acquire_idle(Endpoint([address])) is connection and connection.reused
    pool.close(connection)


def test_a_fresh_connection_is_never_an_idle_one(pool, address):
    endpoint = Endpoint([address])
    connection = pool.acquire(endpoint)
    pool.release(connection)
    other = pool.acquire(endpoint, fresh=True)
    assert other is not connection and not other.reused
    pool.close(other)


def test_an_endpoint_with_its_own_key_shares_with_no_plain_one(pool, address):
    special = Endpoint([address], key=("secured 127.0.0.1", address[1]), dialer=dialer(address))
    connection = pool.acquire(special)
    pool.release(connection)
    assert pool.acquire_idle(Endpoint([address])) is None
    assert pool.acquire_idle(special) is None, "there may be more to it than its socket"
    assert pool.acquire(special) is connection
    pool.close(connection)


def test_a_connection_that_is_one_clients_is_not_kept(pool, address):
    connection = pool.acquire(Endpoint([address], kept=False, dialer=dialer(address)))
    pool.release(connection)
    assert pool.idle == 0 and connection.sock.fileno() < 0


def test_a_plain_connection_can_be_made_without_waiting(pool, address):
    connection = pool.connect_async(Endpoint([address]))
    assert select.select([], [connection.sock], [], 5)[1]
    pool.finish_connect(connection)
    assert connection.sock.getblocking()
    pool.release(connection)
    assert pool.connect_async(Endpoint([address])) is connection
    pool.close(connection)


def test_a_connection_that_fails_later_names_its_host(pool, nobody):
    connection = pool.connect_async(Endpoint([("127.0.0.1", nobody)]))
    select.select([], [connection.sock], [], 5)
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1: unreachable"):
        pool.finish_connect(connection)
    pool.close(connection)


def test_a_closed_pool_gives_nothing_out(pool, address):
    endpoint = Endpoint([address])
    pool.release(pool.acquire(endpoint))
    pool.close_all()
    assert pool.acquire_idle(endpoint) is None
    for acquire in (pool.acquire, pool.connect_async):
        with pytest.raises(UpstreamError, match="the proxy is stopping"):
            acquire(endpoint)


def test_a_connection_whose_limits_cannot_be_set_is_closed(pool, address, monkeypatch):
    made = []

    def dial(*_):
        made.append(socket.create_connection(address))
        return made[-1]

    def fail(*_):
        raise OSError("no more limits")

    monkeypatch.setattr("realproxy.upstream.pool.set_time_limits", fail)
    with pytest.raises(OSError, match="no more limits"):
        pool.acquire(Endpoint([address], dialer=dial))
    assert made[0].fileno() == -1


def test_what_is_released_while_all_are_closed_is_closed(pool, address, monkeypatch):
    endpoint = Endpoint([address])
    first, second = pool.acquire(endpoint), pool.acquire(endpoint)
    pool.release(first)
    idle = pool._idle[endpoint.key]

    class Late(type(idle)):
        def append(self, connection):  # `close_all` comes just before
            pool.close_all()
            super().append(connection)

    pool._idle[endpoint.key] = Late(idle)
    pool.release(second)
    assert [first.sock.fileno(), second.sock.fileno(), pool.idle] == [-1, -1, 0]


def test_a_pause_ends_when_the_pool_is_told_to_stop(pool):
    start = time.monotonic()
    timer = threading.Timer(0.05, pool.abort)
    timer.start()
    pool.pause(60.0)
    timer.join()
    assert time.monotonic() - start < 30.0
