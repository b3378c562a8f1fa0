"""Faults on purpose: what a route injects, as its clients see it and as the log tells it."""

import json
import time

import pytest

from policies.bad_input import BadInput
from policies.settings import parse_settings
from policies.settings.faults import Bandwidth, Error, Half, Latency, Reset
from realproxy import Limits, Log, Route, Service
from realproxy.proxying.faults.base import KINDS, FaultTarget, fault


@pytest.fixture
def faulty(serve, origin, tmp_path):
    """A proxy whose one route has these faults, its origin, and what it has logged once it is asked."""

    def start(*faults, script=None, caching=None, seed=None):
        server = origin(*([script] if script else []))
        log = tmp_path / "access.log"
        proxy = serve(
            route=[Route(to="web", fault=list(faults), cache=caching)],
            service={"web": Service(upstreams=[server.address])},
            log=Log(file=str(log)),
            limits=Limits(drain="1s"),
            seed=seed,
        )

        def logged(until, count=1):
            until(lambda: log.exists() and len(log.read_text().splitlines()) >= count)
            return [json.loads(line) for line in log.read_text().splitlines()]

        return proxy, server, logged

    return start


def test_latency_delays_and_the_answer_comes_all_the_same(faulty, wire, until):
    proxy, _, logged = faulty({"kind": "latency", "delay": "80ms"})
    start = time.monotonic()
    assert wire(proxy).ask().body == b"hello"
    assert time.monotonic() - start >= 0.08
    (line,) = logged(until)
    assert (line["fault"], line["end"], line["status"]) == ("latency", "done", 200)


def test_an_error_comes_instead_of_an_answer(faulty, wire, until):
    proxy, server, logged = faulty({"kind": "error", "status": 429})
    client = wire(proxy)
    assert [client.ask().status for _ in range(2)] == [429] * 2
    assert server.asked == []
    assert {(line["fault"], line["end"]) for line in logged(until, 2)} == {("error", "fault")}


def test_a_reset_comes_instead_of_an_answer(faulty, wire, until):
    proxy, server, logged = faulty({"kind": "reset"})
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        client.reader.read()
    assert server.asked == []
    (line,) = logged(until)
    assert (line["fault"], line["end"], line["status"]) == ("reset", "fault", None)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_half_an_answer_is_cut_off_in_its_body(faulty, wire, until, share):
    body = bytes(400_000)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    proxy, _, logged = faulty({"kind": "half", "share": share}, script=lambda _: answer)
    client = wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    got = b""
    with pytest.raises(ConnectionResetError):
        while data := client.sock.recv(65536):
            got += data
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(got.partition(b"\r\n\r\n")[2]) <= share * len(body)
    (line,) = logged(until)
    assert (line["fault"], line["end"]) == ("half", "fault")


def test_bandwidth_bounds_how_fast_an_answer_comes(faulty, wire):
    body = bytes(range(256)) * 80
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    proxy, _, _ = faulty({"kind": "bandwidth", "rate": "100KiB/s"}, script=lambda _: answer)
    client = wire(proxy)
    start = time.monotonic()
    assert client.ask().body == body
    assert time.monotonic() - start >= 0.8 * len(body) / (100 * 1024)


def test_faults_strike_by_chance_one_by_one_and_the_seed_decides(faulty, wire, until):
    faults = ({"kind": "latency", "delay": "1us", "probability": 0.5},
              {"kind": "error", "probability": 0.3})  # fmt: skip
    seen = []
    for _ in range(2):
        proxy, _, _ = faulty(*faults, seed=5)
        client = wire(proxy)
        seen.append([client.ask().status for _ in range(60)])
    assert seen[0] == seen[1]
    assert 8 <= seen[0].count(503) <= 30


def test_a_stored_answer_is_struck_too_and_the_next_one_is_whole(faulty, wire):
    fields = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello"
    proxy, server, _ = faulty(
        {"kind": "error", "probability": 0.4}, script=lambda _: fields, caching=True, seed=1
    )
    client = wire(proxy)
    answers = [client.ask() for _ in range(40)]
    assert {answer.status for answer in answers} == {200, 503}
    assert len(server.asked) == 1
    assert all(answer.body == b"hello" for answer in answers if answer.status == 200)


def test_other_routes_are_left_alone(serve, origin, wire):
    server = origin()
    proxy = serve(
        route=[
            Route(when={"path": "/bad"}, to="web", fault=[{"kind": "error"}]),
            Route(to="web"),
        ],
        service={"web": Service(upstreams=[server.address])},
    )
    client = wire(proxy)
    assert [client.ask(path).status for path in ("/bad", "/good", "/bad")] == [503, 200, 503]


def test_every_kind_of_the_schema_has_its_plug_in():
    schema = (Bandwidth, Error, Half, Latency, Reset)
    assert set(KINDS) == {kind.model_fields["kind"].annotation.__args__[0] for kind in schema}


def test_a_kind_can_be_replaced_by_another_plug_in(faulty, wire, monkeypatch):
    monkeypatch.setitem(KINDS, "latency", KINDS["latency"])
    heard = []

    @fault("latency")
    def hear(settings: Latency, _: FaultTarget) -> None:
        heard.append(settings.delay)

    proxy, _, _ = faulty({"kind": "latency", "delay": "60s"})
    assert wire(proxy).ask().status == 200
    assert heard == [60.0]


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"fault": [{"kind": "lightning"}]}, "route.0.fault.0"),
        ({"fault": [{"kind": "latency"}]}, "route.0.fault.0"),
        ({"fault": [{"kind": "error", "probability": 2}]}, "route.0.fault.0"),
        ({"fault": [{"kind": "half"}], "cache": {"coalesce": True}}, "cache.coalesce shares it"),
    ],
)
def test_wrong_faults_get_one_line(route, said):
    data = {"route": [{"to": "web", **route}], "service": {"web": {"upstreams": "127.0.0.1:9001"}}}
    with pytest.raises(BadInput) as problem:
        parse_settings(data, "proxy.toml")
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)
