"""Clients that people use work through both sides: Python's, Node's fetch, and a browser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
import subprocess

import pytest

from realproxy import Forward


@pytest.fixture
def both_sides(origin, secure, serve):
    """A proxy in front of an origin that says back what it is sent, which is a forward proxy as well."""

    def script(asked):
        body = asked.body or asked.target.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )

    server = origin(script)
    ports = (server.port, secure)
    return serve(server, forward=Forward(private_targets=True, connect_ports=ports)), server


BODY = b"x" * 300_000


def test_httpx_works(both_sides, secure, authority, until):
    import httpx

    proxy, server = both_sides
    with httpx.Client(base_url=proxy.url) as client:  # reverse
        assert client.get("/a").text == "/a"
        assert client.post("/", content=BODY).content == BODY
        assert client.post("/", content=iter([b"one", b"two"])).content == b"onetwo"  # in chunks
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with httpx.Client(proxy=proxy.url, verify=trusted) as client:  # forward
        assert client.get(f"http://{server.address}/b").text == "/b"
        assert client.get(f"https://localhost:{secure}/c").text == "/c"
    until(lambda: proxy.stats()["ends"] == {"done": 5})


def test_aiohttp_works(both_sides, secure, authority):
    import aiohttp

    proxy, server = both_sides
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)

    async def text(answer) -> str:
        async with answer as response:
            assert response.status == 200
            return await response.text()

    async def ask() -> list[str]:
        async with aiohttp.ClientSession() as client:
            together = [text(client.get(f"{proxy.url}/{n}")) for n in range(20)]
            answers = [
                *await asyncio.gather(*together),
                await text(client.post(proxy.url, data=BODY)),
                await text(client.get(f"http://{server.address}/b", proxy=proxy.url)),
                await text(client.get(f"https://localhost:{secure}/c", proxy=proxy.url, ssl=trusted)),
            ]
        while proxy.stats()["tunnels"]:  # aiohttp closes a tunnel later, if its loop still runs
            await asyncio.sleep(0.01)
        return answers

    assert asyncio.run(ask()) == [*(f"/{n}" for n in range(20)), BODY.decode(), "/b", "/c"]


NODE = """
const [url, size] = process.argv.slice(1);
const many = await Promise.all([...Array(20).keys()].map(n => fetch(url + "/" + n).then(a => a.text())));
const sent = await fetch(url, {method: "POST", body: "x".repeat(+size)}).then(a => a.text());
const parts = ["one", "two"].map(text => Buffer.from(text));
const stream = new ReadableStream({start(c) { parts.forEach(part => c.enqueue(part)); c.close(); }});
const chunks = await fetch(url, {method: "POST", body: stream, duplex: "half"}).then(a => a.text());
console.log(JSON.stringify({many, sent: sent.length, chunks}));
"""


@pytest.mark.needs("node")
def test_nodes_fetch_works(both_sides):
    proxy, _ = both_sides
    command = ["node", "--input-type=module", "-e", NODE, proxy.url, str(len(BODY))]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert found.stderr == ""
    expected = {"many": [f"/{n}" for n in range(20)], "sent": len(BODY), "chunks": "onetwo"}
    assert json.loads(found.stdout) == expected


PAGE = """<!doctype html><title>waiting</title><img src="/picture"><script>
const said = {};
const tell = () => { if (said.socket && said.secure) document.title = JSON.stringify(said); };
const socket = new WebSocket("ws://localhost:PLAIN/chat");
socket.onmessage = message => { said.socket = message.data; tell(); };
const answer = fetch("https://localhost:SECURE/from-the-page").then(response => response.text());
answer.then(text => { said.secure = text; tell(); });
</script>"""


@pytest.mark.needs("chromium")
def test_a_browser_works(origin, secure, serve, browse):
    """A page, its picture, https and a WebSocket, all of it through the proxy."""

    def script(asked):
        if asked["Upgrade"] == "websocket":
            key = asked["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
            asked.sock.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: %b\r\n\r\n\x81\x07welcome" % accept
            )
            asked.reader.read(1)  # until the browser is closed
            return None
        page = PAGE.replace("PLAIN", str(server.port)).replace("SECURE", str(secure)).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (
            len(page),
            page,
        )

    server = origin(script)
    ports = (server.port, secure)
    proxy = serve(forward=Forward(private_targets=True, connect_ports=ports))
    options = (
        f"--proxy-server=127.0.0.1:{proxy.port} '--proxy-bypass-list=<-loopback>' --ignore-certificate-errors"
    )
    browser = browse(options)
    browser.open(f"http://localhost:{server.port}/page", 800)
    browser.until('document.title !== "waiting" && document.readyState === "complete"')
    assert json.loads(browser.value("document.title")) == {"socket": "welcome", "secure": "/from-the-page"}
    assert {asked.target for asked in server.asked} >= {"/page", "/picture", "/chat"}
    assert all(asked["Via"] == "1.1 proxytwin" for asked in server.asked if asked.target != "/chat")
    assert proxy.stats()["tunnels"] >= 1
