"""A proxy that runs compiled HTTPRoutes, before backends that tell what they were asked."""

from __future__ import annotations

import http.client
import http.server
import json
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from policies.settings import parse_settings
from realproxy import Proxy
from twin.httproute import compile_routes, to_toml


class Backend(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, as JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        fields = {name.lower(): ",".join(self.headers.get_all(name) or ()) for name in self.headers}
        body = json.dumps({"by": self.server.name, "path": self.path, "fields": fields}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-By", self.server.name)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_OPTIONS = do_DELETE = do_PUT = do_PATCH = do_GET  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, list[str]]]:
    servers = []
    for name in ("v1", "v2", "v3"):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
        server.name = name
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        servers.append(server)
    yield {server.name: [f"127.0.0.1:{server.server_port}"] for server in servers}
    for server in servers:
        server.shutdown()
        server.server_close()


class Door:
    """A proxy that runs what was compiled."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def ask(self, target: str, method: str = "GET", host: str = "any.test", **fields: str):
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in fields.items()}
            connection.request(method, target, headers={"Host": host, **named})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def by(self, target: str, method: str = "GET", host: str = "any.test", **fields: str) -> str | int:
        """The backend that answers, or the status."""
        answer, _ = self.ask(target, method, host, **fields)
        return answer.headers["X-By"] or answer.status

    def asked(self, target: str, **fields: str) -> dict:
        """What the backend was asked."""
        return json.loads(self.ask(target, **fields)[1])


@pytest.fixture
def door(tmp_path: Path, addresses: dict[str, list[str]]) -> Iterator[Callable[..., Door]]:
    running: list[Proxy] = []

    def open_door(*documents: dict) -> Door:
        file = tmp_path / "routes.yaml"
        file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
        settings = compile_routes([file], addresses, "127.0.0.1:0").settings
        read = tomllib.loads(to_toml(settings))
        assert parse_settings(read) == parse_settings(settings)
        proxy = Proxy(**read)
        proxy.start()
        running.append(proxy)
        return Door(proxy)

    yield open_door
    for proxy in running:
        proxy.stop()
