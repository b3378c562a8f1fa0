"""Listening sockets that are about to be closed."""

import errno
import select
import socket

import pytest

from realproxy.net.listener import listen, refuse_new_connections


def test_who_comes_before_the_end_is_let_in_and_who_comes_then_is_refused_and_not_cut_off():
    with listen("127.0.0.1:0", "test") as listener:
        address = listener.getsockname()
        early = socket.create_connection(address, timeout=30)
        refuse_new_connections(listener)
        late = socket.socket()
        late.setblocking(False)
        late.connect_ex(address)
        served, _ = listener.accept()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    with early, served:
        early.sendall(b"question")
        assert served.recv(8, socket.MSG_WAITALL) == b"question"
    with late:
        assert select.select([], [late], [], 30)[1]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
