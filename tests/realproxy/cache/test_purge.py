"""What is purged is gone, with what was on its way; what shares a group falls together."""

import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

from policies.bad_input import BadInput
from realproxy import Forward, Route, RouteCache, Service
from realproxy.cache.purge import InvalidationLog, Purge, TagIndex, read_purge


def answer(asked, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in ("Cache-Control: max-age=60", *fields))
    return f"HTTP/1.1 200 X\r\n{lines}Content-Length: {len(asked.target)}\r\n\r\n{asked.target}".encode()


def grouped(asked) -> bytes:
    """`/x/a-b` belongs to the groups a and b; what is not asked for by GET invalidates the last one."""
    *_, last = asked.target.split("/")
    if asked.method != "GET":
        return f'HTTP/1.1 204 X\r\nCache-Group-Invalidation: "{last}"\r\n\r\n'.encode()
    names = ", ".join(f'"{name}"' for name in last.split("-"))
    return answer(asked, f"Cache-Groups: {names}")


def is_hit(client, target: str, host: str = "shop.test") -> bool:
    return "hit" in client.ask(target, host=host)["Cache-Status"]


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ({"url": "http://shop.test/img/a"}, ["/img/b", "/img", "/css/a", "/img/a?v=1"]),
        ({"url": "http://SHOP.test:80/img/a?v=1"}, ["/img/a", "/img/b", "/img", "/css/a"]),
        ({"prefix": "http://shop.test/img/"}, ["/img", "/css/a"]),
        ({"prefix": "http://shop.test"}, []),
        ({"prefix": "https://shop.test"}, ["/img/a", "/img/b", "/img", "/css/a", "/img/a?v=1"]),
        ({"url": "http://other.test/img/a"}, ["/img/a", "/img/b", "/img", "/css/a", "/img/a?v=1"]),
    ],
)
def test_a_purge_takes_what_it_names_and_nothing_else(origin, serve, wire, what, left):
    proxy = serve(origin(answer), caching=True)
    client = wire(proxy)
    targets = ["/img/a", "/img/b", "/img", "/css/a", "/img/a?v=1"]
    for target in targets:
        client.ask(target)
    assert proxy.purge(**what) == len(targets) - len(left)
    assert sorted(target for target in targets if is_hit(client, target)) == sorted(left)


def test_a_purge_is_for_both_sides_and_all_services(origin, serve, wire):
    server = origin(answer)
    proxy = serve(
        route=[Route(to="web", cache=True)],
        service={"web": Service(upstreams=[server.address])},
        forward=Forward(private_targets=True, cache=True),
    )
    client = wire(proxy)
    for target in "/", f"http://{server.address}/":
        client.ask(target, host=server.address)
    assert proxy.purge(url=f"http://{server.address}/") == 2


def test_a_tag_is_a_group_of_any_origin(origin, serve, wire):
    proxy = serve(origin(grouped), caching=True)
    client = wire(proxy)
    for host, target in ("a.test", "/x/news-sport"), ("b.test", "/x/news"), ("b.test", "/x/sport"):
        client.ask(target, host=host)
    assert proxy.purge(tag="news") == 2
    assert proxy.purge(tag="news") == 0
    assert is_hit(client, "/x/sport", "b.test")


def test_an_unsafe_method_may_name_groups_of_its_origin(origin, serve, wire):
    """RFC 9875, 3."""
    client = wire(serve(origin(grouped), caching=True))
    for host, target in ("a.test", "/x/news-sport"), ("a.test", "/x/sport"), ("b.test", "/x/news"):
        client.ask(target, host=host)
    client.ask("/y/news", "POST", "Content-Length: 0", host="a.test")
    assert not is_hit(client, "/x/news-sport", "a.test")
    assert is_hit(client, "/x/sport", "a.test")
    assert is_hit(client, "/x/news", "b.test"), "another origin's group of that name"


def test_what_shares_a_group_with_what_is_invalidated_falls_too_but_takes_nothing_with_it(
    origin, serve, wire
):
    """RFC 9875, 2.2.1."""
    plain = b"HTTP/1.1 204 X\r\n\r\n"
    client = wire(
        serve(origin(lambda asked: grouped(asked) if asked.method == "GET" else plain), caching=True)
    )
    for target in "/a/x", "/b/x-y", "/c/y":
        client.ask(target)
    client.ask("/a/x", "POST", "Content-Length: 0")
    assert not is_hit(client, "/b/x-y")
    assert is_hit(client, "/c/y")


@pytest.mark.parametrize("coalesce", [False, True])
@pytest.mark.parametrize(
    "what", [{"url": "http://shop.test/x/a"}, {"prefix": "http://shop.test/x"}, {"tag": "a"}]
)
def test_what_was_on_its_way_does_not_come_back(origin, serve, wire, until, what, coalesce):
    gate = threading.Event()

    def script(asked):
        if len(server.asked) == 1:
            assert gate.wait(60)
        return grouped(asked)

    server = origin(script)
    proxy = serve(server, caching=RouteCache(coalesce=coalesce))
    early = wire(proxy).send("GET /x/a HTTP/1.1\r\nHost: shop.test\r\n\r\n")
    until(lambda: len(server.asked) == 1)
    proxy.purge(**what)
    late = wire(proxy)
    assert late.ask("/x/a").body == b"/x/a", "and does not wait for what was asked for before"
    assert proxy.purge(**what) == 1
    gate.set()
    assert early.answer().status == 200
    assert not is_hit(late, "/x/a")
    assert is_hit(late, "/x/a")


def test_the_admin_port_purges(origin, serve, wire):
    proxy = serve(origin(answer), caching=True, admin="127.0.0.1:0")
    client = wire(proxy)
    client.ask("/a?b=1")

    def post(**form: str) -> tuple[int, bytes]:
        data = urllib.parse.urlencode(form).encode()
        try:
            with urllib.request.urlopen(f"{proxy.admin_url}/purge", data, timeout=30) as page:
                return page.status, page.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    assert post(url="http://shop.test/a?b=1") == (200, b'{"purged": 1}\n')
    assert not is_hit(client, "/a?b=1")
    assert post(url="/a")[0] == 400
    assert post(uri="http://shop.test/a") == (
        400,
        b"400 Bad Request: purge: uri: expected one of url, prefix and tag\n",
    )
    assert post(url="http://shop.test/a", tag="b")[0] == 400


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ({}, "purge: url: expected exactly one of url, prefix and tag"),
        ({"url": "http://a/", "tag": "b"}, "purge: url, tag: expected exactly one of url, prefix and tag"),
        ({"url": "shop.test/a"}, "purge: url: expected an absolute URL such as 'http://shop.test/a?b=1', "
         "not 'shop.test/a'"),
        ({"prefix": "/a"}, "purge: prefix: expected an absolute URL such as 'http://shop.test/images/', "
         "not '/a'"),
        ({"url": "http://[a/"}, "purge: url: expected an absolute URL such as 'http://shop.test/a?b=1', "
         "not 'http://[a/'"),
    ],
)  # fmt: skip
def test_a_wrong_purge_is_told_in_one_line(what, problem):
    with pytest.raises(BadInput) as told:
        read_purge(**what)
    assert str(told.value) == problem


def test_what_has_fallen_is_remembered_or_everything_older_is_refused():
    changes = InvalidationLog()
    for number in range(5_000):
        changes.record(b"web http://a/%d" % number, float(number))
    assert changes.invalidated_since(b"web http://a/4999", (), since=4_998.5)
    assert not changes.invalidated_since(b"web http://a/4999", (), since=4_999.5)
    assert changes.invalidated_since(b"web http://a/0", (), since=0.5), "forgotten, so too old to be trusted"
    assert not changes.invalidated_since(b"web http://b/", (), since=4_000.0)
    for number in range(100):
        changes.record_purge(Purge(tag=f"{number}"), 6_000.0 + number)
    assert changes.invalidated_since(b"web http://b/", ("99",), since=6_050.0)
    assert not changes.invalidated_since(b"web http://b/", ("98",), since=6_098.5)


def test_the_index_of_groups_keeps_nothing_of_what_is_gone():
    groups = TagIndex()
    groups.add(b"web http://a/1", ("x", "y"))
    groups.add(b"web http://a/2", ("x",))
    groups.remove(b"web http://a/1", ("x", "y"))
    assert (groups.tagged("x"), groups.tagged("y"), len(groups)) == ([b"web http://a/2"], [], 1)
    groups.remove(b"web http://a/2", ("x",))
    assert len(groups) == 0
