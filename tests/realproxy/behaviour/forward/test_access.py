"""What the forward side lets through: users, block lists, addresses, and what it tells the origin."""

import errno
import json
import socket
import subprocess
import threading
import time

import pytest
import requests

from policies.addresses import is_private
from policies.basic_auth import basic
from realproxy import BadInput, Forward, Limits, Log, Proxy, Service, Tcp
from realproxy.net import resolver as resolving
from realproxy.net.address import is_own
from realproxy.proxying import forward_access as forwarding

CLIENT = "127.0.0.1"


def forward(**keys) -> Forward:
    return Forward(**{"private_targets": True, **keys})


@pytest.fixture
def names(monkeypatch):
    """Name service of the test: names to lists of addresses, one list for each question."""
    answers: dict[str, list[list[str]]] = {}
    system = socket.getaddrinfo

    def look_up(host, port, *arguments, **keywords):
        if host not in answers:
            return system(host, port, *arguments, **keywords)
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        families = [(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in found]
        return [(family, socket.SOCK_STREAM, 6, "", (ip, port or 0)) for family, ip in families]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


# --- block lists -------------------------------------------------------------------------------

BLOCKED = [
    (["*.ads.test"], "www.ads.test", "forward.block: *.ads.test"),
    (["~^track[0-9]*\\."], "track7.shop.test", "forward.block: ~^track[0-9]*\\."),
    (["spy.test"], "SPY.test.", "forward.block: spy.test"),
    (["127.0.0.0/8"], "127.1", "forward.block: 127.0.0.0/8"),
    (["127.0.0.0/8"], "[::ffff:127.0.0.1]", "forward.block: 127.0.0.0/8"),
    (["127.0.0.0/8"], "0", "forward.block: 127.0.0.0/8"),
    (["127.0.0.0/8"], "[::ffff:0.0.0.0]", "forward.block: 127.0.0.0/8"),
    (["::1"], "[::]", "forward.block: ::1"),
]


@pytest.mark.parametrize("method", ["GET", "CONNECT"])
@pytest.mark.parametrize(("block", "host", "rule"), BLOCKED)
def test_a_block_rule_is_named_in_the_answer_and_in_the_log(serve, wire, tmp_path, method, block, host, rule):
    log = tmp_path / "a.log"
    proxy = serve(forward=forward(block=block, connect_ports=[80]), log=Log(file=str(log)))
    answer = wire(proxy).ask(f"{host}:80" if method == "CONNECT" else f"http://{host}/", method)
    assert answer.status == 403
    assert rule in answer.body.decode()
    proxy.stop()
    line = json.loads(log.read_text())
    assert (line["status"], line["end"]) == (403, "refused")
    assert line["detail"].startswith(rule)


def test_a_name_is_blocked_by_the_network_that_it_leads_to(serve, wire, names):
    names["cdn.test"] = [["127.0.0.9"]]
    answer = wire(serve(forward=forward(block=["127.0.0.8/29"]))).ask("http://cdn.test/")
    assert answer.status == 403
    assert b"forward.block: 127.0.0.8/29 blocks cdn.test, which leads to 127.0.0.9" in answer.body


def test_of_several_addresses_only_a_free_one_is_dialled(origin, serve, wire, names):
    server = origin()
    names["both.test"] = [["127.0.0.9", "127.0.0.1"]]
    proxy = serve(forward=forward(block=["127.0.0.9"]))
    assert wire(proxy).ask(f"http://both.test:{server.port}/").body == b"hello"


def test_a_hosts_file_blocks_its_names(origin, serve, wire, tmp_path):
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("127.0.0.1 localhost\n0.0.0.0 ads.test spy.test\n", encoding="utf-8")
    server, proxy = origin(), serve(forward=forward(block_files=[str(hosts)]))
    client = wire(proxy)
    answer = client.ask("http://spy.test/")
    assert (answer.status, f"forward.block_files: {hosts} line 2" in answer.body.decode()) == (403, True)
    assert client.ask(f"http://localhost:{server.port}/").body == b"hello"


@pytest.mark.parametrize("text", [None, "0.0.0.0 a\nads b test\n"])
def test_a_hosts_file_that_cannot_be_read_is_one_line(tmp_path, text):
    hosts = tmp_path / "hosts.txt"
    if text is not None:
        hosts.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=r"^settings: forward.block_files: .*hosts.txt: (line 2|no such file)"):
        Proxy(forward=Forward(block_files=[str(hosts)])).start()


def test_what_is_stored_is_blocked_by_name_too(origin, serve, wire):
    fresh = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok"
    server = origin(lambda _: fresh)
    proxy = serve(forward=forward(cache=True, block=["localhost"]))
    assert wire(proxy).ask(f"http://127.0.0.1:{server.port}/").status == 200
    assert wire(proxy).ask(f"http://localhost:{server.port}/").status == 403


def test_a_reload_reads_hosts_files_again(serve, wire, tmp_path):
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("0.0.0.0 a.invalid\n", encoding="utf-8")
    proxy = serve(forward=forward(block_files=[str(hosts)]))
    assert [wire(proxy).ask(f"http://{name}.invalid/").status for name in "ab"] == [403, 502]
    hosts.write_text("0.0.0.0 b.invalid\n", encoding="utf-8")
    proxy.reload(proxy.settings)
    assert [wire(proxy).ask(f"http://{name}.invalid/").status for name in "ab"] == [502, 403]


# --- the address that is dialled ---------------------------------------------------------------


def test_a_name_that_changes_its_answer_does_not_get_round_the_check(origin, serve, wire, names, monkeypatch):
    """DNS rebinding: the address that was checked is the one that is dialled."""
    monkeypatch.setattr(forwarding, "is_private", lambda ip: ip != "127.0.0.1" and is_private(ip))
    server = origin()
    names["rebind.test"] = [["127.0.0.1"], ["127.0.0.9"]]  # passes for public when asked first
    proxy = serve(forward=Forward(), limits=Limits(drain="0s"))
    url = f"http://rebind.test:{server.port}/"
    assert wire(proxy).ask(url).body == b"hello"  # had it asked again to dial, it would be the other one
    time.sleep(resolving.REMEMBERED + 0.05)
    answer = wire(proxy).ask(url)
    assert (answer.status, b"leads to 127.0.0.9, which is private" in answer.body) == (403, True)
    assert len(server.asked) == 1


def here() -> str:
    """An address of this machine by which others know it; loopback if it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.254", 9))
        except OSError:
            return "127.0.0.9"
        return sock.getsockname()[0]


LOOPBACK = ["127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "[::127.0.0.1]", "[64:ff9b::7f00:1]",
            "0.0.0.0", "0", "[::]", "127.1", "0x7f.1", "017700000001", "2130706433", "localhost"]  # fmt: skip
EVERYWHERE = [*LOOPBACK, "127.0.0.9", "[::1]", "[::ffff:127.9.9.9]", here(), f"[::ffff:{here()}]"]


@pytest.mark.parametrize(("where", "spellings"), [("127.0.0.1", LOOPBACK), ("0.0.0.0", EVERYWHERE),
                                                  ("[::]", EVERYWHERE)])  # fmt: skip
def test_nobody_reaches_the_proxys_own_ports_however_they_are_written(origin, serve, wire, where, spellings):
    it = Service(upstreams=origin().address)
    proxy = serve(
        listen=f"{where}:0", admin=f"{where}:0", tcp=[Tcp(listen=f"{where}:0", to="it")],
        service={"it": it}, forward=forward(connect_ports=range(1, 65536)), limits=Limits(drain="0s"),
    )  # fmt: skip
    ports = {
        proxy.port: b"is this proxy itself",
        int(proxy.stats()["tcp"][0]["listen"].rpartition(":")[2]): b"is this proxy itself",
        int(proxy.admin_url.rpartition(":")[2]): b"admin port",
    }
    client = wire(proxy)
    for port, reason in ports.items():
        for host in spellings:
            answer = client.ask(f"http://{host}:{port}/stats")
            assert (host, answer.status, reason in answer.body) == (host, 403, True)
        refused = wire(proxy).ask(f"{spellings[1]}:{port}", "CONNECT")
        assert (refused.status, reason in refused.body) == (403, True)


@pytest.mark.parametrize(
    ("host", "own", "leads_there"),
    [
        ("127.0.0.2", "127.0.0.1", False),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("::1", "::1", True),
        ("::1%lo", "::", True),
        (here(), "0.0.0.0", True),
        (here(), "::", True),
        ("203.0.113.9", "0.0.0.0", False),
        ("2001:db8::9", "::", False),
        ("fe80::dead:beef", "::", False),
    ],
)
def test_what_leads_to_a_listener(host, own, leads_there):
    assert is_own((host, 8080), (own, 8080)) == leads_there
    assert not is_own((host, 8081), (own, 8080))


def test_who_cannot_find_out_whether_an_address_is_its_own_does_not_connect(monkeypatch):
    def no_descriptors(*_):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(socket, "socket", no_descriptors)
    assert is_own(("203.0.113.9", 8080), ("0.0.0.0", 8080))


def test_a_name_server_that_does_not_answer_is_not_waited_for(serve, wire, monkeypatch):
    asked, release = [], threading.Event()

    def hangs(host):
        asked.append(host)
        release.wait(30)
        return []

    proxy = serve(forward=forward(), limits=Limits(connect_timeout="200ms", drain="0s"))
    monkeypatch.setattr("realproxy.net.resolver.look_up", hangs)
    start = time.monotonic()
    answers = []
    clients = [
        wire(proxy).send("GET http://slow.test/ HTTP/1.1\r\nHost: slow.test\r\n\r\n") for _ in range(8)
    ]
    answers = [client.answer() for client in clients]
    assert {answer.status for answer in answers} == {504}
    assert b"slow.test was not resolved in time" in answers[0].body
    assert time.monotonic() - start < 20
    assert asked == ["slow.test"]  # one look-up for all requests
    release.set()


def test_a_name_is_looked_up_once_for_a_burst(origin, serve, wire, names, monkeypatch):
    monkeypatch.setattr(resolving, "REMEMBERED", 60.0)  # a burst may take longer on a busy machine
    server = origin()
    names["once.test"] = [["127.0.0.1"], []]
    client = wire(serve(forward=forward()))
    assert [client.ask(f"http://once.test:{server.port}/").status for _ in range(3)] == [200] * 3


# --- users -------------------------------------------------------------------------------------

ALICE = f"Proxy-Authorization: {basic('alice', 'secret')}"


@pytest.mark.parametrize(
    "field", ["", "Proxy-Authorization: " + basic("alice", "wrong"), "Proxy-Authorization: x"]
)
@pytest.mark.parametrize("method", ["GET", "CONNECT"])
def test_who_shows_no_credentials_is_asked_for_them(origin, serve, wire, method, field):
    server = origin()
    proxy = serve(forward=forward(auth={"alice": "secret"}, connect_ports=[server.port]))
    target = server.address if method == "CONNECT" else f"http://{server.address}/"
    client = wire(proxy)
    answer = client.ask(target, method, *([field] if field else []))
    assert answer.status == 407
    assert answer["Proxy-Authenticate"] == 'Basic realm="proxytwin", charset="UTF-8"'
    assert server.asked == []
    assert client.ask(target, method, ALICE).status == 200  # on the same connection


def test_credentials_go_no_further_and_the_user_is_logged(origin, serve, wire, tmp_path):
    server, log = origin(), tmp_path / "a.log"
    proxy = serve(forward=forward(auth={"alice": "secret"}), log=Log(file=str(log)))
    answer = wire(proxy).ask(f"http://{server.address}/", "GET", ALICE, "Authorization: Basic b3duOnB3")
    assert answer.body == b"hello"
    assert server.asked[0]["Proxy-Authorization"] is None
    assert server.asked[0]["Authorization"] == "Basic b3duOnB3"
    proxy.stop()
    assert json.loads(log.read_text())["user"] == "alice"


def test_the_reverse_side_wants_no_credentials(origin, serve, wire):
    proxy = serve(origin(), forward=forward(auth={"alice": "secret"}))
    assert wire(proxy).ask("/").body == b"hello"


@pytest.mark.needs("curl")
@pytest.mark.parametrize(("password", "status"), [("secret", "200"), ("wrong", "407")])
def test_curl_shows_credentials(origin, serve, password, status):
    server, proxy = origin(), serve(forward=forward(auth={"alice": "secret"}))
    command = ["curl", "-sS", "--max-time", "10", "-o", "/dev/null", "-w", "%{http_code}", "--proxy-anyauth"]
    arguments = ["-x", proxy.url, "--proxy-user", f"alice:{password}", f"http://{server.address}/"]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert result.stdout == status


def test_python_requests_shows_credentials(origin, serve):
    server, proxy = origin(), serve(forward=forward(auth={"alice": "s p:w"}))
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"http": proxy.url.replace("//", "//alice:s%20p%3Aw@")}
        assert session.get(f"http://{server.address}/", timeout=30).text == "hello"


# --- anonymity ---------------------------------------------------------------------------------

SENT = (
    "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1", "Via: 1.1 before",
    "From: alice@home.test", "Referer: http://elsewhere.test/page", "Cookie: id=7", "User-Agent: mine",
)  # fmt: skip
SEEN = {
    "transparent": {
        "via": ["1.1 before", "1.1 proxytwin"],
        "x-forwarded-for": [f"192.0.2.1, {CLIENT}"],
        "forwarded": [f"for=192.0.2.1, for={CLIENT};proto=http;by=_proxytwin"],
        "x-real-ip": ["192.0.2.1"],
        "from": ["alice@home.test"],
        "referer": ["http://elsewhere.test/page"],
    },
    "anonymous": {"via": ["1.1 before", "1.1 proxytwin"], "referer": ["http://elsewhere.test/page"]},
    "elite": {},
}


@pytest.mark.parametrize("level", SEEN)
def test_what_the_origin_sees_at_each_level(origin, serve, wire, level):
    server = origin()
    proxy = serve(forward=forward(anonymity=level))
    assert wire(proxy).ask(f"http://{server.address}/", "GET", *SENT).status == 200
    seen: dict[str, list[str]] = {}
    for name, value in server.asked[0].fields:
        seen.setdefault(name.lower(), []).append(value)
    assert seen == {"host": [server.address], "cookie": ["id=7"], "user-agent": ["mine"], **SEEN[level]}


def test_a_referer_of_the_same_site_stays(origin, serve, wire):
    server = origin()
    here = f"http://{server.address}/page"
    assert wire(serve(forward=forward(anonymity="elite"))).ask(
        f"http://{server.address}/", "GET", f"Referer: {here}"
    ).status == 200  # fmt: skip
    assert server.asked[0]["Referer"] == here


# --- the PAC file ------------------------------------------------------------------------------


def test_the_admin_port_serves_a_pac_file(serve, wire):
    proxy = serve(forward=forward(), admin="127.0.0.1:0")
    admin = int(proxy.admin_url.rpartition(":")[2])
    answer = wire(admin).ask("/proxy.pac", host=f"127.0.0.1:{admin}")
    assert (answer.status, answer["Content-Type"]) == (200, "application/x-ns-proxy-autoconfig")
    assert f'"PROXY 127.0.0.1:{proxy.port}"' in answer.body.decode()


def test_without_a_forward_side_there_is_no_pac_file(origin, serve, wire):
    proxy = serve(origin(), admin="127.0.0.1:0")
    admin = int(proxy.admin_url.rpartition(":")[2])
    assert wire(admin).ask("/proxy.pac", host=f"127.0.0.1:{admin}").status == 404
