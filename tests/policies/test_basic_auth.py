"""Basic credentials, and whose they are."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.basic_auth import basic, check_password, check_user, is_known, read_basic

text = st.text(st.characters(codec="utf-8", exclude_characters=":"), max_size=30)


@given(text, text)
def test_what_is_written_is_read(user, password):
    assert read_basic(basic(user, password)) == (user, password)


@pytest.mark.parametrize("scheme", ["basic ", "BASIC  ", " Basic "])
def test_the_scheme_is_read_in_any_case(scheme):
    assert read_basic(scheme + "YTpi") == ("a", "b")


def test_old_clients_send_latin_1():
    assert read_basic("Basic " + base64.b64encode("zoë:ß".encode("latin-1")).decode()) == ("zoë", "ß")


@pytest.mark.parametrize("value", [None, "", "Basic", "Bearer YTpi", "Basic !!!", "Basic YWI=", "Basic é"])
def test_what_holds_no_credentials_is_none(value):
    assert read_basic(value) is None


@given(st.text())
def test_no_value_is_an_error(value):
    read_basic(value)
    read_basic("Basic " + value)


def test_only_the_right_password_of_a_known_user_will_do():
    users = {"alice": "secret", "böb": "schlüssel"}
    assert is_known(users, "alice", "secret") and is_known(users, "böb", "schlüssel")
    for user, password in [("alice", "Secret"), ("alice", ""), ("bob", "secret"), ("", ""), ("eve", "")]:
        assert not is_known(users, user, password)
    assert not is_known({}, "", "")


@pytest.mark.parametrize("user", ["", "a:b", "x" * 256, "é" * 128, "a\nb"])
def test_a_user_that_no_protocol_can_carry_is_refused(user):
    with pytest.raises(ValueError, match="expected a user name"):
        check_user(user)


def test_a_bad_password_is_refused_without_being_told():
    with pytest.raises(ValueError, match="expected a password") as problem:
        check_password("topsecret\n")
    assert "topsecret" not in str(problem.value)
