"""The pool: which connections are kept, for whom, and which endpoints need more than TCP."""

import select
import socket

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
