"""Connections: `connect` waits for one, `start_connect` does not."""

import errno
import select
import socket

import pytest

from realproxy.errors import Termination, UpstreamError
from realproxy.net import dial
from realproxy.net.address import family_of
from realproxy.net.dial import connect, start_connect


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_connect_goes_on_to_the_next_address(listener, nobody):
    with connect([("127.0.0.1", nobody), listener.getsockname()], 5) as sock:
        assert sock.getpeername() == listener.getsockname()
        assert sock.gettimeout() is None
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_connection_that_succeeds_makes_no_exception(listener, monkeypatch):
    monkeypatch.setattr(dial, "UpstreamError", None)
    connect([listener.getsockname()], 5).close()


def test_the_last_failure_is_told(nobody):
    with pytest.raises(UpstreamError) as caught:
        connect([("127.0.0.1", nobody)], 5)
    assert (caught.value.status, caught.value.errno) == (502, errno.ECONNREFUSED)
    assert caught.value.detail == f"127.0.0.1:{nobody}: connection refused"


def test_no_address_is_a_failure_too():
    with pytest.raises(UpstreamError, match="the target has no address") as caught:
        connect([], 5)
    assert caught.value.end is Termination.UPSTREAM_UNREACHABLE


def test_start_connect_does_not_wait(listener):
    sock, code = start_connect(listener.getsockname())
    with sock:
        assert code == 0 and not sock.getblocking()
        assert select.select([], [sock], [], 5)[1] == [sock]
        assert sock.getpeername() == listener.getsockname()


def test_start_connect_tells_what_fails_at_once():
    sock, code = start_connect(("255.255.255.255", 9))
    with sock:
        assert code in (errno.ENETUNREACH, errno.EACCES)


@pytest.mark.parametrize(
    ("host", "family"), [("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6)]
)
def test_the_family_of_an_address(host, family):
    assert family_of(host) is family
