"""Request fields that may be behind an answer: published attacks, ordinary requests, and drawn ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.causes import MOST_BYTES, MOST_FIELDS, NOTHING, OVERRIDES, UNUSUAL, cause

BROWSER = {
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "de-DE,de;q=0.9,en;q=0.8",
    "cache-control": "max-age=0",
    "cookie": "session=0123456789abcdef; theme=dark",
    "dnt": "1",
    "if-modified-since": "Sun, 06 Nov 1994 08:49:37 GMT",
    "if-none-match": 'W/"a"',
    "priority": "u=0, i",
    "referer": "http://shop.test/a?b=c",
    "sec-ch-ua": '"Chromium";v="140", "Not=A?Brand";v="24"',
    "sec-fetch-mode": "navigate",
    "sec-gpc": "1",
    "upgrade-insecure-requests": "1",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}
"""What browsers send with a GET."""
SILENT = [404, 405, 410, 414, 411, 417, 422, 499, 501, 502, 503, 504, 599]
"""Errors that no field of a browser is behind."""


@pytest.mark.parametrize("status", [200, 203, 301, 302, 308, 416, *SILENT])
def test_negative_caching_goes_on_for_ordinary_requests(status):
    ordinary = (tuple(BROWSER), BROWSER.get)
    assert cause(status, ordinary, None) is None
    assert cause(status, NOTHING, None) is None
    traced = {
        **BROWSER,
        "x-request-id": "7b1",
        "x-forwarded-for": "192.0.2.1, 2001:db8::1",
        "via": "1.1 edge",
    }
    assert cause(status, (tuple(traced), traced.get), None) is None


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        (412, "if-match", '"x"'), (412, "if-none-match", "*"), (412, "if-unmodified-since", "x"),
        (412, "if-modified-since", "x"), (412, "if-range", '"x"'), (400, "if-none-match", "x"),
        (416, "range", "bytes=9999-"), (400, "range", "bytes=cow"), (404, "range", "bytes=0-"),
        (501, "request-range", "bytes=0-"), (417, "expect", "100-continue"), (417, "expect", "x"),
        (406, "accept", "x/y"), (406, "accept-encoding", "x"), (406, "accept-language", "xx"),
        (406, "accept-charset", "x"), (415, "accept-encoding", "x"), (415, "content-type", "x/y"),
        (415, "content-encoding", "x"), (400, "content-length", "0"), (411, "content-length", "0"),
        (400, "cookie", "a=b"), (500, "cookie", "a=b"), (500, "referer", "/"),
        (403, "sec-fetch-site", "cross-site"),
        (451, "dnt", "1"), (503, "sec-purpose", "prefetch"), (404, "service-worker", "script"),
        (400, "sec-websocket-key", "x"), (404, "accept-encoding", "x"),
        (400, "accept-encoding", "gzip, x;q=0"),
        (404, "forwarded", "host=bad.test"), (403, "remote-addr", "x"), (400, "forwarded", "for=x"),
        (413, "content-length", "0"), (413, "cookie", "a=b"), (501, "transfer-encoding", "x"),
        (401, "authorization", "x"), (403, "authorization", "x"), (404, "authorization", "x"),
        (403, "cookie", "a=b"), (403, "user-agent", "scanner"), (403, "referer", "http://bad.test/"),
        (403, "origin", "http://bad.test"), (403, "x-forwarded-for", "192.0.2.1"),
        (406, "user-agent", "scanner"),
        (451, "x-forwarded-for", "192.0.2.1"), (500, "x-forwarded-for", "'"), (500, "client-ip", "127.0.0.1"),
        (400, "max-forwards", "x"), (501, "upgrade", "x"), (400, "early-data", "1"),
        (405, "x-http-method-override", "POST"), (501, "x-http-method", "DELETE"),
        (404, "x-method-override", "PUT"),
        (404, "x-original-url", "/x"), (404, "x-rewrite-url", "/x"), (404, "x-forwarded-host", "bad.test"),
        (404, "x-host", "bad.test"), (502, "x-forwarded-port", "1"), (400, "x-oversized-header-1", "v"),
        (400, "x-metachar-header", r"\a"), (404, "x-api-version", "99"), (400, "x_original_url", "/x"),
        (400, "accept_encoding", "x"), (400, "content_type", "x"), (400, "user-agent", "a\x80"),
        (500, "referer", "\xe9"), (400, "cookie", "a=\xff"), (400, "bad!name", "x"),
        (400, "accept-language", "<x>"),
        (404, "depth", "1"), (404, "translate", "f"), (403, "origin", "null"), (500, "soapaction", "x"),
    ],
)  # fmt: skip
def test_the_field_behind_an_error_is_named_unless_vary_names_it(status, name, value):
    alone = ((name,), {name: value}.get)
    everything = ((*BROWSER, name), {**BROWSER, name: value}.get)
    vary = "authorization" if status == 401 and name != "authorization" else None
    assert cause(status, alone, vary) == name.replace("_", "-") or cause(status, alone, vary) == name
    assert cause(status, everything, vary) is not None
    listed = ", ".join([*BROWSER, "authorization", name.upper()])
    assert cause(status, everything, listed) is None


@pytest.mark.parametrize("status", [200, 204, 301, 302, 404, 500])
@pytest.mark.parametrize("name", sorted(OVERRIDES))
def test_a_field_that_names_another_target_is_behind_every_answer(status, name):
    for spelt in (name, name.replace("-", "_")):
        assert cause(status, (("host", spelt), {spelt: "x"}.get), None) == name
    assert cause(status, (("host", name), {name: "x"}.get), f"accept,{name.title()}") is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("forwarded", 'for=a;host="SHOP.test"', None), ("forwarded", "proto=http", "forwarded"),
        ("x-forwarded-scheme", "http", "x-forwarded-scheme"), ("x-forwarded-ssl", "off", "x-forwarded-ssl"),
        ("x-forwarded-port", "1", "x-forwarded-port"), ("x-forwarded-proto", "http", "x-forwarded-proto"),
        ("forwarded", "for=192.0.2.1; HOST=bad.test", "forwarded"), ("forwarded", "for=192.0.2.1", None),
        ("range", "bytes=0-", None), ("cookie", "a=b", None),
    ],
)  # fmt: skip
def test_a_redirect_depends_on_the_scheme_that_the_client_names(name, value, expected):
    fields = {"host": "shop.test", name: value}
    for status in (301, 302, 307, 308):
        assert cause(status, (tuple(fields), fields.get), None) == expected
    elsewhere = "bad.test" in value
    assert cause(200, (tuple(fields), fields.get), None) == ("forwarded" if elsewhere else None)


def test_too_much_of_it_is_behind_an_error_too():
    long = {**BROWSER, "test-name": "x" * MOST_BYTES}
    assert cause(404, (tuple(long), long.get), None) == (f"more than {MOST_BYTES} bytes of fields")
    many = {f"a{number}": "1" for number in range(MOST_FIELDS + 1)}
    assert cause(404, (tuple(many), many.get), None) == f"more than {MOST_FIELDS} fields"
    many.pop("a0")
    assert cause(404, (tuple(many), many.get), None) is None
    assert cause(404, (("a",) * (MOST_FIELDS + 1), {"a": ""}.get), None) is not None, "repeated lines count"


NAMES = st.one_of(
    st.sampled_from(sorted(UNUSUAL)), st.from_regex(r"x-[a-z]{1,9}", fullmatch=True),
    st.from_regex(r"[a-z-]*[!#$%&'*+.^`|~][a-z]*", fullmatch=True),
)  # fmt: skip


@given(st.sampled_from(SILENT), NAMES, st.text(st.characters(codec="latin-1"), max_size=20))
def test_no_unusual_field_passes_for_a_plain_request(status, name, value):
    tracing = name.startswith("x-") and name in ("x-request-id", "x-correlation-id")
    fields = {**BROWSER, name: value}
    assert tracing or cause(status, (tuple(fields), fields.get), None) is not None


@given(
    st.integers(200, 599),
    st.dictionaries(st.from_regex(r"[a-z_-]{1,20}", fullmatch=True), st.text(max_size=9)),
)
def test_if_vary_names_every_field_the_answer_is_everybodys(status, fields):
    """RFC 9111, 4.1: then no other request selects it."""
    vary = ", ".join([*fields, "authorization"])
    assert cause(status, (tuple(fields), fields.get), vary) is None
