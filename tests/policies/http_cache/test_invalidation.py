"""What an unsafe method does to what is stored."""

import pytest

from policies.http_cache.invalidation import invalidated, invalidates, stands_for_get

URI = "http://shop.test:8080/a/b?c=1"


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [("POST", 200, True), ("DELETE", 204, True), ("PUT", 303, True), ("POST", 404, False),
     ("PATCH", 500, False),
     ("GET", 200, False), ("OPTIONS", 200, False), ("PURGE", 200, True)],
)  # fmt: skip
def test_successful_unsafe_methods_invalidate(method, status, expected):
    assert invalidates(method, status) is expected


@pytest.mark.parametrize(
    ("reference", "also"),
    [
        ("/x", "http://shop.test:8080/x"),
        ("x?y=1", "http://shop.test:8080/a/x?y=1"),
        ("../x#part", "http://shop.test:8080/x"),
        ("http://SHOP.test:8080/x", "http://shop.test:8080/x"),
        ("http://shop.test:8080", "http://shop.test:8080/"),
        ("http://other.test:8080/x", None),
        ("http://shop.test/x", None),
        ("https://shop.test:8080/x", None),
        ("//other.test/x", None),
        ("http://[/x", None),
        ("http://shop.test:99999/x", None),
        (URI, None),
    ],
)
@pytest.mark.parametrize("name", ["location", "content-location"])
def test_references_of_the_same_origin_fall_too_and_no_others(name, reference, also):
    """RFC 9111, 4.4: what belongs to another origin must not be touched, or it could be attacked."""
    assert invalidated(URI, {name: reference}.get) == [URI, *([also] if also else [])]


@pytest.mark.parametrize(
    ("method", "location", "expected"),
    [("POST", URI, True), ("POST", "/a/b?c=1", True), ("POST", "", True), ("POST", "/a/b", False),
     ("POST", None, False), ("PUT", URI, False)],
)  # fmt: skip
def test_only_a_post_that_says_so_stands_for_a_get(method, location, expected):
    """RFC 9110, 9.3.3."""
    assert stands_for_get(method, URI, {"content-location": location}.get) is expected
