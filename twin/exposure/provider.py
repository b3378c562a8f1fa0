"""The provider of the proxies: the process with our real proxy, and the interceptor beside it."""

from __future__ import annotations

import json
import select
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from twin.exposure.certificates import Signed
from twin.exposure.namespaces import NamespaceError
from twin.exposure.servers import HTTP_PORT, HTTPS_PORT, look_up
from twin.exposure.serving import SECONDS, Listener, read_head, read_message
from twin.exposure.topology import Internet
from twin.exposure.vocabulary import Observer

FORWARD_PORT, FORWARD_TLS_PORT, INTERCEPT_PORT = 8080, 8443, 8081
_START_S = 30.0
_ROOT = Path(__file__).parents[2]


class RealProxies:
    """Our real proxy as forward proxy (HTTP, CONNECT, SOCKS; with and without TLS) and reverse proxy.

    Parameters
    ----------
    internet : Internet
    folder : Path
        For its files; the caller removes it.
    signed : Signed
        A certificate for the site and for the proxy, and the authority that signs the site's.
    origin_name : str
        The server name by which the reverse proxy knows the site.
    """

    def __init__(self, internet: Internet, folder: Path, signed: Signed, origin_name: str) -> None:
        files = {
            "/etc/resolv.conf": f"nameserver {internet.addresses[Observer.NAMES].v4}\noptions timeout:2\n",
            "/etc/hosts": "",
            "/etc/nsswitch.conf": "hosts: files dns\n",
        }
        site = internet.addresses[Observer.NETWORK].v4
        proxies = _settings(signed, site, origin_name)
        task = {"files": files, "folder": str(folder), "proxies": proxies}
        with internet.provider.entered():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "twin.exposure.provider_process"], cwd=_ROOT, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for this process, which ends its children
            )  # fmt: skip
        try:
            self._say(json.dumps(task))
        except BaseException:
            self.close()
            raise

    def wait(self) -> None:
        """Wait until it serves; raises `NamespaceError` if it does not."""
        if self._read() != "ready":
            assert self._process.stderr is not None
            complaint = self._process.stderr.read().strip().splitlines() or ["it ended"]
            raise NamespaceError(f"the provider's proxy does not start: {complaint[-1]}")

    def take(self) -> list[bytes]:
        """What its TLS had in the clear since the last call."""
        self._say("take")
        return [bytes.fromhex(text) for text in json.loads(self._read() or "[]")]

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _read(self) -> str:
        assert self._process.stdout is not None
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        return self._process.stdout.readline().strip() if poller.poll(1e3 * _START_S) else ""

    def close(self) -> None:
        """End the process at once, as if it had crashed; there is nothing that it must finish."""
        self._process.kill()
        self._process.wait(SECONDS)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def _settings(signed: Signed, site: str, origin_name: str) -> list[dict[str, Any]]:
    """The settings of four proxies: forward, forward over TLS, reverse with TLS, reverse without."""
    tls = {"cert": signed.certificate, "key": signed.key}
    forward = {"connect_ports": [HTTP_PORT, HTTPS_PORT], "private_targets": True}
    secure = {"upstreams": [f"{site}:{HTTPS_PORT}"], "tls": {"ca": signed.authority, "name": origin_name}}
    plain = {"upstreams": [f"{site}:{HTTP_PORT}"]}
    route = [{"to": "site"}]
    return [
        {"listen": f"*:{FORWARD_PORT}", "forward": forward},
        {"listen": f"*:{FORWARD_TLS_PORT}", "forward": forward, "tls": tls},
        {"listen": f"*:{HTTPS_PORT}", "route": route, "service": {"site": secure}, "tls": tls},
        {"listen": f"*:{HTTP_PORT}", "route": route, "service": {"site": plain}},
    ]


class Interceptor:
    """A proxy that opens TLS: it stands for the proxy of a company whose authority all machines trust.

    It answers CONNECT, shows the client a certificate of its own authority for any name, reads the request,
    and sends it to the site over TLS of its own. `_lock` guards what it has read.
    """

    def __init__(
        self, internet: Internet, towards_client: ssl.SSLContext, towards_site: ssl.SSLContext
    ) -> None:
        self._names = internet.addresses[Observer.NAMES].v4
        self._provider = internet.provider
        self._tls = {"client": towards_client, "site": towards_site}
        self._lock, self._read = threading.Lock(), list[bytes]()
        entry = internet.addresses[Observer.ENTRY].v4
        self._listener = Listener(internet.provider, entry, INTERCEPT_PORT, self._serve)

    def take(self) -> list[bytes]:
        """What it has read since the last call."""
        with self._lock:
            read, self._read = self._read, []
        return read

    def _serve(self, connection: socket.socket) -> None:
        head, _ = read_head(connection)
        host, _, port = head.split()[1].decode().rpartition(":")
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with self._provider.entered():
            address = look_up(self._names, host, ipv6=False)
            upstream = socket.create_connection((address, int(port)), timeout=SECONDS)
        with upstream:
            if int(port) != HTTPS_PORT:
                self._relay(connection, upstream)
                return
            with (
                self._tls["client"].wrap_socket(connection, server_side=True) as inner,
                self._tls["site"].wrap_socket(upstream, server_hostname=host) as outer,
            ):
                self._relay(inner, outer)

    def _relay(self, client: socket.socket, site: socket.socket) -> None:
        """One request and its answer."""
        request = read_message(client)
        site.sendall(request)
        answer = read_message(site)
        with self._lock:
            self._read += [request, answer]
        client.sendall(answer)

    def close(self) -> None:
        """Stop to serve."""
        self._listener.close()
