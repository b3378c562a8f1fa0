"""What upstreams learn of a request's way here, and clients of what went wrong."""

import json
import re

import pytest

from realproxy import Forward, Limits, Log, Match, Route, RouteCache, Service

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_service_learns_of_the_client_by_custom_and_by_standard(origin, serve, wire):
    server = origin()
    wire(serve(server)).ask("/", "GET", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https",
                            "X-Forwarded-Host: evil.test", "Forwarded: for=6.6.6.6")  # fmt: skip
    asked = server.asked[0]
    assert asked.all("x-forwarded-for") == ["6.6.6.6, 127.0.0.1"]
    assert asked.all("forwarded") == ["for=6.6.6.6, for=127.0.0.1;host=shop.test;proto=http"]
    assert (asked.all("x-forwarded-proto"), asked.all("x-forwarded-host")) == (["http"], ["shop.test"])


LISTED = "Connection: X-Forwarded-For, x-forwarded-host, x-forwarded-proto, forwarded, via, traceparent"
TOLD = [
    "X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6", "X-Forwarded-Proto: https", "Via: 1.1 proxytwin",
    "X-Forwarded-Host: evil.test", f"traceparent: {TRACEPARENT}",
]  # fmt: skip


def test_what_a_client_lists_in_connection_is_not_passed_on_in_our_name(origin, serve, wire):
    """RFC 9110, 7.6.1: it is gone before anything is appended to it."""
    server = origin()
    assert wire(serve(server)).ask("/", "GET", LISTED, *TOLD).status == 200
    asked = server.asked[0]
    assert asked.all("x-forwarded-for") == ["127.0.0.1"]
    assert asked.all("forwarded") == ["for=127.0.0.1;host=shop.test;proto=http"]
    assert (asked.all("x-forwarded-proto"), asked.all("x-forwarded-host")) == (["http"], ["shop.test"])
    assert asked.all("via") == ["1.1 proxytwin"]
    assert TRACEPARENT[:35] not in asked["traceparent"]


def test_nor_is_it_on_the_forward_side(origin, serve, wire):
    server = origin()
    proxy = serve(forward=Forward(private_targets=True, anonymity="transparent"))
    assert wire(proxy).ask(f"http://{server.address}/", "GET", LISTED, *TOLD).status == 200
    asked = server.asked[0]
    assert asked.all("x-forwarded-for") == ["127.0.0.1"]
    assert asked.all("forwarded") == ["for=127.0.0.1;proto=http;by=_proxytwin"]
    assert asked.all("via") == ["1.1 proxytwin"]


def test_nor_is_it_believed(origin, serve, wire):
    route = [Route(when=Match(client="6.6.6.6"), respond=403), Route(to="web")]
    client = wire(serve(server := origin(), route=route, trusted_hops=1))
    assert client.ask("/", "GET", LISTED, *TOLD).status == 200
    assert client.ask("/", "GET", *TOLD).status == 403
    assert (server.asked[0]["x-forwarded-proto"], server.asked[0]["x-forwarded-host"]) == (
        "http",
        "shop.test",
    )


def test_of_an_answer_nothing_is_passed_on_that_its_connection_lists(origin, serve, wire):
    listed = b"Connection: via, age, date, cache-status\r\nVia: 1.1 a\r\nAge: 50\r\nCache-Status: a;hit\r\n"
    old = b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nCache-Control: max-age=60\r\n"
    server = origin(lambda _: b"HTTP/1.1 200 OK\r\n" + listed + old + b"Content-Length: 2\r\n\r\nok")
    for caching in (None, RouteCache()):
        client = wire(serve(server, caching=caching))
        for _ in range(2):
            answer = client.ask()
            assert answer.all("via") == ["1.1 proxytwin"]
            assert len(answer.all("date")) == 1 and "1970" not in answer["date"]
            assert int(answer["age"] or 0) < 30
            assert "a;hit" not in answer.all("cache-status")
    assert len(server.asked) == 3, "it could be stored"


def test_of_trusted_proxies_scheme_host_and_client_are_taken(origin, serve, wire, tmp_path, until):
    server, file = origin(), tmp_path / "log"
    route = [Route(when=Match(client="198.51.100.0/24"), to="web"), Route(respond=403)]
    proxy = serve(server, route=route, trusted_hops=1, log=Log(file=str(file)))
    client = wire(proxy)
    told = [
        "X-Forwarded-For: 6.6.6.6, 198.51.100.7",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: www.test",
    ]
    assert client.ask("/", "GET", *told).status == 200
    assert client.ask("/", "GET", "X-Forwarded-For: 198.51.100.7, 6.6.6.6").status == 403
    asked = server.asked[0]
    assert asked.all("x-forwarded-for") == ["6.6.6.6, 198.51.100.7, 127.0.0.1"]
    assert (asked["x-forwarded-proto"], asked["x-forwarded-host"]) == ("https", "www.test")
    until(lambda: file.read_text().count("\n") == 2)
    assert [json.loads(line)["client"] for line in file.read_text().splitlines()] == [
        "198.51.100.7",
        "6.6.6.6",
    ]


def test_a_client_behind_a_trusted_proxy_keeps_his_upstream(origin, serve, wire):
    """source_hash looks at the client, not at the proxy in front."""
    servers = [origin(), origin(), origin()]
    proxy = serve(*servers, balance="source_hash", trusted_hops=1)
    for number in range(30):
        for _ in range(2):
            wire(proxy).ask("/", "GET", f"X-Forwarded-For: 198.51.100.{number}")
    counts = [len(server.asked) for server in servers]
    assert all(count % 2 == 0 for count in counts) and min(counts) > 0


@pytest.mark.parametrize("sent", [TRACEPARENT, None, "00-nonsense"])
def test_a_trace_is_passed_on_or_begun_and_logged(origin, serve, wire, tmp_path, until, sent):
    server, file = origin(), tmp_path / "log"
    proxy = serve(server, log=Log(file=str(file)))
    fields = [f"traceparent: {sent}", "tracestate: a=b"] if sent else []
    wire(proxy).ask("/", "GET", *fields)
    passed = server.asked[0].all("traceparent")
    until(file.read_text)
    assert len(passed) == 1
    line = json.loads(file.read_text())
    _, trace, span, _ = passed[0].split("-")
    assert (line["trace"], line["span"]) == (trace, span)
    if sent == TRACEPARENT:
        _, came, parent, _ = TRACEPARENT.split("-")
        assert (trace, line["parent"], server.asked[0]["tracestate"]) == (came, parent, "a=b")
        assert span != parent
    else:
        assert line["parent"] is None
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", passed[0])
        assert server.asked[0]["tracestate"] is None


def test_tracing_can_be_switched_off(origin, serve, wire):
    server = origin()
    wire(serve(server, trace=False)).ask()
    assert server.asked[0]["traceparent"] is None


def faults(serve, wire, service: Service, **limits) -> str | None:
    proxy = serve(route=[Route(to="web")], service={"web": service}, limits=Limits(drain="0s", **limits))
    return wire(proxy).ask()["proxy-status"]


def test_proxy_status_says_why_there_is_no_answer(origin, serve, wire, nobody):
    refused = faults(serve, wire, Service(upstreams=[f"127.0.0.1:{nobody}"]))
    assert refused.startswith("proxytwin;error=connection_refused;details=")
    unknown = faults(serve, wire, Service(upstreams=["no-such-host.invalid:80"]))
    assert unknown.startswith("proxytwin;error=dns_error;")
    late = origin(lambda asked: asked.reader.read(1) and None)
    slow = faults(serve, wire, Service(upstreams=[late.address]), answer_timeout="100ms")
    assert slow.startswith("proxytwin;error=connection_read_timeout;")
    gone = faults(serve, wire, Service(upstreams=[origin(lambda _: None).address]))
    assert gone.startswith("proxytwin;error=connection_terminated;")
    wrong = faults(serve, wire, Service(upstreams=[origin(lambda _: b"nonsense\r\n\r\n").address]))
    assert wrong.startswith("proxytwin;error=http_protocol_error;")


def test_proxy_status_says_what_is_refused_and_by_which_rule(serve, wire):
    client = wire(serve(forward=Forward()))
    told = client.ask("http://127.0.0.1:1/", host="127.0.0.1:1")["proxy-status"]
    assert told.startswith("proxytwin;error=http_request_denied;details=") and "private_targets" in told
    assert (
        wire(serve(route=[Route(when=Match(path="/a"), respond=204)]))
        .ask("/b")["proxy-status"]
        .startswith("proxytwin;error=destination_not_found")
    )
    unreadable = wire(serve(route=[Route(respond=204)])).send("garbage\r\n\r\n").answer()
    assert unreadable["proxy-status"].startswith("proxytwin;error=http_request_error")


def test_an_error_of_the_upstream_is_said_to_be_its_own(origin, serve, wire):
    server = origin(
        lambda _: b"HTTP/1.1 503 Busy\r\nProxy-Status: inner; error=dns_error\r\nContent-Length: 0\r\n\r\n"
    )
    assert wire(serve(server)).ask().all("proxy-status") == [
        "inner; error=dns_error",
        "proxytwin;received-status=503",
    ]
    assert wire(serve(origin())).ask()["proxy-status"] is None
