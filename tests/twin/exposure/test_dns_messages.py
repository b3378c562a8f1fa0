"""Names and answers as DNS messages."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.exposure.dns_messages import AAAA, A, addresses_in, answer, encode_name, query, question

LABELS = st.lists(st.text("abcxyz-09", min_size=1, max_size=20), min_size=1, max_size=4)
ADDRESSES = st.lists(st.ip_addresses().map(str), max_size=4, unique=True)


def test_a_query_is_what_rfc_1035_says() -> None:
    assert query(0x1234, "a.test", A) == bytes.fromhex(
        "1234 0100 0001 0000 0000 0000 0161 0474657374 00 0001 0001"
    )


@given(st.integers(0, 65535), LABELS, ADDRESSES, st.sampled_from([A, AAAA]))
def test_an_answer_has_the_addresses_of_the_kind_that_was_asked_for(
    number: int, labels: list[str], addresses: list[str], kind: int
) -> None:
    name = ".".join(labels)
    asked = query(number, name, kind)
    assert question(asked)[:3] == (number, name, kind)
    version = 4 if kind == A else 6
    expected = [one for one in addresses if ipaddress.ip_address(one).version == version]
    given_ = answer(asked, addresses)
    assert addresses_in(given_, number) == expected
    assert encode_name(name) in given_
    with pytest.raises(ValueError, match="another query"):
        addresses_in(given_, (number + 1) % 65536)


def test_an_unknown_name_does_not_exist() -> None:
    assert answer(query(1, "none.test", A), None)[3] & 0x0F == 3


@given(st.binary(max_size=80))
def test_no_bytes_do_more_than_raise_value_error(data: bytes) -> None:
    try:
        question(data)
    except ValueError:
        return
    assert len(data) >= 17
