"""The doors of a run: where each listens, what its requests begin with, and who asks it."""

from __future__ import annotations

import pytest

from loadtests.users.doors import doors_at, doors_by_client
from policies.bad_input import BadInput

ONE, TWO = "http://127.0.0.1:8001", "http://127.0.0.1:8002"


def test_all_doors_are_one_site() -> None:
    first, second = doors_at([(ONE, ""), (TWO, "")])
    assert (first.host.port, second.host.port) == (8001, 8002)
    assert first.authority == second.authority == "127.0.0.1:8001"
    assert first.origin == second.origin == ""


def test_a_forward_door_is_told_the_site_and_the_others_have_its_name() -> None:
    reverse, forward = doors_at([(ONE, ""), (TWO, "127.0.0.1:9000")])
    assert forward.origin == "http://127.0.0.1:9000"
    assert reverse.origin == ""
    assert reverse.authority == forward.authority == "127.0.0.1:9000"


def test_clients_take_the_doors_in_turn() -> None:
    doors = doors_at([(ONE, ""), (TWO, "")])
    by_client = doors_by_client(doors, 5)
    assert [by_client[f"127.0.0.{n}"].host.port for n in range(1, 6)] == [8001, 8002, 8001, 8002, 8001]


def test_what_is_no_address_is_said() -> None:
    with pytest.raises(BadInput, match="expected an address"):
        doors_at([(ONE, ""), ("ftp://x", "")])
