"""Free ports for programs that must be told their port."""

import socket
from pathlib import Path

from loadtests.free_port import free_port


def test_a_free_port_can_be_listened_on_and_is_not_one_that_the_kernel_hands_out() -> None:
    handed_out = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    for _ in range(20):
        with socket.create_server(("127.0.0.1", free_port())) as listener:
            assert not int(handed_out[0]) <= listener.getsockname()[1] <= int(handed_out[1])


def test_a_port_that_is_taken_is_not_given(monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        tried = [taken.getsockname()[1], free_port()]
        monkeypatch.setattr("random.SystemRandom.randrange", lambda *_: tried.pop(0))
        assert free_port() != taken.getsockname()[1]
        assert tried == []
