"""A proxy in front of one service, whose upstreams are slow, failing or overloaded."""

import threading

import pytest

from realproxy import Limits, Route, Service

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def dead(nobody):
    """The address of a port where nothing listens."""
    return f"127.0.0.1:{nobody}"


@pytest.fixture
def drop():
    """A script that reads the whole request, and ends the connection instead of answering."""

    def script(asked):
        _ = asked.body

    return script


@pytest.fixture
def upstreams():
    """What is counted of the upstreams of a proxy's one service."""
    return lambda proxy: proxy.stats()["upstreams"]["web"]


@pytest.fixture
def service(serve):
    """A proxy in front of one service with these upstreams and settings."""

    def start(*upstreams, caching=None, limits=None, seed=None, **settings):
        addresses = [getattr(upstream, "address", upstream) for upstream in upstreams]
        return serve(
            route=[Route(to="web", cache=caching)],
            service={"web": Service(upstreams=addresses, **settings)},
            limits=limits or Limits(drain="1s"),
            seed=seed,
        )

    return start


class Gated:
    """A script that reports requests through `inside`, and responds when `go` is set."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, _):
        self.inside.release()
        self.go.acquire(timeout=30)
        return OK


@pytest.fixture
def gated():
    """A script that answers when it is let."""
    return Gated()
