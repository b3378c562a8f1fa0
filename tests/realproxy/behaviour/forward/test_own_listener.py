"""The forward side on a listener of its own, and services as hosts: what a sidecar's programs ask."""

import json
import subprocess
import threading

import pytest

from policies.bad_input import BadInput
from policies.settings import parse_settings
from realproxy import Forward, Proxy, Route, Service
from realproxy.control.explain import explain

ANYWHERE = "127.0.0.1:0"
OWN = Forward(listen=ANYWHERE, private_targets=True)
NAMED = Forward(listen=ANYWHERE, services=True)
ONLY = Forward(listen=ANYWHERE, services="only", private_targets=True)


@pytest.fixture
def sidecar(origin, serve):
    """A proxy whose forward side knows the service ``cart``, and the origin behind that."""

    def start(forward: Forward = NAMED, **keywords):
        server = origin()
        keywords.setdefault("route", [Route(to="cart")])
        keywords.setdefault("service", {"cart": Service(upstreams=[server.address])})
        return serve(forward=forward, **keywords), server

    return start


# --- two listeners ---------------------------------------------------------------------------------


def test_each_listener_serves_its_side_alone(origin, serve, wire):
    away, web = origin(), origin()
    proxy = serve(web, forward=OWN)
    assert proxy.forward_port != proxy.port and proxy.forward_url == f"http://127.0.0.1:{proxy.forward_port}"
    assert wire(proxy).ask("/").status == 200
    assert wire(proxy).ask(f"http://{away.address}/", host=away.address).status == 200
    assert wire(proxy.forward_port).ask(f"http://{away.address}/x", host=away.address).status == 200
    assert [asked.target for asked in web.asked] == ["/", "/"]  # an absolute target, too: it is for a route
    assert [asked.target for asked in away.asked] == ["/x"]
    assert wire(proxy).ask(web.address, "CONNECT").status == 405
    assert (proxy.stats()["accepted"], proxy.stats()["accepted_forward"]) == (4, 1)


def test_without_a_listener_of_its_own_the_forward_side_answers_where_the_reverse_side_does(serve):
    assert serve(forward=Forward()).forward_url.startswith("http://")
    assert serve(route=[Route(respond=200)]).forward_url == ""


def test_the_listener_of_the_forward_side_refuses_what_only_a_server_is_asked(serve, wire):
    proxy = serve(forward=OWN, route=[Route(respond=204)])
    answer = wire(proxy.forward_port).ask("/")
    assert answer.status == 400 and b"serves the forward side" in answer.body
    assert wire(proxy.forward_port).ask("*", "OPTIONS").status == 400


def test_socks_is_spoken_on_the_listener_of_the_forward_side_alone(serve, wire):
    proxy = serve(forward=OWN, route=[Route(respond=204)])
    assert wire(proxy.forward_port).send(b"\x05\x01\x00").reader.read(2) == b"\x05\x00"
    assert wire(proxy).send(b"\x05\x01\x00\r\n\r\n").answer().status == 400


def test_the_forward_side_does_not_lead_to_the_proxy_itself(serve, wire):
    proxy = serve(forward=OWN, route=[Route(respond=204)])
    for port in (proxy.port, proxy.forward_port):
        answer = wire(proxy.forward_port).ask(f"http://127.0.0.1:{port}/", host=f"127.0.0.1:{port}")
        assert answer.status == 403 and b"this proxy itself" in answer.body


def test_an_address_in_use_is_one_line_and_leaves_nothing_open(serve, wire):
    first = serve(route=[Route(respond=204)])
    with pytest.raises(BadInput, match=r"^settings: forward\.listen: port \d+ is in use") as refusal:
        Proxy(forward=Forward(listen=f"127.0.0.1:{first.port}")).start()
    assert "\n" not in str(refusal.value)
    assert wire(first).ask("/").status == 204


def test_the_listener_cannot_change_while_the_proxy_runs(sidecar):
    proxy, _ = sidecar()
    for forward in (None, Forward(), Forward(listen="127.0.0.1:1")):
        with pytest.raises(BadInput, match=r"forward\.listen: cannot change"):
            proxy.reload(proxy.settings.model_copy(update={"forward": forward}))


def test_no_request_is_lost_on_either_listener_while_settings_change(sidecar, wire):
    proxy, _ = sidecar()
    failed, ended = [], threading.Event()

    def ask(port: int, target: str) -> None:
        client = wire(port)
        while not ended.is_set():
            answer = client.ask(target, host="cart")
            if answer.status != 200:
                failed.append((port, answer.line))

    threads = [
        threading.Thread(target=ask, args=where)
        for where in ((proxy.port, "/"), (proxy.forward_port, "http://cart/"), (proxy.forward_port, "/"))
    ]
    for thread in threads:
        thread.start()
    for threads_at_once in (100, 200) * 5:
        limits = proxy.settings.limits.model_copy(update={"threads": threads_at_once})
        proxy.reload(proxy.settings.model_copy(update={"limits": limits}))
    ended.set()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_stopping_proxy_ends_the_requests_of_both_listeners(origin, serve, wire):
    release = threading.Event()

    def slowly(_):
        release.wait(30)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate"

    server = origin(slowly)
    proxy = serve(
        forward=NAMED, route=[Route(to="cart")], service={"cart": Service(upstreams=[server.address])}
    )
    target = {proxy.port: "/", proxy.forward_port: "http://cart/"}
    clients = [wire(port).send(f"GET {path} HTTP/1.1\r\nHost: cart\r\n\r\n") for port, path in target.items()]
    while len(server.asked) < 2:
        threading.Event().wait(0.002)
    stopping = threading.Thread(target=proxy.stop)
    stopping.start()
    release.set()
    assert [client.answer().body for client in clients] == [b"late", b"late"]
    stopping.join()


def test_several_processes_share_both_listeners(child, wire, origin):
    server = origin()
    proxy = child(
        f"workers = 2\nlisten = '{ANYWHERE}'\nforward = {{ listen = '{ANYWHERE}', services = true }}\n"
        f"service.cart.upstreams = '{server.address}'\nroute = [{{ to = 'cart' }}]\nadmin = '{ANYWHERE}'\n"
    )
    forward = int(proxy.ready["forward"].rpartition(":")[2])
    for _ in range(4):
        assert wire(proxy.port).ask("/").status == 200
        assert wire(forward).ask("http://cart/", host="cart").status == 200
    answer = wire(int(proxy.ready["admin"].rpartition(":")[2])).ask("/stats", host="127.0.0.1")
    stats = json.loads(answer.body)
    assert (stats["accepted"], stats["accepted_forward"], len(stats["processes"])) == (8, 4, 2)


def test_the_file_for_browsers_names_the_listener_of_the_forward_side(sidecar, wire):
    proxy, _ = sidecar(admin=ANYWHERE)
    text = wire(int(proxy.admin_url.rpartition(":")[2])).ask("/proxy.pac", host="127.0.0.1").body.decode()
    assert f"PROXY 127.0.0.1:{proxy.forward_port}" in text
    assert '["cart"].indexOf(host.toLowerCase())' in text


# --- services as hosts -----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["http://cart/items?a=1", "http://CART:8080/items?a=1", "/items?a=1"])
def test_the_name_of_a_service_is_a_host(sidecar, wire, target):
    proxy, server = sidecar()
    host = "cart" if target.startswith("/") else target.split("/")[2]
    assert wire(proxy.forward_port).ask(target, host=host).status == 200
    [asked] = server.asked
    assert (asked.target, asked["Host"]) == ("/items?a=1", host.lower())


def test_private_targets_does_not_matter_for_services(sidecar, wire):
    proxy, server = sidecar(Forward(listen=ANYWHERE, services=True, private_targets=False, block=["*"]))
    assert wire(proxy.forward_port).ask("http://cart/", host="cart").status == 200
    assert wire(proxy.forward_port).ask(f"http://{server.address}/", host=server.address).status == 403


def test_a_service_as_a_host_has_its_retries_and_its_breaker(origin, serve, wire):
    broken = origin(lambda _: b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    good = origin()
    service = Service(
        upstreams=[broken.address, good.address], retry={"attempts": 2}, breaker={"failures": 1}, rate="2/s",
        response={"set": {"X-Tier": "cart"}},
    )  # fmt: skip
    proxy = serve(forward=NAMED, service={"cart": service})
    client = wire(proxy.forward_port)
    answer = client.ask("http://cart/", host="cart")
    assert (answer.status, answer["X-Tier"], len(broken.asked)) == (200, "cart", 1)
    statuses = [client.ask("http://cart/", host="cart").status for _ in range(4)]
    assert statuses[-1] == 429
    assert proxy.stats()["upstreams"]["cart"][1]["requests"] >= 1


def test_only_services_can_be_reached_and_the_refusal_names_them(sidecar, wire):
    proxy, server = sidecar(ONLY)
    answer = wire(proxy.forward_port).ask(f"http://{server.address}/", host=server.address)
    assert answer.status == 403 and b"127.0.0.1 is none of cart" in answer.body
    assert wire(proxy.forward_port).ask("shop.test:443", "CONNECT").status == 403
    assert server.asked == []


def test_a_tunnel_to_a_service_is_refused_with_what_to_do(sidecar, wire):
    proxy, _ = sidecar(Forward(listen=ANYWHERE, services=True, connect_ports=[80]))
    answer = wire(proxy.forward_port).ask("cart:80", "CONNECT", host="cart:80")
    assert answer.status == 403
    assert "ask for http://cart/" in (answer["Proxy-Status"] or "")


def test_users_of_the_forward_side_must_authenticate_for_services_too(sidecar, wire):
    proxy, server = sidecar(Forward(listen=ANYWHERE, services=True, auth={"ann": "secret"}))
    assert wire(proxy.forward_port).ask("http://cart/", host="cart").status == 407
    assert b"cart" not in wire(proxy.forward_port).ask("/", host="other").body
    assert server.asked == []


def test_the_log_names_the_service(sidecar, wire, tmp_path):
    file = tmp_path / "access.log"
    proxy, server = sidecar(log={"file": str(file)})
    wire(proxy.forward_port).ask("http://cart/items", host="cart")
    proxy.stop()
    line = json.loads(file.read_text())
    assert (line["side"], line["route"], line["service"], line["upstream"]) == (
        "forward", None, "cart", server.address,
    )  # fmt: skip


def test_a_service_as_a_host_may_switch_protocols(origin, serve, wire):
    switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi"
    server = origin(lambda _: switched)
    proxy = serve(forward=NAMED, service={"cart": Service(upstreams=[server.address])})
    client = wire(proxy.forward_port)
    client.send(
        "GET http://cart/ HTTP/1.1\r\nHost: cart\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    assert client.head().status == 101
    assert client.reader.read(2) == b"hi"


def test_a_service_as_a_host_gets_the_span_of_the_proxy(origin, serve, wire):
    server = origin()
    proxy = serve(forward=NAMED, service={"cart": Service(upstreams=[server.address])})
    came = f"00-{'ab' * 16}-{'cd' * 8}-01"
    wire(proxy.forward_port).ask("http://cart/", "GET", f"traceparent: {came}", host="cart")
    [sent] = server.asked[0].all("traceparent")
    assert sent[:36] == came[:36] and sent[36:52] != came[36:52]


@pytest.mark.needs("curl")
def test_curl_asks_a_service_through_its_sidecar(sidecar):
    proxy, server = sidecar()
    command = ["curl", "-sS", "--max-time", "10", "-x", proxy.forward_url, "http://cart/items"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "hello"
    assert server.asked[0].target == "/items"


# --- mistakes --------------------------------------------------------------------------------------

CART = {"cart": {"upstreams": "127.0.0.1:1"}}


@pytest.mark.parametrize(
    ("forward", "service", "said"),
    [
        ({"services": True}, CART, "forward: services: expected 'listen' too"),
        ({"services": "all", "listen": ANYWHERE}, CART, "forward.services: expected true, false or 'only'"),
        ({"services": True, "listen": ANYWHERE}, {}, "forward.services: there is no [service.…] table"),
        ({"services": True, "listen": ANYWHERE, "protocols": ["connect"]}, CART, "expected 'http'"),
        ({"services": True, "listen": ANYWHERE}, CART | {"Cart": CART["cart"]}, "are one host"),
        ({"listen": "15001"}, CART, "forward.listen: expected 'host:port'"),
    ],
)
def test_a_sidecar_without_what_it_needs_is_one_line(forward, service, said):
    with pytest.raises(BadInput) as refusal:
        parse_settings({"forward": forward, "service": service}, "proxy.toml")
    assert said in str(refusal.value) and "\n" not in str(refusal.value)


# --- explained -------------------------------------------------------------------------------------


def explained(forward: dict, method: str, url: str) -> str:
    data = {"forward": forward, "service": CART, "route": [{"to": "cart"}]}
    return "\n".join(explain(parse_settings(data), method, url).lines())


def test_explain_tells_services_from_other_hosts():
    named = {"listen": ANYWHERE, "services": True}
    assert "forward: service cart, round_robin over 127.0.0.1:1" in explained(named, "GET", "http://cart/x")
    assert "reverse: service cart" in explained(named, "GET", "/x")
    assert "is none of cart" in explained({**named, "services": "only"}, "GET", "http://127.0.0.1/x")
    assert "is a service" in explained({**named, "connect_ports": [80]}, "CONNECT", "cart:80")
