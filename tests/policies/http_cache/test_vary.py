"""Which stored answers a request selects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.http_cache.vary import ANY, normal_value, preferred_language, selects, variant_of


def header(**fields):
    return {name.replace("_", "-"): value for name, value in fields.items()}.get


def test_without_vary_every_request_selects_it():
    assert variant_of(header(), header(foo="1")) is ANY
    assert variant_of(header(vary=" , "), header(foo="1")) is ANY
    assert selects(ANY, header(foo="2"))


def test_all_named_fields_must_be_as_they_were_and_no_others():
    variant = variant_of(header(vary="Foo, bar"), header(foo="1", other="a"))
    assert selects(variant, header(foo="1", other="b"))
    assert not selects(variant, header(foo="2"))
    assert not selects(variant, header())
    assert not selects(variant, header(foo="1", bar=""))


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("foo", "1,2", " 1 , 2", True), ("foo", "1,2", "2,1", False), ("foo", "A", "a", False),
        ("foo", '"a , b"', '"a,b"', False), ("foo", "1", None, False),
        ("accept-language", "en, de", "DE,en", True), ("accept-language", "en, de;q=0.5", "en, de", False),
        ("accept-language", "en;q=1.0", "en", True), ("accept-encoding", "gzip, br", "br,gzip", True),
        ("user-agent", "a,b", "a, b", False), ("accept", "text/html, */*", "*/*, text/html", False),
    ],
)  # fmt: skip
def test_what_means_the_same_is_the_same(name, one, other, same):
    """RFC 9111, 4.1: white space, and order and case where the field's specification allows it."""
    assert (normal_value(name, one) == normal_value(name, other)) is same


@pytest.mark.parametrize(
    ("value", "language"),
    [("en", "en"), ("fr;q=0.5, DE", "de"), ("fr, de", None), ("fr;q=0", None), (None, None), ("", None)],
)
def test_the_language_that_is_liked_best(value, language):
    assert preferred_language(value) == language


def test_an_answer_in_the_language_liked_best_will_do():
    variant = variant_of(
        header(vary="Accept-Language", content_language="de"), header(accept_language="en, de")
    )
    assert selects(variant, header(accept_language="fr;q=0.5, de;q=1.0"))
    assert not selects(variant, header(accept_language="fr, de;q=0.5"))
    both = variant_of(
        header(vary="Accept-Language, Foo", content_language="de"), header(accept_language="de", foo="1")
    )
    assert not selects(both, header(accept_language="de, fr;q=0.1", foo="2"))


@given(st.sampled_from(["foo", "accept-language", "accept", "cookie"]), st.text(max_size=40))
def test_a_normal_form_is_its_own_normal_form(name, value):
    assert normal_value(name, normal_value(name, value)) == normal_value(name, value)
