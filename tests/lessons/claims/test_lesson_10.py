"""What lesson 10 says, and what the formula, the simulator and real proxies compute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from lessons.both_at_once import (
    EDGE_PLACES,
    PLACES,
    Shares,
    busiest_shield,
    row_run,
    shares_by_formula,
    shield_runs,
    sidecars,
    simulated_shares,
)
from lessons.both_at_once.exercise import _CASES, _reaching
from lessons.both_at_once.formulas import OBJECTS, POPULARITY
from lessons.both_at_once.networks import ITEM
from scenarios import Scenario

USERS = 40


@functools.cache
def in_a_row(second: int = PLACES, first: int = PLACES) -> Shares:
    return simulated_shares(first, second, forward=True, duration_s=60)


@functools.cache
def reaching_origin(shields: int, *, by_path: bool, room: int = PLACES) -> float:
    return simulated_shares(EDGE_PLACES, room, shields=shields, by_path=by_path, duration_s=60).origin


def places(scenario: Scenario) -> list[int]:
    return [proxy.cache.capacity // ITEM for proxy in scenario.chain]


def shields() -> list[int]:
    return places(shield_runs().scenario)[1:]


def further_shields_by_turns() -> bool:
    """How much less reaches the origin with four shields by turns than with one: next to nothing."""
    one, four = (reaching_origin(count, by_path=False) for count in (1, 4))
    return 0 < one - four < 0.05


def formula_off() -> tuple[float, float]:
    """The smallest and the largest error of the formula in the table of the lesson, in percentage points."""
    pairs = [
        (shares_by_formula(PLACES, PLACES).behind, in_a_row().behind),
        (shares_by_formula(PLACES, 4 * PLACES).behind, in_a_row(4 * PLACES).behind),
        *(
            (
                shares_by_formula(EDGE_PLACES, PLACES, shields=2, by_path=way).origin,
                reaching_origin(2, by_path=way),
            )
            for way in (False, True)
        ),
        (
            shares_by_formula(EDGE_PLACES, 2 * PLACES).origin,
            reaching_origin(1, by_path=True, room=2 * PLACES),
        ),
    ]
    errors = [100 * abs(said - seen) for said, seen in pairs]
    return min(errors), max(errors)


def second_gets_little_more_time() -> bool:
    """As large as the first one, the second one answers next to nothing, but more than nothing."""
    return bool(0 < shares_by_formula(PLACES, PLACES).behind < 0.03) and in_a_row(PLACES // 2).behind < 1e-3


def edges_help_the_shields() -> bool:
    one, four = (shares_by_formula(EDGE_PLACES, PLACES, count).behind for count in (1, 4))
    return four > one


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "There are 2,000 objects.": lambda: [OBJECTS],
    "a Zipf distribution with the exponent 0.9.": lambda: [float(POPULARITY[5:-1])],
    "The users' forward proxy holds 100 objects": lambda: [places(row_run().scenario)[0]],
    "The forward proxy answers 39 % of all requests.": lambda: [100 * in_a_row().front],
    "An edge holds 50 objects. Behind it are two shields, and each of them holds 100.": lambda: [
        places(shield_runs().scenario)[0], len(shields()), *set(shields()),
    ],
    "each shield gets its own half of the objects": lambda: [1 / len(shields())],
    "Make the second cache smaller than the first. It answers nothing at all.": lambda: (
        in_a_row(PLACES // 2).behind < 1e-3
    ),
    "Make it twice as large as the first, and four times as large.": lambda: [2, 4],
    "Keep the second one at 400 objects, and let the first one grow.": lambda: [4 * PLACES],
    "Hardly anything changes.": further_shields_by_turns,
    "A second cache of the same size is nearly worthless: in the long run it answers 1.3 % of the "
    "requests.": lambda: [
        100 * in_a_row().behind,
    ],
    "The two shields save fetches without a single byte": lambda: (
        reaching_origin(2, by_path=True) < 0.9 * reaching_origin(2, by_path=False)
    ),
    "two shields with room for $C$ objects see half of the objects each": lambda: [
        len(shields()), 1 / len(shields()),
    ],
    "each sees half of the *requests* for all objects. Its clock runs at half the speed": lambda: [0.5, 0.5],
    "What is popular hardly gets through.": lambda: bool(in_a_row(PLACES // 2).behind < 1e-3),
    "As large as the first, it keeps its objects only a little longer": second_gets_little_more_time,
    "two shields, ": lambda: [len(shields())],
    "one shield of twice the size: what": lambda: [2],
    "two shields by path are one shield of twice the size.": lambda: [len(shields()), 2],
    "Here it is off by about one percentage point": lambda: formula_off()[1] < 1.6,
    "Now three real proxies": lambda: [len(shield_runs().scenario.chain)],
    "for two caches in a row. The first proxy": lambda: [len(places(row_run().scenario))],
    "The price is two more hops for each call": lambda: [sidecars().rows[0][3].count("1.1 proxytwin")],
    "four shields behind an edge": lambda: [4],
    "each gets about a quarter.": lambda: [busiest_shield(0.9)],
    "helps, too: it takes another shield when one has much more to do": lambda: busiest_shield(2.0) > 0.5,
    "But let a few objects be much more popular": lambda: busiest_shield(1.4) > 0.35,
    "A second one behind it must be much larger": lambda: in_a_row(4 * PLACES).behind > 0.2,
    "Shields by path are one large cache, without copies.": lambda: bool(
        reaching_origin(2, by_path=True) < 0.9 * reaching_origin(2, by_path=False)
    ),
    "answer as much as the first one with 100 objects?": lambda: [PLACES],
    "With 1,000 requests per second, edges that answer 40 %, and four shields that answer 70 % of what they "
    "see, the origin gets 180 requests per second, and 285 while one shield is cold. That is 58 % more.": (
        lambda: [
            _CASES[0][0], 100 * _CASES[0][1], _CASES[0][3], 100 * _CASES[0][2],
            _CASES[0][0] * (1 - _CASES[0][1]) * (1 - _CASES[0][2]), _reaching(*_CASES[0]),
            100 * (_reaching(*_CASES[0]) / (_CASES[0][0] * (1 - _CASES[0][1]) * (1 - _CASES[0][2])) - 1),
        ]
    ),
}  # fmt: skip

OTHERS: dict[str, tuple[str, ...]] = {
    "counted in this very text": ("**predict** three numbers", "There are three usual ways"),
    "held below": (
        "This takes less than half a minute",
        "40 users with 40 addresses",
        "Then forty clients",
        "connect two sidecars",
    ),
    "about the world": (
        "Most people guess ten times as much.",
        "If one object gets a large part of all requests",
        "The field `Via` shows that two proxies were on the way",
        "Write a scenario with two edges, two shields",
    ),
    "a figure": ("The dotted line is a second cache that is as large as the first one.",),
    "said before": ("because it sees fewer requests",),
}
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(10, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(10, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(10, REASONS) == []


def test_the_runs_of_the_confirmation_take_less_than_half_a_minute(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(10, "This takes less than half a minute", [((planned_s(10) + 9) / 60, 0.5)])


def test_more_edges_make_more_hits_at_the_shields(against_text: Callable[..., None]) -> None:
    against_text(10, "So the more edges, the more hits there.", edges_help_the_shields())
