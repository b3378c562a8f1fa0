"""Access logs as servers write them: what tells objects apart in each, and what is left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bad_input import BadInput
from realproxy.http1 import parse_request
from realproxy.messages.record import RequestRecord
from realproxy.observe.log_format import format_combined, format_json
from scenarios.traces import TraceFile
from scenarios.traces.http_log import object_name, split_request
from scenarios.traces.log_lines import host_in_front

Write = Callable[[str | list[str]], Path]

CLF = '{} [07/Sep/2023:15:58:36 +0200] "{}" 200 360'
W3C = "#Version: 1.0\n#Fields: {}\n"
IIS = "date time s-ip cs-method cs-uri-stem cs-uri-query s-port c-ip sc-status sc-bytes"
CLOUDFRONT = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs-uri-query "
    "x-host-header cs-protocol"
)
CLOUDFRONT_LINE = "2024-01-02\t03:04:05\tDFW3\t7\t192.0.2.1\tGET\td1.cloudfront.net\t/a\t200\t{}\t{}\thttps"
ALB = (
    "https 2018-07-02T22:23:{:02}.186641Z app/lb/50dc 192.0.2.1:2817 10.0.0.1:80 0.086 0.048 0.037 "
    "200 200 0 57 "
    '"{}" "curl/7.46.0" ECDHE TLSv1.2 arn:aws "Root=1-58" "d.test" "arn" 1 2018-07-02T22:22:48Z "forward" "-"'
)
ELB = (
    "http 2015-05-13T23:39:43.945958Z lb 192.0.2.1:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "
    '"{}" "curl/7.38.0" - -'
).removeprefix("http ")
S3 = (
    '79a5 {} [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a5 3E57 {} {} "GET /{} HTTP/1.1" 200 - {} {} 70 10 "-" '
    '"aws-sdk" {} s9lz SigV4 ECDHE-RSA AuthHeader b.s3.test TLSV1.2 - -'
)
SQUID = "1700000000.{:03}    502 192.0.2.1 TCP_MISS/200 216 {} {} - HIER_DIRECT/192.0.2.9 text/html"
HAPROXY = (
    "Feb  6 12:14:14 localhost haproxy[14389]: 192.0.2.1:33317 [06/Feb/2009:12:14:14.655] {} static/srv1 "
    '10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {}"{}"'
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(content: str | list[str]) -> Path:
        path = tmp_path / "access"  # its name tells nothing
        path.write_text(
            content if isinstance(content, str) else "\n".join(content) + "\n", encoding="latin-1"
        )
        return path

    return to_file


def read(path: Path, **options: Any) -> tuple[str, list[int], dict[str, int]]:
    """The format, the objects of the requests in their order, and what was left out."""
    file = TraceFile(path, **options)
    keys = [key for block in file.blocks() for key in block.keys.tolist()]
    return file.kind, keys, dict(file.left_out)


def objects(path: Path, **options: Any) -> list[int]:
    return read(path, **options)[1]


# -- each pair of lines asks for two objects ------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (
            "combined",
            CLF.format("shop.test:443 192.0.2.1 - -", "GET / HTTP/2.0"),
            CLF.format("blog.test:443 192.0.2.1 - -", "GET / HTTP/2.0"),
        ),
        (
            "combined",
            CLF.format("shop.test:443 192.0.2.1 - -", "GET / HTTP/2.0"),
            CLF.format("shop.test:80 192.0.2.1 - -", "GET / HTTP/2.0"),
        ),
        (
            "combined",
            CLF.format("shop.test 192.0.2.1 - -", "GET / HTTP/2.0"),
            CLF.format("blog.test 192.0.2.1 - -", "GET / HTTP/2.0"),
        ),
        (
            "combined",
            CLF.format("shop.test 2001:db8::1 - Ann Lee", "GET / HTTP/2.0"),
            CLF.format("blog.test 2001:db8::1 - -", "GET / HTTP/2.0"),
        ),
        (
            "combined",
            CLF.format("shop.test client.test - -", "GET / HTTP/2.0"),
            CLF.format("blog.test client.test - -", "GET / HTTP/2.0"),
        ),
        (
            "combined",
            CLF.format("[2001:db8::9]:443 192.0.2.1 - -", "GET / HTTP/2.0"),
            CLF.format("[2001:db8::8]:443 192.0.2.1 - -", "GET / HTTP/2.0"),
        ),
        (
            "combined",
            CLF.format("192.0.2.1 - -", "GET /a b HTTP/1.1"),
            CLF.format("192.0.2.1 - -", "GET /a c HTTP/1.1"),
        ),
        (
            "combined",
            CLF.format("192.0.2.1 - -", "GET /a HTTP/1 HTTP/1.1"),
            CLF.format("192.0.2.1 - -", "GET /a HTTP/1.1"),
        ),
        (
            "combined",
            CLF.format("192.0.2.1 - -", "GET http://shop.test/ HTTP/1.1"),
            CLF.format("192.0.2.1 - -", "GET https://shop.test/ HTTP/1.1"),
        ),
        (
            "combined",
            CLF.format("192.0.2.1 - -", "GET /?a=1 HTTP/1.1"),
            CLF.format("192.0.2.1 - -", "GET /?a=2 HTTP/1.1"),
        ),
        (
            "combined",
            CLF.format("192.0.2.1 - -", 'GET /\\"a HTTP/1.1'),
            CLF.format("192.0.2.1 - -", 'GET /\\"b HTTP/1.1'),
        ),
        (
            "w3c",
            W3C.format(IIS) + "2024-01-02 03:04:05 10.0.0.1 GET /a - 80 192.0.2.1 200 7",
            "2024-01-02 03:04:05 10.0.0.1 GET /a - 443 192.0.2.1 200 7",
        ),
        (
            "w3c",
            W3C.format(IIS) + "2024-01-02 03:04:05 10.0.0.1 GET /a q=1 80 192.0.2.1 200 7",
            "2024-01-02 03:04:05 10.0.0.1 GET /a q=2 80 192.0.2.1 200 7",
        ),
        (
            "w3c",
            W3C.format(IIS + " cs-host")
            + "2024-01-02 03:04:05 10.0.0.1 GET /a - 80 192.0.2.1 200 7 shop.test",
            "2024-01-02 03:04:05 10.0.0.1 GET /a - 80 192.0.2.1 200 7 blog.test",
        ),
        (
            "w3c",
            W3C.format(CLOUDFRONT) + CLOUDFRONT_LINE.format("-", "shop.test"),
            CLOUDFRONT_LINE.format("-", "blog.test"),
        ),
        (
            "w3c",
            W3C.format(CLOUDFRONT) + CLOUDFRONT_LINE.format("x=1", "shop.test"),
            CLOUDFRONT_LINE.format("x=2", "shop.test"),
        ),
        (
            "s3",
            S3.format("one", "REST.GET.OBJECT", "k", "k", 9, 9, "-"),
            S3.format("two", "REST.GET.OBJECT", "k", "k", 9, 9, "-"),
        ),
        (
            "s3",
            S3.format("one", "REST.GET.OBJECT", "k", "k", 9, 9, "v1"),
            S3.format("one", "WEBSITE.GET.OBJECT", "k", "k", 9, 9, "v2"),
        ),
        (
            "aws_lb",
            ALB.format(1, "GET https://shop.test:443/a HTTP/2.0"),
            ALB.format(1, "GET https://blog.test:443/a HTTP/2.0"),
        ),
        (
            "aws_lb",
            ELB.format("GET http://shop.test:80/a HTTP/1.1"),
            ELB.format("GET http://shop.test:8080/a HTTP/1.1"),
        ),
        (
            "squid",
            SQUID.format(1, "GET", "http://shop.test/a b"),
            SQUID.format(2, "GET", "http://shop.test/a"),
        ),
        (
            "haproxy",
            HAPROXY.format("http-in", "{shop.test} {} ", "GET / HTTP/1.1"),
            HAPROXY.format("http-in", "{blog.test} {} ", "GET / HTTP/1.1"),
        ),
        (
            "haproxy",
            HAPROXY.format("http-in", "", "GET / HTTP/1.1"),
            HAPROXY.format("api~", "", "GET / HTTP/1.1"),
        ),
        (
            "haproxy",
            HAPROXY.format("in~", "", "GET https://shop.test/ HTTP/2.0"),
            HAPROXY.format("in~", "", "GET https://blog.test/ HTTP/2.0"),
        ),
    ],
)
def test_what_tells_objects_apart_is_never_dropped(write: Write, kind: str, one: str, other: str) -> None:
    first = one.splitlines()[-1]
    assert read(write([one, other, first])) == (kind, [0, 1, 0], {})


JSON: dict[str, dict[str, Any]] = {
    "nginx": {
        "time_iso8601": "2024-01-02T03:04:05+00:00",
        "request": "GET /a?q=1 HTTP/1.1",
        "status": "200",
        "body_bytes_sent": "7",
        "http_host": "shop.test",
        "request_time": "0.003",
        "uri": "/a",
    },
    "nginx with numbers": {
        "msec": 1704164645.123,
        "request_method": "GET",
        "request_uri": "/a?q=1",
        "status": 200,
        "bytes_sent": 7,
        "host": "shop.test",
        "scheme": "https",
    },
    "Caddy": {
        "level": "info",
        "ts": 1704164645.123,
        "logger": "http.log.access",
        "msg": "handled request",
        "request": {
            "method": "GET",
            "host": "shop.test",
            "uri": "/a?q=1",
            "proto": "HTTP/2.0",
            "tls": {"resumed": False},
        },
        "status": 200,
        "size": 7,
        "bytes_read": 0,
    },
    "Traefik": {
        "StartUTC": "2024-01-02T03:04:05.5Z",
        "RequestMethod": "GET",
        "RequestHost": "shop.test",
        "RequestPath": "/a?q=1",
        "RequestScheme": "https",
        "DownstreamStatus": 200,
        "RequestPort": "-",
        "DownstreamContentSize": 7,
        "time": "2024-01-02T03:04:06Z",
        "level": "info",
    },
    "ECS": {
        "@timestamp": "2024-01-02T03:04:05Z",
        "http.request.method": "GET",
        "url.original": "/a?q=1",
        "url": {"domain": "shop.test"},
        "http.response.status_code": 200,
        "http.response.body.bytes": 7,
    },
    "CloudFront": {
        "date": "2024-01-02",
        "time": "03:04:05",
        "cs-method": "GET",
        "cs-uri-stem": "/a",
        "cs-uri-query": "q=1",
        "x-host-header": "shop.test",
        "cs(Host)": "d1.cloudfront.net",
        "sc-status": "200",
        "sc-bytes": "7",
        "cs-protocol": "https",
    },
}


def _changed(line: dict[str, Any], old: str, new: str) -> str:
    return json.dumps(line).replace(old, new)


@pytest.mark.parametrize("line", JSON.values(), ids=JSON)
@pytest.mark.parametrize(
    ("old", "new"),
    [("shop.test", "blog.test"), ("/a", "/b"), ("q=1", "q=2"), ('"GET', '"POST')],
    ids=["host", "path", "query", "method"],
)
def test_json_logs_are_read_by_the_names_of_their_fields(
    write: Write, line: dict[str, Any], old: str, new: str
) -> None:
    lines = [json.dumps(line), _changed(line, old, new), json.dumps(line)]
    kind, keys, left_out = read(write(lines))
    expected = ([0, 0], {"POST": 1}) if new == '"POST' else ([0, 1, 0], {})
    assert (kind, keys, left_out) == ("json", *expected)
    block = next(TraceFile(write(lines)).blocks())
    assert 1704164645 <= block.times[0] < 1704164646 and block.sizes.tolist() == [7] * len(keys)


def test_the_projects_own_logs_are_read(write: Write) -> None:
    """Both formats of its access log; a tunnel is no request, and a POST is none that a cache answers."""

    records = []
    for head in (
        b"GET /x HTTP/1.1\r\nHost: a.test",
        b"GET /x HTTP/1.1\r\nHost: b.test",
        b"POST /x HTTP/1.1\r\nHost: a.test",
        None,
    ):
        one = RequestRecord("127.0.0.1", 1.0, 1.0)
        one.head = None if head is None else parse_request(head + b"\r\n\r\n")
        one.status, one.sent = 200, 7
        records.append(one)
    text = "".join(format_json(one, 1_700_000_000.0) for one in records)
    assert read(write(text)) == ("json", [0, 1], {"POST": 1, "no request": 1})
    text = "".join(format_combined(one, 1_700_000_000.0) for one in records)
    assert read(write(text)) == ("combined", [0, 0], {"POST": 1, "no request": 1})


# -- what is left out, and what is refused --------------------------------------------------------


def test_other_methods_and_statuses_are_left_out_and_counted(write: Write) -> None:
    lines = [
        CLF.format("192.0.2.1 - -", f"{method} /a HTTP/1.1") for method in ("GET", "HEAD", "POST", "PURGE")
    ]
    lines.append(lines[0].replace(" 200 ", " 301 "))
    assert read(write(lines)) == ("combined", [0], {"HEAD": 1, "POST": 1, "PURGE": 1, "status 301": 1})


def test_operations_of_s3_are_told(write: Write) -> None:
    operations = [
        "REST.GET.OBJECT",
        "REST.HEAD.OBJECT",
        "REST.PUT.OBJECT",
        "REST.GET.BUCKET",
        "BATCH.DELETE.OBJECT",
    ]
    _, keys, left_out = read(write([S3.format("b", one, "k", "k", 9, 9, "-") for one in operations]))
    assert keys == [0] and set(left_out) == {"HEAD", "PUT", "RESTGETBUCKET", "DELETE"}


def test_the_size_of_an_object_of_s3_is_not_that_of_the_part_that_was_sent(write: Write) -> None:
    line = S3.format("b", "REST.GET.OBJECT", "k", "k", 5, 900, "-")
    assert next(TraceFile(write([line])).blocks()).sizes.tolist() == [900]


def test_a_line_of_a_programs_own_log_is_no_request(write: Write) -> None:
    lines = [json.dumps({"level": "info", "ts": 1.5, "msg": "serving"}), json.dumps(JSON["Caddy"])]
    assert read(write(lines)) == ("json", [0], {"no request": 1})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            W3C.format("date time cs-method cs-uri-stem sc-status") + "2024-01-02 03:04:05 GET / 200\n",
            "line 2: the field 'sc-bytes' is missing in #Fields; let the server log it",
        ),
        (
            W3C.format(IIS) + "2024-01-02 03:04:05 10.0.0.1 GET /a b - 80 192.0.2.1 200 7\n",
            "line 3: expected 10 fields, as #Fields says, not 11",
        ),
        (
            "#Version: 1.0\n2024-01-02 03:04:05 GET / 200 7\n",
            "line 2: expected a line '#Fields:' before the first request",
        ),
        (
            '{"status": 200}\n{"ts": 1, "uri": "/", "status": 200, "size": 1}\n',
            "line 2: expected a method of the request in a field such as 'method' or 'request_method'",
        ),
        (
            '{"ts": 1, "method": "GET", "uri": "/", "size": 1}\n',
            "line 1: expected a status in a field such as 'status'",
        ),
        (
            '{"method": "GET", "uri": "/", "status": 200, "size": 1}\n',
            "line 1: expected a time in a field such as 'ts' or 'time'",
        ),
        (
            '{"ts": -1, "method": "GET", "uri": "/", "status": 200, "size": 1}\n',
            "line 1: expected a time that is not negative, not -1",
        ),
        (
            '{"ts": 1, "method": "GET", "uri": "/", "status": 200, "size": -1}\n',
            "line 1: expected a number of bytes, not -1",
        ),
        (
            '{"ts": 1, "method": "GET", "uri": "/", "status": 200}\n',
            "line 1: expected bytes in a field such as 'bytes' or 'size'",
        ),
        ('{"ts": 1\n', "line 1: expected one JSON object: "),
        (
            CLF.format("Feb 6 12:14:14 web nginx:", "GET / HTTP/1.1"),
            "line 1: expected client, identity and user before the time, and nothing but a host in front",
        ),
    ],
)
def test_what_is_not_understood_is_refused_with_its_line(write: Write, content: str, said: str) -> None:
    path = write(content)
    with pytest.raises(BadInput) as caught:
        read(path, kind="combined" if content.startswith("Feb") else None)
    assert str(caught.value).startswith(f"{path}: {said}")


def test_a_host_at_the_end_is_asked_about(write: Write) -> None:
    lines = [
        CLF.format("192.0.2.1 - -", "GET / HTTP/1.1") + f' "-" "curl" "{host}"'
        for host in ("a.test", "b.test")
    ]
    path = write(lines)
    with pytest.raises(
        BadInput, match=r"'a\.test' stands where no host belongs, but may tell objects apart; say"
    ):
        TraceFile(path)
    assert objects(path, kind="combined") == [0, 0]
    assert objects(path, kind="combined_host_last") == [0, 1]


def test_a_host_in_place_of_the_identity_is_asked_about(write: Write) -> None:
    lines = [CLF.format(f"192.0.2.1 {host} -", "GET / HTTP/1.1") for host in ("a.test", "b.test")]
    with pytest.raises(
        BadInput, match=r"'a\.test' stands where no host belongs, but may tell objects apart; say"
    ):
        TraceFile(write(lines))


@pytest.mark.parametrize("between", ['"a.test" ', "a.test "])
def test_a_host_between_time_and_request_is_refused(write: Write, between: str) -> None:
    line = CLF.format("192.0.2.1 - -", "GET / HTTP/1.1").replace('"GET', between + '"GET')
    with pytest.raises(BadInput, match="no format of a trace is recognised here; say --format NAME"):
        TraceFile(write([line]))
    with pytest.raises(BadInput, match="line 1: expected a line of a combined or common access log"):
        read(write([line]), kind="combined")


def test_what_else_may_follow_is_no_host(write: Write) -> None:
    for tail in (
        '"-" "curl/8.1" "203.0.113.9"',
        '"http://x.test/" "Mozilla/5.0 (x.test)" 0.003',
        '"-" "-" "-"',
    ):
        assert objects(write([CLF.format("192.0.2.1 - -", "GET / HTTP/1.1") + " " + tail])) == [0]


def test_the_fields_of_a_w3c_log_may_change(write: Write) -> None:
    first = W3C.format(IIS) + "2024-01-02 03:04:05 10.0.0.1 GET /a - 80 192.0.2.1 200 7\n"
    second = (
        "#Date: 2024-01-03 00:00:00\n#Fields: time s-ip cs-method cs-uri-stem s-port sc-status sc-bytes\n"
    )
    path = write(first + second + "00:00:09 10.0.0.1 GET /a 80 200 7\n")
    blocks = list(TraceFile(path).blocks())
    assert [key for block in blocks for key in block.keys.tolist()] == [0, 0]
    assert [time for block in blocks for time in block.times.tolist()] == [1704164645.0, 1704240009.0]


# -- rules ----------------------------------------------------------------------------------------

WORD = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters='"\\[]#'), min_size=1, max_size=8
)


@given(targets=st.lists(st.lists(WORD, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=6))
def test_a_target_is_all_between_method_and_version(targets: list[str]) -> None:
    for target in targets:
        assert split_request(f"GET /{target} HTTP/1.1") == ("GET", f"/{target}")


@given(
    host=st.from_regex(r"[a-z]{1,9}\.test(:[1-9]\d{0,3})?", fullmatch=True),
    user=st.lists(WORD, min_size=1, max_size=3),
)
def test_a_host_in_front_is_found_whatever_the_user_is_called(host: str, user: list[str]) -> None:
    assert host_in_front(f"{host} 192.0.2.7 - {' '.join(user)} ") == host
    assert host_in_front(f"192.0.2.7 - {' '.join(user)} ") == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://Shop.test/a", "http://shop.test:80/a"),
        ("https://shop.test:443", "HTTPS://shop.test/"),
        ("http://shop.test/a#top", "http://shop.test/a"),
    ],
)
def test_urls_that_are_equal_by_rfc_9110_are_one_object(one: str, other: str) -> None:
    assert object_name(one) == object_name(other)


def test_paths_keep_their_case() -> None:
    assert object_name("/A", "Shop.test") == "shop.test/A" != object_name("/a", "Shop.test")
