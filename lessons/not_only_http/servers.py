"""Servers that do not speak HTTP: one that sends every line back in capitals, and Redis."""

from __future__ import annotations

import contextlib
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator

from loadtests.free_port import free_port

SECONDS = 20.0
"""Time limit of all waits in this package."""


class _Shouting(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(OSError):
            for line in self.rfile:
                self.wfile.write(line.upper())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


@contextlib.contextmanager
def shouting_server() -> Iterator[int]:
    """Start a server that sends every line back in capitals; yields its port on the loopback."""
    with _Server(("127.0.0.1", 0), _Shouting) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """Start an empty Redis; yields its port. Needs the program ``redis-server``."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await_port(port)
            yield port
        finally:
            process.terminate()
            process.wait(SECONDS)


def has_redis() -> bool:
    """Whether this machine has ``redis-server``."""
    return shutil.which("redis-server") is not None


def _await_port(port: int) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
