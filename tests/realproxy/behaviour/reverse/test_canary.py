"""Canary deployment on real sockets: shares, stickiness, the watch, and copies for a mirror."""

from __future__ import annotations

import threading
import urllib.request

import pytest

from policies.bad_input import BadInput

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
BAD = b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nbad"


@pytest.fixture
def split(origin, serve):
    """A proxy whose one route splits requests; returns it, the stable origin and the canary's."""

    def start(route: dict | None = None, weights=(95, 5), services=None, **keywords):
        stable, canary = origin(lambda _: GOOD), origin(lambda _: GOOD)
        service = {"api": {"upstreams": [stable.address]}, "new": {"upstreams": [canary.address]}}
        for name, more in (services or {}).items():
            service.setdefault(name, {}).update(more)
        to = dict(zip(("api", "new"), weights, strict=True))
        proxy = serve(route=[{"to": to, **(route or {})}], service=service, seed=1, **keywords)
        return proxy, stable, canary

    return start


def test_requests_are_split_by_weight(split, wire):
    """400 requests at one half each, from a fixed seed: within 4.42 standard deviations of 200."""
    proxy, stable, canary = split(weights=(1, 1))
    client = wire(proxy)
    for _ in range(400):
        assert client.ask("/").status == 200
    assert len(stable.asked) + len(canary.asked) == 400
    assert abs(len(canary.asked) - 200) <= 44
    (state,) = proxy.stats()["splits"]
    assert state["arms"]["new"] == {"weight": 1.0, "share": 0.5, "requests": len(canary.asked)}


def test_a_client_without_a_cookie_gets_one_and_stays(split, wire):
    proxy, _, canary = split({"sticky": "cookie:arm"}, weights=(1, 1))
    client = wire(proxy)
    cookies = {}
    for _ in range(20):
        before = len(canary.asked)
        answer = client.ask("/")
        value = answer["set-cookie"].partition(";")[0]
        assert answer["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax")
        cookies[value] = len(canary.asked) > before
    assert set(cookies.values()) == {True, False}
    for value, is_canary in cookies.items():
        before = len(canary.asked)
        answer = client.ask("/", "GET", f"Cookie: {value}")
        assert (len(canary.asked) > before, answer["set-cookie"]) == (is_canary, None)


def test_an_override_visits_an_arm(split, wire):
    proxy, stable, canary = split({"override": {"header": "X-Arm"}})
    client = wire(proxy)
    for _ in range(10):
        client.ask("/", "GET", "X-Arm: new")
    assert (len(stable.asked), len(canary.asked)) == (0, 10)


def test_an_arm_that_is_a_status_is_answered_by_the_proxy(origin, serve, wire):
    server = origin(lambda _: GOOD)
    proxy = serve(
        route=[{"to": {"web": 1, "500": 1}}], service={"web": {"upstreams": [server.address]}}, seed=1
    )
    client = wire(proxy)
    statuses = [client.ask("/").status for _ in range(100)]
    assert statuses.count(500) == 100 - len(server.asked)
    assert 20 < statuses.count(500) < 80


def test_a_bad_canary_is_rolled_back_and_stays_so(split, wire, tmp_path):
    log = tmp_path / "access.log"
    proxy, _, canary = split(
        {"canary": {"watch": "new"}}, weights=(1, 1), log={"file": str(log)}, admin="127.0.0.1:0"
    )
    canary.script = lambda _: BAD
    client = wire(proxy)
    for _ in range(100):
        client.ask("/")
    (state,) = proxy.stats()["splits"]
    assert state["canary"]["state"] == "rolled back"
    assert state["arms"]["new"]["share"] == 0.0
    assert "answers of the canary were bad" in state["canary"]["changes"][0]["reason"]
    seen = len(canary.asked)
    assert seen < 20
    for _ in range(100):
        assert client.ask("/").status == 200
    assert len(canary.asked) == seen
    proxy.stop()
    assert log.read_text(encoding="utf-8").count('"decision": "canary of route.0: rolled back at 0.00%') == 1


def test_a_good_canary_is_promoted_in_steps(split, wire):
    canary = {"watch": "new", "steps": [0.6, 1.0], "acceptable": 0.5, "alpha": 0.01}
    proxy, stable, _ = split({"canary": canary}, weights=(1, 1))
    client = wire(proxy)
    for _ in range(100):
        assert client.ask("/").status == 200
    (state,) = proxy.stats()["splits"]
    assert state["canary"]["state"] == "promoted"
    assert [change["weight"] for change in state["canary"]["changes"]] == [0.6, 1.0]
    before = len(stable.asked)
    client.ask("/")
    assert len(stable.asked) == before


def test_failover_and_retries_stay_inside_the_arm_and_count(split, wire, nobody):
    services = {"new": {"upstreams": [f"127.0.0.1:{nobody}"], "retry": {"attempts": 3}}}
    proxy, stable, _ = split({"canary": {"watch": "new"}, "override": {"header": "X-Arm"}}, services=services)
    client = wire(proxy)
    assert client.ask("/", "GET", "X-Arm: new").status == 502
    assert stable.asked == []
    assert proxy.stats()["splits"][0]["canary"]["figures"].startswith("0 of 0")  # a tester's visit


def test_hits_and_the_proxys_own_refusals_count_for_no_arm(split, wire):
    services = {"api": {"rate": "1/s"}, "new": {"rate": "1/s"}}
    proxy, stable, canary = split({"canary": {"watch": "new"}, "cache": {"ttl": "1h"}}, services=services)
    client = wire(proxy)
    for _ in range(50):
        client.ask("/hit")
    for number in range(20):
        client.ask(f"/{number}")
    forwarded = len(stable.asked) + len(canary.asked)
    assert proxy.stats()["answers"].get("429")
    figures = proxy.stats()["splits"][0]["canary"]["figures"]
    words = [int(word) for word in figures.replace(",", "").split() if word.isdigit()]
    assert words[1] + words[3] == forwarded


def test_a_hanging_canary_is_judged_at_its_deadline(split, wire):
    stuck = threading.Event()
    proxy, _, canary = split({"canary": {"watch": "new"}, "try_timeout": "20ms"}, weights=(1, 1))
    canary.script = lambda _: GOOD if stuck.wait(20) else None
    client = wire(proxy)
    try:
        for _ in range(60):
            client.ask("/")
        assert proxy.stats()["splits"][0]["canary"]["state"] == "rolled back"
    finally:
        stuck.set()


def test_weights_are_changed_by_hand_and_a_new_watch_begins(split, wire):
    proxy, _, canary = split({"canary": {"watch": "new"}}, weights=(1, 1), admin="127.0.0.1:0")
    canary.script = lambda _: BAD
    client = wire(proxy)
    for _ in range(60):
        client.ask("/")
    assert proxy.stats()["splits"][0]["canary"]["state"] == "rolled back"
    canary.script = lambda _: GOOD
    url = f"{proxy.admin_url}/weights?route=0&api=1&new=3"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as answer:
        assert answer.status == 200
    (state,) = proxy.stats()["splits"]
    assert (state["canary"]["state"], state["arms"]["new"]["share"]) == ("watching", 0.75)
    for weights, problem in (
        ({"old": 1}, "old: expected one of api, new"),
        ({"api": 0, "new": 0}, "above 0"),
    ):
        with pytest.raises(BadInput, match=problem):
            proxy.set_weights(0, weights)
    with pytest.raises(BadInput, match=r"route\.7"):
        proxy.set_weights(7, {"api": 1})


def test_a_reload_keeps_a_rollback_and_a_changed_route_begins_anew(split, wire):
    proxy, _, canary = split({"canary": {"watch": "new"}}, weights=(1, 1))
    canary.script = lambda _: BAD
    client = wire(proxy)
    for _ in range(60):
        client.ask("/")
    settings = proxy.settings
    proxy.reload(settings.model_copy(update={"trace": False}))
    assert proxy.stats()["splits"][0]["canary"]["state"] == "rolled back"
    route = settings.route[0].model_copy(update={"to": {"api": 9.0, "new": 1.0}})
    proxy.reload(settings.model_copy(update={"route": (route,)}))
    (state,) = proxy.stats()["splits"]
    assert (state["canary"]["state"], state["arms"]["new"]["share"]) == ("watching", 0.1)


def test_copies_go_to_the_mirror_and_its_answers_nowhere(origin, serve, wire, until):
    web, copy = origin(lambda _: GOOD), origin(lambda _: BAD)
    proxy = serve(
        route=[{"to": "web", "mirror": {"to": "copy", "body": "8B"}}],
        service={"web": {"upstreams": [web.address]}, "copy": {"upstreams": [copy.address]}},
    )
    client = wire(proxy)
    assert client.ask("/a?b").body == b"good"
    client.send(b"POST /c HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello")
    assert client.answer().body == b"good"
    client.send(b"POST /d HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 9\r\n\r\n123456789")
    assert client.answer().body == b"good"
    until(lambda: proxy.stats()["mirrors"][0]["sent"] == 2)
    assert {(asked.target, asked.body, asked["host"]) for asked in copy.asked} == {
        ("/a?b", b"", "shop.test"),
        ("/c", b"hello", "shop.test"),
    }
    assert proxy.stats()["mirrors"] == [{"to": "copy", "sent": 2, "failed": 2, "skipped": 1, "in_flight": 0}]
    assert proxy.stats()["requests"] == 3


def test_a_mirror_that_hangs_costs_the_client_nothing(origin, serve, wire, until):
    stuck = threading.Event()
    web, copy = origin(lambda _: GOOD), origin(lambda _: GOOD if stuck.wait(20) else None)
    proxy = serve(
        route=[{"to": "web", "mirror": {"to": "copy", "in_flight": 2}}],
        service={"web": {"upstreams": [web.address]}, "copy": {"upstreams": [copy.address]}},
    )
    client = wire(proxy)
    try:
        for _ in range(50):
            assert client.ask("/").status == 200
        until(lambda: len(copy.asked) == 2)
        assert proxy.stats()["mirrors"][0]["skipped"] == 48
    finally:
        stuck.set()


@pytest.mark.parametrize(
    ("hash_on", "first", "second"),
    [
        ("path", ("/a?1",), ("/a?2",)),
        ("header:X-User", ("/a", "GET", "X-User: ann"), ("/b", "GET", "X-User: ann")),
        ("cookie:basket", ("/a", "GET", "Cookie: x=1; basket=7"), ("/b", "GET", "Cookie: basket=7")),
    ],
)
def test_hashing_balancers_hash_what_the_service_names(origin, serve, wire, hash_on, first, second):
    servers = [origin(lambda _: GOOD) for _ in range(4)]
    upstreams = [server.address for server in servers]
    service = {"web": {"upstreams": upstreams, "balance": "rendezvous_hash", "hash_on": hash_on}}
    proxy = serve(route=[{"to": "web"}], service=service)
    client = wire(proxy)
    for _ in range(5):
        client.ask(*first)
        client.ask(*second)
    assert sorted(len(server.asked) for server in servers) == [0, 0, 0, 10]
    used = set()
    for number in range(40):
        value = {"path": (f"/{number}",), "header": ("/", "GET", f"X-User: {number}")}.get(
            hash_on.partition(":")[0], ("/", "GET", f"Cookie: basket={number}")
        )
        client.ask(*value)
        used = {place for place, server in enumerate(servers) if server.asked}
    assert len(used) > 1


def test_a_rollback_under_load_loses_no_request(split, wire):
    """Sixteen clients at once; the canary breaks its connections, and a retry stays with it."""
    proxy, _, canary = split({"canary": {"watch": "new"}}, weights=(3, 1))
    canary.script = lambda asked: BAD if asked.target.endswith("0") else None
    statuses: list[int] = []

    def ask_many() -> None:
        client = wire(proxy)
        statuses.extend(client.ask(f"/{number}").status for number in range(100))

    threads = [threading.Thread(target=ask_many) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(statuses) == 1600
    assert proxy.stats()["splits"][0]["canary"]["state"] == "rolled back"
    assert set(statuses) <= {200, 500, 502}
    assert statuses.count(200) > 1400
