"""A start that fails half-way leaves no thread, no descriptor and no process, wherever it fails.

Every call that asks the system for something fails in turn: a thread, a socket, a file, a process.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import itertools
import mmap
import os
import re
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from realproxy import BadInput, Cache, Certificate, Disk, Forward, Log, Proxy, Route, Service, Tcp

ASKS = {
    threading.Thread: ("start",),
    select: ("epoll",),
    os: ("eventfd", "open", "dup", "memfd_create", "ftruncate", "pidfd_open"),
    socket: ("socket", "socketpair", "getaddrinfo"),
    subprocess: ("Popen",),
    mmap: ("mmap",),
}
"""The calls that may fail, by the module or class that has them."""
LIGHT_WORKER = """
import contextlib, json, socket, sys
with (
    contextlib.suppress(OSError),
    socket.socket(fileno=int(sys.argv[1])) as control,
    control.makefile("rb") as lines,
):
    for message in map(json.loads, lines):
        if message["do"] == "stop":
            break
        control.sendall(json.dumps({"id": message["id"], "result": None}).encode() + b"\\n")
"""


class Asking:
    """The calls of the proxy's start to the system, in their order; the one with the number `fails` fails."""

    def __init__(self, fails: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails, self.names = fails, []
        for owner, names in ASKS.items():
            for name in names:
                monkeypatch.setattr(owner, name, self._watched(name, getattr(owner, name)))

    def _watched(self, name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            starting = threading.current_thread() is threading.main_thread()
            if starting and sys._getframe(1).f_globals["__name__"].startswith("realproxy."):
                self.names.append(name)
                if len(self.names) == self.fails + 1:
                    if name == "start":
                        raise RuntimeError("can't start new thread")
                    raise OSError(errno.EMFILE, "Too many open files")
            return really(*arguments, **keywords)

        return call


def held() -> tuple[int, set[threading.Thread], set[int]]:
    """What this process has: the number of its descriptors, its threads, its children."""
    gc.collect()
    return (
        len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        set(threading.enumerate()),
        {child.pid for child in psutil.Process().children()},
    )


@contextlib.contextmanager
def leaves_nothing() -> Iterator[None]:
    before = held()
    interval = sys.getswitchinterval()
    yield
    for thread in held()[1] - before[1]:
        thread.join(10)
    assert held() == before
    assert sys.getswitchinterval() == interval


def one_process(folder: Path) -> Proxy:
    """A proxy with every part that has a thread or a descriptor."""
    (folder / "certificate.pem").write_bytes(CERTIFICATE.private_key_and_cert_chain_pem.bytes())
    return Proxy(
        listen="127.0.0.1:0",
        admin="127.0.0.1:0",
        tcp=[Tcp(listen="127.0.0.1:0", to="web"), Tcp(listen="127.0.0.1:0", to="web")],
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=["127.0.0.1:9"], health={"path": "/", "every": "60s"})},
        forward=Forward(protocols=["http", "connect", "socks5"]),
        cache=Cache(disk=Disk(folder=str(folder / "disk"), capacity="1MiB")),
        log=Log(file=str(folder / "access.log")),
        tls=[Certificate(cert=str(folder / "certificate.pem"), key=str(folder / "certificate.pem"))],
    )


def several_processes(folder: Path) -> Proxy:
    command = (sys.executable, "-S", "-E", "-c", LIGHT_WORKER)
    keywords = {"admin": "127.0.0.1:0", "route": [Route(respond=204)], "limits": {"drain": "0s"}}
    return Proxy(listen="127.0.0.1:0", workers=2, worker_command=command, **keywords)


CERTIFICATE = trustme.CA().issue_cert("shop.test")


@pytest.mark.parametrize("make", [one_process, several_processes])
def test_a_start_that_fails_anywhere_leaves_nothing(make: Callable[[Path], Proxy], tmp_path: Path) -> None:
    proxy = make(tmp_path)
    proxy.start()
    proxy.stop()
    failed = []
    for number in itertools.count():
        with leaves_nothing(), pytest.MonkeyPatch.context() as patch:
            asking = Asking(number, patch)
            try:
                proxy.start()
            except (OSError, RuntimeError, BadInput):
                failed.append(asking.names[-1])
            finally:
                proxy.stop()
        if len(asking.names) <= number:
            break
    expected = ["epoll", "eventfd", "start", "socket", "open"]
    if make is several_processes:
        expected = ["eventfd", "start", "socket", "Popen", "pidfd_open", "memfd_create", "mmap"]
    assert set(expected) <= set(failed)
    proxy.start()  # after all these failures, it can
    proxy.stop()


WRONG = {
    "port in use": ("listen", "is in use"),
    "tcp port in use": ("tcp.1.listen", "is in use"),
    "admin port in use": ("admin", "is in use"),
    "certificate": ("tls.cert", "no certificate"),
    "log": ("log.file", "cannot be written"),
    "disk": ("cache.disk.folder", "cannot be used"),
    "block list": ("forward", "block"),
}


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield f"127.0.0.1:{other.getsockname()[1]}"


def changed(what: str, proxy: Proxy, taken: str, folder: Path) -> dict[str, Any]:
    """The settings of a proxy with one mistake that only a start finds."""
    settings = dict(proxy.settings)
    (folder / "file").write_text("neither a folder nor a certificate", encoding="utf-8")
    mistakes = {
        "port in use": {"listen": taken},
        "tcp port in use": {"tcp": [Tcp(listen="127.0.0.1:0", to="web"), Tcp(listen=taken, to="web")]},
        "admin port in use": {"admin": taken},
        "certificate": {"tls": [Certificate(cert=str(folder / "file"), key=str(folder / "file"))]},
        "log": {"log": Log(file=str(folder / "file" / "access.log"))},
        "disk": {"cache": Cache(disk=Disk(folder=str(folder / "file" / "disk"), capacity="1MiB"))},
        "block list": {"forward": Forward(block_files=[str(folder / "none")])},
    }
    return settings | mistakes[what]


@pytest.mark.parametrize(
    ("what", "workers"), [*((what, 1) for what in WRONG), *((what, 2) for what in WRONG if "port" in what)]
)
def test_a_mistake_that_the_start_finds_is_told_in_one_line_and_leaves_nothing(
    what: str, workers: int, taken: str, tmp_path: Path
) -> None:
    key, problem = WRONG[what]
    settings = changed(what, one_process(tmp_path), taken, tmp_path)
    if workers > 1:
        settings["cache"] = Cache()  # a disk tier is for one process
    proxy = Proxy(**settings | {"workers": workers})
    with leaves_nothing():
        with pytest.raises(BadInput) as found:
            proxy.start()
        text = str(found.value)
        del found
    assert re.search(f"^settings: {re.escape(key)}.*{problem}", text), text
