"""Raw sockets on both sides of a proxy: an origin that a test scripts, and a client that it reads with.

`origin(script)` starts a server. Its script gets each `Asked` and returns the bytes of an answer,
or None to end the connection, having written what it liked. `wire(proxy)` is a client.
"""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

SECONDS = 30.0
"""A test that waits longer on a socket has failed."""


class Asked:
    """A request as the origin got it."""

    def __init__(self, sock: socket.socket, reader, line: str, fields: list[tuple[str, str]]) -> None:
        self.sock, self.reader, self.line, self.fields = sock, reader, line, fields
        self.method, self.target, _ = line.split(" ")
        self._body: bytes | None = None

    def __getitem__(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    @property
    def whole(self) -> bool:
        """Whether its body was read to its end."""
        return self._body is not None

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = b"".join(body_of(self.reader, self))
        return self._body


def read_head(reader) -> tuple[str, list[tuple[str, str]]]:
    line = reader.readline().decode("latin-1").rstrip("\r\n")
    fields = []
    while line and (text := reader.readline().decode("latin-1").rstrip("\r\n")):
        name, _, value = text.partition(":")
        fields.append((name, value.strip()))
    return line, fields


def body_of(reader, message, *, until_close: bool = False) -> Iterator[bytes]:
    if message["transfer-encoding"] == "chunked":
        while size := int(reader.readline().split(b";")[0], 16):
            yield reader.read(size)
            reader.readline()
        message.trailers = read_trailers(reader)
    elif message["content-length"] is not None:
        left = int(message["content-length"])
        while left and (data := reader.read(min(left, 2**18))):
            left -= len(data)
            yield data
        message.missing = left
    elif until_close:
        yield reader.read()


def read_trailers(reader) -> list[str]:
    lines = []
    while (line := reader.readline()) not in (b"\r\n", b""):
        lines.append(line.decode().strip())
    return lines


Script = Callable[[Asked], bytes | None]


def hello(_: Asked) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Origin:
    """A threaded server that answers as its script says, and remembers what it was asked."""

    def __init__(self, script: Script = hello) -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._socks: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._spawn(self._accept)

    def _spawn(self, target, *arguments) -> None:
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(SECONDS * 3)
                self.connections += 1
                self._socks.add(sock)
                self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as reader, contextlib.suppress(OSError, ValueError):
            while True:
                line, fields = read_head(reader)
                if not line:
                    break
                asked = Asked(sock, reader, line, fields)
                self.asked.append(asked)
                answer = self.script(asked)
                if answer is None:
                    break
                _ = asked.body
                sock.sendall(answer)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a test may have done so
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._socks):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)


class Answer:
    """An answer as the client got it."""

    def __init__(self, line: str, fields: list[tuple[str, str]]) -> None:
        self.line, self.fields = line, fields
        self.status = int(line.split(" ")[1])
        self.body = b""
        self.trailers: list[str] = []
        self.missing = 0

    def __getitem__(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]


class Wire:
    """A client's connection on which a test writes what it likes."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.reader = self.sock.makefile("rb")

    def send(self, data: bytes | str) -> "Wire":
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        return self

    def ask(self, target: str = "/", method: str = "GET", *fields: str, host: str = "shop.test") -> Answer:
        lines = "".join(f"{field}\r\n" for field in fields)
        self.send(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")
        return self.answer(method)

    def head(self) -> Answer:
        line, fields = read_head(self.reader)
        if not line:
            raise EOFError("the connection ended instead of an answer")
        return Answer(line, fields)

    def answer(self, method: str = "GET") -> Answer:
        answer = self.head()
        if method == "CONNECT" and answer.status == 200:
            return answer
        if method != "HEAD" and answer.status >= 200 and answer.status not in (204, 304):
            answer.body = b"".join(body_of(self.reader, answer, until_close=True))
        return answer

    def ended(self) -> bool:
        """Whether the proxy closes now, without another byte."""
        try:
            return self.reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.reader.close()
        self.sock.close()


@pytest.fixture(autouse=True, scope="session")
def names_that_do_not_exist() -> Iterator[None]:
    """No name server is asked for names under `.invalid` (RFC 6761, 6.4): it may be late, or respond."""
    ask = socket.getaddrinfo

    def look_up(host: object, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(host, str) and host.rstrip(".").endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return ask(host, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture
def origin() -> Iterator[Callable[..., Origin]]:
    with contextlib.ExitStack() as stack:

        def start(script: Script = hello) -> Origin:
            server = Origin(script)
            stack.callback(server.close)
            return server

        yield start


@pytest.fixture
def wire() -> Iterator[Callable[..., Wire]]:
    with contextlib.ExitStack() as stack:

        def connect(proxy) -> Wire:
            client = Wire(proxy if isinstance(proxy, int) else proxy.port)
            stack.callback(client.close)
            return client

        yield connect


@pytest.fixture
def serve() -> Iterator[Callable]:
    """A running proxy; with an origin, one that sends everything there."""
    from realproxy import Limits, Proxy, Route, Service

    with contextlib.ExitStack() as stack:

        def start(*origins: Origin, caching=None, balance: str = "round_robin", **keywords) -> Proxy:
            if origins:
                keywords.setdefault("route", [Route(to="web", cache=caching)])
                upstreams = [server.address for server in origins]
                keywords["service"] = {"web": Service(upstreams=upstreams, balance=balance)}
            keywords.setdefault("limits", Limits(drain="1s", idle_timeout="1h"))  # `later` ends no connection
            return stack.enter_context(Proxy(**keywords))

        yield start


@pytest.fixture(scope="session")
def inside() -> Callable[[Any], Any]:
    """The `Instance` of a started proxy (with several workers, the `Fleet`), for tests of private parts."""

    def running(proxy: Any) -> Any:
        assert proxy._running is not None
        return proxy._running

    return running


class Child:
    """A proxy as a child process."""

    def __init__(self, file: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "realproxy", str(file), "--until-eof", *arguments]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        self.port = self.ready["port"]
        self.pid = self.ready["pid"]

    def resident(self) -> int:
        """Bytes of resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        self.process.communicate(timeout=SECONDS * 2)


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    with contextlib.ExitStack() as stack:

        def start(toml: str, *arguments: str) -> Child:
            file = tmp_path / "proxy.toml"
            file.write_text(toml, encoding="utf-8")
            proxy = Child(file, *arguments)
            stack.callback(proxy.close)
            return proxy

        yield start


@pytest.fixture
def until() -> Callable:
    """Wait until something is so."""

    def wait(condition: Callable[[], object], seconds: float = SECONDS) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited too long"
            time.sleep(0.002)

    return wait


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port at which nothing listens or can listen."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass at once, for all code in this process that reads a clock.

    Named before the proxy in a test's arguments, so that the clocks go on until that has stopped.
    """
    passed = 0.0

    def pass_by(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    for name in ("monotonic", "time"):
        clock = getattr(time, name)
        monkeypatch.setattr(time, name, lambda clock=clock: clock() + passed)
    return pass_by


@pytest.fixture(scope="module")
def module_origin() -> Iterator[Origin]:
    """One origin for a whole table of cases."""
    server = Origin()
    yield server
    server.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority) -> Iterator[int]:
    """The port of an https origin for localhost that says what path it was asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket) -> None:
        sock.settimeout(10.0)
        try:
            with context.wrap_socket(sock, server_side=True) as tls:
                path = tls.recv(65536).split(b" ")[1]
                head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nAccess-Control-Allow-Origin: *\r\n"
                tls.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(path), path))
        except OSError:
            sock.close()  # browsers open connections that they never use

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(sock,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in [acceptor, *threads]:
        thread.join()
