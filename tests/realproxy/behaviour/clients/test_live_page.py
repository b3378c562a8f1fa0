"""The live page, in a real browser: it shows what flows, fits a phone, and fetches from nowhere else."""

import re
import threading
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest


@pytest.fixture
def busy(origin, serve, wire) -> Iterator[tuple[Any, Any]]:
    """A proxy with a client that asks all the time: half of it is answered from the cache."""
    from realproxy import RouteCache

    def script(asked):
        lasting = b"max-age=60" if asked.target == "/kept" else b"no-store"
        return b"HTTP/1.1 200 OK\r\nCache-Control: %b\r\nContent-Length: 2\r\n\r\nok" % lasting

    server = origin(script)
    proxy = serve(server, caching=RouteCache(), admin="127.0.0.1:0")
    client, enough = wire(proxy), threading.Event()

    def ask() -> None:
        while not enough.wait(0.02):
            client.ask("/kept")
            client.ask("/fetched")

    thread = threading.Thread(target=ask)
    thread.start()
    yield proxy, server
    enough.set()
    thread.join()


INK = """(() => {
  const canvas = document.querySelector("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.filter((byte, n) => n % 4 === 3 && byte > 128).length;
})()"""


@pytest.mark.needs("chromium")
def test_it_shows_what_flows_at_any_width(busy, browser, until):
    proxy, server = busy
    browser.open(proxy.admin_url, 1100)
    browser.until("past.length >= 2 && document.querySelectorAll('#latest tr').length === 12")
    text = ""

    def shown(unit: str) -> float:
        return float(re.search(rf"([\d.]+) {unit}", text)[1])

    def as_it_flows() -> bool:
        """Of the last moment, in which a busy machine may have done little."""
        nonlocal text
        text = browser.value("document.body.innerText")
        return 5 < shown(r"/s\s+requests") < 200 and 40 <= shown(r"%\s+from the cache") <= 60

    until(as_it_flows)
    assert server.address in text and "GET /kept" in text
    assert "live, 1 connections" in text
    for unit in ("requests per second", "milliseconds", "percent", "time, seconds"):
        assert unit in text
    until(lambda: browser.value(INK) > 2000)
    browser.until("flow.dots.length + flow.due.length > 0")
    browser.open(proxy.admin_url, 360)
    browser.until("past.length >= 1 && innerWidth === 360")
    assert browser.value("document.documentElement.scrollWidth") <= 360
    assert browser.trouble == []


@pytest.mark.needs("chromium")
def test_it_shows_splits_the_canary_and_mirrors(origin, serve, wire, browser, until):
    good, bad, copy = (
        origin(lambda _, status=status: b"HTTP/1.1 %d Oh\r\nContent-Length: 0\r\n\r\n" % status)
        for status in (200, 500, 200)
    )
    addresses = {"api": good.address, "new": bad.address, "copy": copy.address}
    service = {name: {"upstreams": [address]} for name, address in addresses.items()}
    route = [{"to": {"api": 3, "new": 1}, "canary": {"watch": "new"}, "mirror": {"to": "copy"}}]
    proxy = serve(route=route, service=service, admin="127.0.0.1:0", seed=1)
    browser.open(proxy.admin_url, 1100)
    shown = "document.getElementById('splits').innerText"
    browser.until(f"{shown}.includes('new: watching')")
    assert "25 %" in browser.value(shown)
    client = wire(proxy)
    for _ in range(60):
        client.ask()
    until(lambda: proxy.stats()["mirrors"][0]["sent"] == 60)
    browser.until(f"{shown}.includes('new: rolled back') && {shown}.includes('60 sent')")
    text = browser.value(shown)
    assert "rolled back at 0 %, because" in text
    assert re.search(r"evidence against it: [\d.]+ of 20;", text)
    assert "60 sent, 0 failed, 0 skipped" in text
    browser.open(proxy.admin_url, 360)
    browser.until("past.length >= 1 && innerWidth === 360")
    assert browser.value("document.documentElement.scrollWidth") <= 360
    assert browser.trouble == []


@pytest.mark.needs("chromium")
def test_without_splits_and_mirrors_it_shows_none(busy, browser):
    proxy, _ = busy
    browser.open(proxy.admin_url, 1100)
    browser.until("past.length >= 1")
    assert browser.value("document.getElementById('splits').hidden") is True


@pytest.mark.needs("chromium")
def test_it_says_when_the_proxy_is_gone(origin, browser):
    from realproxy import Proxy, Route

    with Proxy(route=[Route(respond=204)], admin="127.0.0.1:0") as proxy:
        browser.open(proxy.admin_url, 1100)
        browser.until("document.getElementById('state').textContent.startsWith('live')")
    browser.until("document.getElementById('state').className === 'lost'")


def test_it_needs_nothing_from_elsewhere():
    page = resources.files("realproxy.observe").joinpath("live.html").read_text()
    assert not re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", page)


def test_measurements_have_the_colour_that_they_have_everywhere():
    from twin.plots.style import MEASURED

    page = resources.files("realproxy.observe").joinpath("live.html").read_text()
    assert f"--measured: {MEASURED};" in page
