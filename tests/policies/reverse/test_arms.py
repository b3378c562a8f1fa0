"""Which arm a request gets: an override, a user's hash, or chance."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.reverse.arms import ArmChooser, Choice
from policies.reverse.split import Split
from policies.settings import Route

WEIGHTS = {"api": 95.0, "new": 5.0}


def choose(route: dict[str, Any], seed: int = 1, client: str = "203.0.113.7", **asked: str) -> Choice:
    chooser = ArmChooser(Route(to=WEIGHTS, **route))
    return chooser.choose(Split(WEIGHTS), client, asked.get, random.Random(seed))


def test_a_client_stays_with_its_arm() -> None:
    for number in range(100):
        found = {choose({"sticky": "client"}, seed, f"203.0.113.{number}").arm for seed in range(5)}
        assert len(found) == 1


def test_a_client_without_cookie_gets_one_that_keeps_it_with_its_arm() -> None:
    for seed in range(200):
        first = choose({"sticky": "cookie:arm"}, seed)
        assert first.cookie is not None
        again = choose({"sticky": "cookie:arm"}, seed + 1, cookie=f"a=b; arm={first.cookie}")
        assert (again.arm, again.user, again.cookie) == (first.arm, first.cookie, None)


@given(st.text(st.characters(codec="ascii", exclude_characters=';="', exclude_categories=["Cc"]), min_size=1))
def test_a_forged_cookie_chooses_nothing_that_the_hash_would_not(value: str) -> None:
    value = value.strip()
    if value:
        found = choose({"sticky": "cookie:arm"}, cookie=f"arm={value}")
        assert found.arm == Split(WEIGHTS).by_key(value)


@pytest.mark.parametrize(
    ("asked", "arm", "counts"),
    [
        ({"x-arm": "new"}, "new", False),
        ({"x-arm": "api"}, "api", False),
        ({"cookie": "arm=new"}, "new", False),
        ({"x-arm": "api", "cookie": "arm=new"}, "api", False),
        ({"x-arm": "other"}, "api", True),
        ({"x-arm": "NEW"}, "api", True),
        ({}, "api", True),
    ],
)
def test_an_override_names_an_arm_or_is_ignored(asked: dict[str, str], arm: str, counts: bool) -> None:
    found = choose({"override": {"header": "X-Arm", "cookie": "arm"}}, seed=1, **asked)
    assert (found.arm, found.counts) == (arm, counts)


def test_a_cookie_for_the_canary_alone_lets_all_users_drift_to_it() -> None:
    """After k requests a user is with the canary with probability 1 - (1 - w)^k; 4.42 standard deviations."""
    chooser, split, rng = (
        ArmChooser(Route(to=WEIGHTS, sticky="canary-cookie:c")),
        Split(WEIGHTS),
        random.Random(7),
    )
    cookies: dict[int, str] = {}
    users = 4000
    for requests in range(1, 51):
        for user in range(users):
            value = cookies.get(user)
            asked = {"cookie": f"c={value}"} if value else {}
            found = chooser.choose(split, "", asked.get, rng)
            if found.cookie:
                cookies[user] = found.cookie
        if requests in (1, 10, 20, 50):
            share = 1 - 0.95**requests
            assert abs(len(cookies) - users * share) <= 4.42 * (users * share * (1 - share)) ** 0.5


def test_a_header_is_a_key_and_without_it_chance_decides() -> None:
    found = Counter(choose({"sticky": "header:X-User"}, seed).user for seed in range(50))
    assert found == {None: 50}
    arms = {choose({"sticky": "header:X-User"}, seed, **{"x-user": "ann"}).arm for seed in range(50)}
    assert len(arms) == 1
