"""Is this file right, and which rule takes this request and why."""

import pytest

from realproxy import BadInput, Certificate, Forward, Match, Proxy, Route, Service
from realproxy.control.check import check
from realproxy.control.explain import explain

SETTINGS = Proxy(
    route=[
        Route(when=Match(path="/.git/*"), respond=403),
        Route(when=Match(host="shop.test", header={"X-Beta": "1"}), to="web", cache={"ttl": "1h"}),
        Route(when=Match(method="GET|HEAD"), to="web", cache=True),
    ],
    service={"web": Service(upstreams=["127.0.0.1:9001"], balance="p2c")},
    forward=Forward(private_targets=True, cache=True),
).settings


CACHING = "route = [{ to = 'web', cache = true }]\nservice.web.upstreams = '127.0.0.1:9001'\n"


def findings(tmp_path, toml: str) -> list[str]:
    file = tmp_path / "proxy.toml"
    file.write_text(toml, encoding="utf-8")
    found = check(file)
    assert found.warnings == []
    return [str(problem).removeprefix(f"{file}: ") for problem in found.mistakes]


def cautions(tmp_path, toml: str) -> list[str]:
    """The warnings about a file without mistakes."""
    file = tmp_path / "proxy.toml"
    file.write_text(toml, encoding="utf-8")
    found = check(file)
    assert found.mistakes == []
    return [str(problem).removeprefix(f"{file}: ") for problem in found.warnings]


def test_a_good_file_has_no_findings(tmp_path):
    toml = (
        f'route = [{{ to = "web" }}]\nservice.web.upstreams = "localhost:9001"\nlog.file = "{tmp_path}/a.log"'
    )
    assert findings(tmp_path, toml) == []


def test_a_disk_tiers_folder_need_not_be_there_and_is_not_made(tmp_path):
    folder = tmp_path / "not" / "yet"
    assert findings(tmp_path, CACHING + f'cache.disk.folder = "{folder}"') == []
    assert not folder.parent.exists()


def test_all_findings_are_told_at_once(tmp_path):
    toml = """
        listen = "nowhere.invalid:0"
        route = [{ to = "web" }]
        service.web.upstreams = ["web", "127.0.0.1:9001", "127.0.0.1:99999"]
        log.file = "/nowhere/access.log"
    """
    starts = [
        "service.web.upstreams.0.address: expected 'host:port'",
        "service.web.upstreams.2.address: expected 'host:port'",
        "listen: cannot resolve 'nowhere.invalid'",
        "log.file: there is no folder '/nowhere'",
    ]
    found = findings(tmp_path, toml)
    assert [line.startswith(start) for line, start in zip(found, starts, strict=True)] == [True] * 4
    assert "only means something in a scenario" in found[0]


@pytest.mark.parametrize(
    ("toml", "start"),
    [
        ("rout = []", "rout: unknown key"),
        (
            'route = [{ to = "web" }]\nservice.web.upstreams = "nowhere.invalid:1"',
            "service.web.upstreams.0.address: cannot resolve",
        ),
        ('route = [{ respond = 204 }]\nlog.file = "/proc"', "log.file: '/proc' cannot be written"),
        (
            CACHING + 'cache.disk.folder = "/etc/passwd/kept"',
            "cache.disk.folder: '/etc/passwd' is not a folder",
        ),
        (
            CACHING + 'cache.disk.folder = "/proc/self/kept"',
            "cache.disk.folder: '/proc/self' cannot be written",
        ),
    ],
)  # fmt: skip
def test_each_finding_names_its_key(tmp_path, toml, start):
    [line] = findings(tmp_path, toml)
    assert line.startswith(start)


def test_a_missing_file_is_a_finding(tmp_path):
    [problem] = check(tmp_path / "missing.toml").mistakes
    assert "no such file" in str(problem)


def test_an_explanation_says_why_each_earlier_route_did_not_match():
    found = explain(SETTINGS, "GET", "/a", {"Host": "shop.test"})
    assert (found.side, found.route) == ("reverse", 2)
    assert found.lines() == [
        "route.0: no, path /.git/* does not match",
        "route.1: no, header X-Beta: 1 does not match",
        "route.2: yes, matches method GET|HEAD",
        "reverse: service web, p2c over 127.0.0.1:9001",
        "cache: asked; a miss is stored if its answer allows that",
    ]


def test_an_explanation_says_that_no_request_at_all_meets_a_condition():
    route = [Route(when=Match(host="a.test:8080"), respond=200), Route(when=Match(path="/b"), respond=200)]
    assert explain(Proxy(route=route).settings, "GET", "http://a.test:8080/").lines()[:2] == [
        "route.0: no, host a.test:8080 does not match; a host is compared without its port: write 'a.test'",
        "route.1: no, path /b does not match",
    ]


@pytest.mark.parametrize(
    ("method", "url", "headers", "side", "route", "answer", "cache"),
    [
        ("GET", "/x/../.git/a", {}, "reverse", 0, "answers 403", "not asked"),
        ("GET", "/", {"Host": "shop.test", "X-Beta": "1"}, "reverse", 1, "service web", "fresh for 3600 s"),
        ("GET", "http://shop.test/a", {"Host": "shop.test"}, "reverse", 2, "service web", "asked"),
        (
            "GET",
            "/",
            {"Cache-Control": "no-cache"},
            "reverse",
            2,
            "service web",
            "asked only for what the origin",
        ),
        ("HEAD", "/", {}, "reverse", 2, "service web", "not stored (method)"),
        ("PUT", "/", {}, "refused", None, "404", "not asked"),
        (
            "GET",
            "http://127.0.0.1:81/a",
            {},
            "forward",
            None,
            "127.0.0.1:81 at 127.0.0.1",
            "stored if its answer allows that",
        ),
        ("GET", "http://nowhere.invalid/", {}, "refused", None, "502, cannot resolve nowhere.invalid", ""),
        ("CONNECT", "127.0.0.1:443", {}, "tunnel", None, "127.0.0.1:443 at", "off"),
        ("CONNECT", "127.0.0.1:22", {}, "refused", None, "403, forward.connect_ports: 22", "off"),
    ],
)
def test_each_kind_of_request_is_explained(method, url, headers, side, route, answer, cache):
    found = explain(SETTINGS, method, url, headers)
    assert (found.side, found.route) == (side, route)
    assert answer in found.answer
    assert cache in found.cache


@pytest.mark.parametrize(
    ("keys", "route", "notes"),
    [
        ({}, {}, []),
        (
            {"deadline": False}, {"try_timeout": "1s"},
            ["try_timeout: 1 s", "deadline: not told to the upstream"],
        ),
        ({"rate": "5/s", "limit": 3}, {}, [
            "rate: 5 requests a second, 429 above", "limit: 3 in flight",
            "queue: none, 503 at once above the limit",
        ]),
        ({"queue": {"in_flight": 4}}, {}, ["queue: none, 503 at once above 4 in flight"]),
        (
            {
                "limit": {"policy": "vegas", "initial": 30, "max": 200}, "slow_start": "10s", "breaker": {},
                "queue": {"wait": "500ms", "order": "lifo", "length": 50}, "retry": {"budget": 0.2},
                "eject": {"success_rate": True, "grow": True}, "hedge": {"after": "50ms"},
            },
            {"timeout": "2s"},
            [
                "timeout: 2 s",
                "limit: vegas, 30 in flight at first, learned between 1 and 200",
                "queue: lifo, the newest goes first; above the limit up to 0.5 s, 50 requests at most, "
                "then 503",
                "breaker: 503 for 5 s after 5 failures in a row",
                "eject: after 5 failures in a row, or by its success rate beside the others', for 10 s, "
                "longer each time",
                "slow_start: who comes back has its full share after 10 s",
                "deadline: the upstream is told the time that is left",
                "hedge: a second upstream is asked after 0.05 s",
                "retry: 2 attempts in all, with a budget of 0.2 retries per request",
            ],
        ),
    ],
)  # fmt: skip
def test_what_a_service_does_about_trouble_is_one_line_each(keys, route, notes):
    service = Service(upstreams=["127.0.0.1:9001", "127.0.0.1:9002"], **keys)
    settings = Proxy(route=[Route(to="web", **route)], service={"web": service}).settings
    assert explain(settings, "GET", "/").notes == notes


def test_a_deadline_of_the_client_is_explained_too():
    found = explain(SETTINGS, "GET", "/", {"Proxytwin-Timeout-Ms": "100"})
    assert found.notes == ["deadline: the upstream is told the time that is left"]


def test_private_targets_and_missing_sides_are_explained():
    strict = Proxy(forward=Forward()).settings
    assert "forward.private_targets" in explain(strict, "GET", "http://127.0.0.1/").answer
    reverse = Proxy(route=[Route(respond=204)]).settings
    assert explain(reverse, "CONNECT", "a.test:443").answer.startswith("405")
    assert explain(reverse, "GET", "http://a.test/b?c").answer == "answers 204"


@pytest.mark.parametrize(
    ("method", "url"),
    [("GET", "nonsense"), ("G ET", "/"), ("CONNECT", "a"), ("GET", "/\u20ac"), ("GET", "https://a.test/")],
)
def test_what_is_no_request_is_bad_input(method, url):
    with pytest.raises(BadInput):
        explain(SETTINGS, method, url)


def test_https_is_explained_where_it_is_served():
    tls = Certificate(cert="a.pem", key="a.key")
    settings = Proxy(route=[Route(respond=204)], tls=[tls]).settings
    assert explain(settings, "GET", "https://a.test/b").answer == "answers 204"


GATED = Proxy(
    forward=Forward(
        private_targets=True, block=["*.ads.test", "127.0.0.9"], auth={"alice": "x"}, socks_ports=[80],
        anonymity="elite",
    ),
).settings  # fmt: skip


@pytest.mark.parametrize(
    ("method", "url", "side", "answer", "note"),
    [
        ("GET", "http://a.ads.test/", "refused", "403, forward.block: *.ads.test blocks a.ads.test", "elite"),
        ("CONNECT", "127.0.0.9:443", "refused", "forward.block: 127.0.0.9 blocks", "nothing inside a tunnel"),
        ("SOCKS5", "127.0.0.1:22", "refused", "403, forward.socks_ports: 22", "auth: a user and a password"),
        ("SOCKS5", "127.0.0.1:80", "socks5", "127.0.0.1:80 at 127.0.0.1", "auth: a user and a password are"),
        ("SOCKS4", "127.0.0.1:80", "socks4", "127.0.0.1:80", "auth: refused, version 4 cannot carry"),
        ("GET", "http://127.0.0.1/", "forward", "127.0.0.1:80 at", "wanted, 407 without"),
    ],
)
def test_the_forward_side_is_explained(method, url, side, answer, note):
    found = explain(GATED, method, url)
    assert found.side == side
    assert answer in found.answer
    assert note in "\n".join(found.lines())


@pytest.mark.parametrize(
    ("method", "url"), [("GET", "/two words"), ("GE T", "/"), ("GET", "/\u00e9"), ("", "/"), ("GET", "")]
)
def test_what_cannot_stand_in_a_request_line_is_said_in_words(method, url):
    with pytest.raises(BadInput, match="expected a method and a URL without spaces, and all but ASCII"):
        explain(SETTINGS, method, url)


def test_the_changes_of_header_fields_are_explained():
    found = explain(GATED, "GET", "http://127.0.0.1/", {"Via": "1.1 a", "From": "me"})
    assert "anonymity: elite: Via removed, From removed" in found.lines()


def test_socks_that_is_off_is_explained():
    found = explain(Proxy(forward=Forward(protocols=["http"])).settings, "SOCKS5", "a.test:80")
    assert (found.side, found.answer) == ("refused", "no [forward] with 'socks5'")


def test_a_bad_hosts_file_is_a_finding(tmp_path):
    (tmp_path / "hosts").write_text("one two\n", encoding="utf-8")
    toml = f"[forward]\nblock_files = ['{tmp_path}/hosts']"
    assert findings(tmp_path, toml) == [
        f"forward.block_files: {tmp_path}/hosts: line 1: expected an address and names, not 'one two'"
    ]


def test_a_parent_is_explained_without_its_credentials():
    settings = Proxy(forward=Forward(parent="socks5://alice:secret@192.0.2.1:1080")).settings
    found = explain(settings, "CONNECT", "nowhere.invalid:443")
    assert (found.side, found.answer) == (
        "tunnel",
        "nowhere.invalid:443 by the parent socks5://192.0.2.1:1080",
    )


def test_warnings_come_with_the_mistakes_and_a_name_with_several_addresses_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr("realproxy.control.check.look_up", lambda _: ["::1", "127.0.0.1"])
    toml = 'listen = "localhost:0"\nroute = [{ when = { method = "get" }, respond = 200 }]'
    assert cautions(tmp_path, toml) == [
        "route.0.when.method: methods are in capitals (RFC 9110, 9.1): write 'GET'",
        "listen: 'localhost' has several addresses: only 127.0.0.1 is used",
    ]
