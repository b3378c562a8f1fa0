"""Caches one behind the other say their names in Cache-Status (RFC 9211, section 2)."""

import http_sf
import pytest

from policies.bad_input import BadInput
from policies.settings import parse_settings
from realproxy import Cache, Route, Service

FRESH = b"HTTP/1.1 200 X\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nx"


@pytest.mark.parametrize("caching", [True, {"coalesce": True}], ids=["alone", "collapsing"])
def test_each_cache_on_the_way_is_known_by_its_name(origin, serve, wire, caching):
    def named(name, upstream):
        return serve(
            route=[Route(to="web", cache=caching)],
            service={"web": Service(upstreams=[upstream])},
            cache=Cache(name=name),
        )

    shield = named("shield-1", origin(lambda _: FRESH).address)
    client = wire(named("edge", shield.url.removeprefix("http://")))

    def said(target):
        value = ", ".join(client.ask(target).all("Cache-Status"))
        return [(str(name), "hit" in fields) for name, fields in http_sf.parse(value.encode(), tltype="list")]

    assert said("/a") == [("shield-1", False), ("edge", False)]
    assert said("/a")[-1] == ("edge", True)
    wire(shield).ask("/b", host="shop.test")
    assert said("/b") == [("shield-1", True), ("edge", False)]


@pytest.mark.parametrize("name", ["", "1st", "two words", 'quo"te', "a\r\nX: y", "é", "x" * 65])
def test_a_name_is_a_token(name):
    with pytest.raises(BadInput, match=r"cache\.name"):
        parse_settings({"forward": {"cache": True}, "cache": {"name": name}})
