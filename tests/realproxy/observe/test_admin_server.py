"""The admin port: the state of the proxy, for permitted clients."""

import json
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from realproxy import Cache, Forward, Limits, Match, Proxy, Route
from realproxy.observe import admin_pages as pages

ADMIN = "127.0.0.1:0"


def get(proxy, path: str, **headers: str) -> bytes:
    request = urllib.request.Request(proxy.admin_url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def refused(proxy, path: str, method: str = "GET", **headers: str) -> int:
    request = urllib.request.Request(proxy.admin_url + path, headers=headers, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    caught.value.close()
    return caught.value.code


def samples(proxy) -> dict[tuple[str, ...], float]:
    """Every sample of /metrics, by its name and its labels' values in the order of their names."""
    families = text_string_to_metric_families(get(proxy, "/metrics").decode())
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def shop(origin, serve):
    server = origin(
        lambda _: b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello"
    )
    route = [Route(when=Match(path="/no"), respond=403), Route(to="web", cache=True)]
    return serve(server, route=route, admin=ADMIN), server.address


def test_stats_are_those_of_the_python_api(shop, wire, until):
    proxy, _ = shop
    for _ in range(2):
        wire(proxy).ask()
    until(lambda: sum(row["count"] for row in proxy.stats()["traffic"]) == 2)
    told, known = json.loads(get(proxy, "/stats")), proxy.stats()
    assert told.keys() == known.keys()
    assert (told["requests"], told["hits"], told["misses"]) == (2, 1, 1)
    assert told["traffic"] == known["traffic"]


def test_metrics_tell_requests_apart_by_route_service_upstream_and_status(shop, wire, until):
    proxy, upstream = shop
    client = wire(proxy)
    for target in ("/", "/", "/", "/no"):
        client.ask(target)
    until(lambda: sum(row["count"] for row in proxy.stats()["traffic"]) == 4)
    found = samples(proxy)
    assert found["proxytwin_requests_total", "miss", "1", "web", "reverse", "200", upstream] == 1
    assert found["proxytwin_requests_total", "hit", "1", "web", "reverse", "200", ""] == 2
    assert found["proxytwin_requests_total", "", "0", "", "reverse", "403", ""] == 1
    assert found["proxytwin_sent_bytes_total", "hit", "1", "web", "reverse", "200", ""] == 10
    assert found["proxytwin_upstream_requests_total", "web", upstream] == 1
    assert (found["proxytwin_hits_total",], found["proxytwin_misses_total",]) == (2, 1)
    assert found["proxytwin_connections",] == 1
    assert found["proxytwin_ends_total", "done"] == 4


def test_metrics_split_the_time_of_a_request(origin, serve, wire, until):
    import time

    def slow(_):
        time.sleep(0.03)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    server = origin(slow)
    proxy = serve(server, admin=ADMIN)
    wire(proxy).ask()
    until(lambda: proxy.stats()["traffic"])
    found = samples(proxy)
    labels = ("", "0", "web", "reverse", "200", server.address)
    first_byte = found["proxytwin_first_byte_seconds_sum", *labels]
    buckets = {
        key[2]: count for key, count in found.items() if key[0] == "proxytwin_first_byte_seconds_bucket"
    }
    assert 0.03 <= first_byte <= found["proxytwin_total_seconds_sum", *labels]
    assert (buckets["0.02"], buckets["+Inf"]) == (0, 1)
    assert found["proxytwin_connect_seconds_count", *labels] == 1
    total = found["proxytwin_total_seconds_sum", *labels]
    assert 0 <= found["proxytwin_queue_seconds_sum", *labels] <= total - first_byte


def test_targets_of_forward_requests_are_not_told_apart(origin, serve, wire, until):
    """Else any client could make the metrics grow without end."""
    server = origin()
    proxy = serve(forward=Forward(private_targets=True), admin=ADMIN)
    client = wire(proxy)
    for number in range(3):
        client.ask(f"http://{server.address}/{number}")
    until(lambda: [row["count"] for row in proxy.stats()["traffic"]] == [3])
    assert proxy.stats()["traffic"][0]["upstream"] == ""


def test_recent_requests_come_latest_first(shop, wire, until):
    proxy, _ = shop
    client = wire(proxy)
    for target in ("/a", "/b", "/no"):
        client.ask(target)
    until(lambda: len(json.loads(get(proxy, "/recent"))) == 3)
    recent = json.loads(get(proxy, "/recent"))
    assert [(line["target"], line["status"]) for line in recent] == [("/no", 403), ("/b", 200), ("/a", 200)]


def test_the_effective_settings_are_shown_with_their_defaults(shop):
    proxy, upstream = shop
    config = json.loads(get(proxy, "/config"))
    assert config["service"]["web"]["upstreams"] == [{"address": upstream, "weight": 1.0}]
    assert config["limits"]["header_timeout"] == Limits().header_timeout
    assert config["cache"]["policy"] == Cache().policy


def test_secrets_are_masked():
    from realproxy.observe.admin_pages import masked

    settings = {
        "forward": {"auth": {"alice": "wonder", "bob": None}, "parent": "socks5://u:pass@127.0.0.1:1"},
        "route": [{"to": "web", "when": {"header": {"X": "1"}}}],
        "limits": {"head": 5},
    }
    shown = masked(settings)
    assert shown["forward"] == {"auth": {"alice": "***", "bob": None}, "parent": "socks5://***@127.0.0.1:1"}
    assert (shown["route"], shown["limits"]) == (settings["route"], settings["limits"])


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/stats", {"Host": "evil.test"}, 403),  # a name that was made to point here
        ("GET", "/stats", {"Origin": "http://evil.test"}, 403),
        ("POST", "/stats", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/stats", {"Origin": "null"}, 403),
        ("POST", "/stats", {}, 405),
        ("GET", "/nothing", {}, 404),
    ],
)
def test_what_a_web_page_could_do_is_refused(shop, method, path, headers, status):
    assert refused(shop[0], path, method, **headers) == status


def test_nobody_reaches_it_through_the_proxy(serve, wire):
    """What comes from the proxy would seem to be local."""
    proxy = serve(forward=Forward(private_targets=True), admin=ADMIN)
    target = proxy.admin_url.removeprefix("http://")
    answer = wire(proxy).ask(f"http://{target}/config", host=target)
    assert (answer.status, b"admin port" in answer.body) == (403, True)


def test_localhost_and_addresses_may_ask(shop):
    proxy, _ = shop
    port = proxy.admin_url.rpartition(":")[2]
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert get(proxy, "/stats", Host=f"{host}:{port}", Origin=f"http://{host}:{port}")


def test_a_request_that_is_none_is_refused(shop, wire):
    port = int(shop[0].admin_url.rpartition(":")[2])
    for data, status in [
        ("garbage\r\n\r\n", 400),
        ("GET http://127.0.0.1/stats HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        ("GET /stats HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + "x" * 70_000, 413),
    ]:
        assert wire(port).send(data).answer().status == status


ODD = [
    "http://[", "http://[v1.]", "http://[127.0.0.1]", "http://]", "http://a@127.0.0.1", "http://127.0.0.1/",
    "//", "127.0.0.1", "http://127.0.0.1:x", "http://\xe9", "http://%31", "http://[::1%25lo]", "", "\xff",
]  # fmt: skip


@pytest.fixture
def told(monkeypatch):
    """What is said of faults."""
    faults = []
    monkeypatch.setattr(threading, "excepthook", lambda args: faults.append(args.exc_type))
    return faults


@pytest.mark.parametrize("odd", ODD)
def test_whatever_is_sent_is_answered(told, shop, wire, odd):
    port = int(shop[0].admin_url.rpartition(":")[2])
    form = f"url={odd}"
    for lines, statuses in [
        (f"GET /stats HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {odd}\r\n\r\n", {403}),
        (f"GET /stats HTTP/1.1\r\nHost: {odd}\r\n\r\n", {200, 400, 403}),
        (f"POST /purge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(form)}\r\n\r\n{form}", {200, 400}),
        (f"POST /purge?{form} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", {200, 400}),
    ]:
        assert wire(port).send(lines).answer().status in statuses
    assert told == []


@pytest.mark.parametrize("fault", [ZeroDivisionError, OSError])
def test_a_fault_of_a_page_is_answered_and_told_once(told, shop, monkeypatch, fault):
    def broken(_):
        raise fault

    monkeypatch.setattr(pages, "_json", broken)
    assert [refused(shop[0], path) for path in ("/stats", "/stats", "/recent")] == [500] * 3
    assert told == [fault]
    monkeypatch.undo()
    assert get(shop[0], "/stats")


def test_one_who_says_nothing_does_not_keep_others_waiting(shop, wire):
    port = int(shop[0].admin_url.rpartition(":")[2])
    for _ in range(5):
        wire(port)
    assert get(shop[0], "/stats")


def test_without_an_admin_key_there_is_no_port(origin, serve, wire):
    proxy = serve(origin())
    wire(proxy).ask()
    assert proxy.admin_url == ""
    assert proxy.stats()["traffic"] == []


def test_a_port_in_use_is_one_line(shop):
    from realproxy import BadInput

    taken = shop[0].admin_url.removeprefix("http://")
    with pytest.raises(BadInput, match=r"admin: port \d+ is in use"):
        Proxy(route=[Route(respond=204)], admin=taken).start()


def test_the_ready_line_names_the_admin_port(child):
    proxy = child('admin = "127.0.0.1:0"\nroute = [{ respond = 204 }]')
    with urllib.request.urlopen(proxy.ready["admin"] + "/stats", timeout=30) as answer:
        assert json.load(answer)["requests"] == 0


def test_metrics_tell_of_splits_canaries_and_mirrors(origin, serve, wire, until):
    good, bad, copy = (
        origin(lambda _, status=status: b"HTTP/1.1 %d Oh\r\nContent-Length: 0\r\n\r\n" % status)
        for status in (200, 500, 200)
    )
    addresses = {"api": good.address, "new": bad.address, "copy": copy.address}
    service = {name: {"upstreams": [address]} for name, address in addresses.items()}
    mirror = {"to": "copy"}
    split = {"to": {"api": 3, "new": 1}, "canary": {"watch": "new"}, "mirror": mirror}
    route = [split, {"to": "api", "mirror": mirror, "when": {"path": "/never"}}]
    proxy = serve(route=route, service=service, admin=ADMIN, seed=1)
    client = wire(proxy)
    for _ in range(60):
        client.ask()
    until(lambda: sum(mirror["sent"] for mirror in proxy.stats()["mirrors"]) == 60)
    found, (state, *_) = samples(proxy), proxy.stats()["splits"]
    assert found["proxytwin_arm_requests_total", "api", "0"] == 60 - len(bad.asked)
    assert found["proxytwin_arm_requests_total", "new", "0"] == len(bad.asked)
    assert (found["proxytwin_arm_share", "api", "0"], found["proxytwin_arm_share", "new", "0"]) == (1, 0)
    assert found["proxytwin_canary_evidence", "new", "0"] == state["canary"]["evidence"] >= 20
    assert found["proxytwin_canary_evidence_limit", "new", "0"] == 20
    assert found["proxytwin_canary_state", "new", "0", "rolled back"] == 1
    assert found["proxytwin_mirror_copies_total", "sent", "copy"] == 60
    assert found["proxytwin_mirror_copies_total", "skipped", "copy"] == 0
    assert found["proxytwin_mirror_in_flight", "copy"] == 0


def test_without_splits_and_mirrors_there_are_no_metrics_of_them(shop):
    names = " ".join(key[0] for key in samples(shop[0]))
    assert not any(word in names for word in ("_arm_", "_canary_", "_mirror_"))
