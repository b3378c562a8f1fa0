"""The PAC file, run by a JavaScript engine as a browser would."""

import json
import subprocess

import pytest

from policies.pac import pac_text
from policies.settings import Forward

BROWSER = """
const isPlainHostName = host => !host.includes('.');
const dnsDomainIs = (host, domain) => host.endsWith(domain);
"""
"""What a browser gives the file."""

URLS = [
    "http://shop.test/", "https://shop.test/", "ws://shop.test/", "ftp://shop.test/", "http://localhost/",
    "http://10.1.2.3/", "http://172.20.0.1/", "http://172.32.0.1/", "http://10.test/", "http://[::1]/",
]  # fmt: skip


def asked(forward: Forward) -> list[str]:
    calls = f"JSON.stringify({json.dumps(URLS)}.map(url => FindProxyForURL(url, new URL(url).hostname)))"
    program = f"{BROWSER}{pac_text(forward, 'p:8080')}console.log({calls});"
    result = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True, timeout=30)
    return json.loads(result.stdout)


@pytest.mark.needs("node")
def test_a_browser_asks_the_proxy_for_all_that_is_not_private():
    proxy, socks, direct = "PROXY p:8080", "SOCKS5 p:8080", "DIRECT"
    assert asked(Forward()) == [proxy, proxy, proxy, socks, *[direct] * 3, proxy, proxy, direct]


@pytest.mark.needs("node")
def test_what_is_switched_off_is_not_offered():
    assert asked(Forward(protocols=["http"], private_targets=True))[:5] == [
        "PROXY p:8080", "DIRECT", "DIRECT", "DIRECT", "PROXY p:8080",
    ]  # fmt: skip
    assert asked(Forward(protocols=["socks4"], private_targets=True))[:2] == ["SOCKS p:8080"] * 2


def test_version_4_is_not_offered_where_a_password_is_wanted():
    assert "SOCKS" not in pac_text(Forward(protocols=["http", "socks4"], auth={"a": "b"}), "p:1")
