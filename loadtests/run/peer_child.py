"""A peer as a child process: started in the foreground, and ended when the parent ends.

``python -m loadtests.run.peer_child PORT PROGRAM [ARGUMENT]…`` writes one line of JSON when the peer accepts
connections at the port. It ends the peer at SIGTERM and at the end of standard input, and ends itself when
the peer does. The peer is the leader of a process group of its own, so that what it started ends, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from types import FrameType

from loadtests.descriptors import allow_many_descriptors

_READY_S = 20.0
_STOP_S = 4.0
_LOOK_S = 0.02


class _Ended(Exception):
    """The peer is to end."""


def main(arguments: list[str]) -> int:
    """Run a peer until it ends or is to end; returns its exit code."""
    port, command = int(arguments[0]), arguments[1:]
    allow_many_descriptors()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    peer = None
    try:
        peer = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, start_new_session=True
        )
        _wait_for(port, peer)
        print(json.dumps({"url": f"http://127.0.0.1:{port}", "port": port}), flush=True)
        _wait_for_the_end(peer)
        return peer.poll() or 1
    except _Ended:
        return 0
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if peer is not None:
            _stop(peer)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _wait_for(port: int, peer: subprocess.Popen[bytes]) -> None:
    """Return as soon as the port accepts connections."""
    deadline = time.monotonic() + _READY_S
    while peer.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(_LOOK_S)
    print(f"the peer did not listen within {_READY_S:g} s, or ended", file=sys.stderr)
    raise SystemExit(1)


def _wait_for_the_end(peer: subprocess.Popen[bytes]) -> None:
    """Return when the peer has ended; raises `_Ended` at the end of standard input."""
    watch = os.pidfd_open(peer.pid)
    with contextlib.closing(os.fdopen(watch, closefd=True)):
        while True:
            ready, _, _ = select.select([sys.stdin.buffer, watch], [], [])
            if watch in ready:
                peer.wait()
                return
            if not os.read(sys.stdin.fileno(), 4096):
                raise _Ended


def _stop(peer: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the peer, then SIGKILL to all of its group that is left."""
    with contextlib.suppress(ProcessLookupError):
        peer.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        peer.wait(_STOP_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(peer.pid, signal.SIGKILL)
    peer.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
