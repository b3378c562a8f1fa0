"""What lesson 4 says, and what the formula, the simulation and small real runs compute."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from lessons.forward import EACH, expected_hit_ratio, share, what_still_leaks
from lessons.forward.exercise import _CASES, _ratio_behind
from lessons.forward.explorer import ALIKE, USERS
from lessons.forward.shared_cache import PAGES, asked_by, web_of_many
from lessons.forward.shared_cache_measured import NUMBERS
from policies.forward.anonymity import LEVELS
from simulator import Costs, simulate


def added_by_doubling() -> list[float]:
    """What each doubling of the users adds to the hit ratio, up to 64 users."""
    ratios = [expected_hit_ratio(EACH * 2**step, 0.9) for step in range(7)]
    return list(np.diff(ratios))


def added_by(user: int) -> float:
    return expected_hit_ratio(EACH * user, 0.9) - expected_hit_ratio(EACH * (user - 1), 0.9)


def sent_by_users() -> list[int]:
    records = simulate(web_of_many(40, 0.9), costs=Costs.zero()).records
    return np.bincount(records.user, minlength=40).tolist()


def at_the_proxy(own: float) -> float:
    return _ratio_behind(own, 0.63)


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "The web of this lesson has 2000 pages. Every user requests 50 of them": lambda: [
        PAGES, len(asked_by(web_of_many(1, 0.9))[0]),
    ],
    "A proxy can pass requests on at three **levels of anonymity**.": lambda: [len(LEVELS)],
    "Forty users behind one forward proxy share a cache.": lambda: [max(NUMBERS)],
    "hit ratio of one cache for forty users": lambda: [max(NUMBERS)],
    "how many of the 50 requests of each user": lambda: [EACH],
    "Move *users* from 1 to 100.": lambda: list(USERS[:2]),
    "Move *similarity* to 0": lambda: [ALIKE[0]],
    "Why is the blue dot still so high when there are a hundred users?": lambda: [
        100 if share(100, 0.0).shared > 30 * share(100, 0.0).own else 0,
    ],
    "Move it to 1.4.": lambda: [ALIKE[1]],
    "This is the only difference, and it is large.": lambda: bool(
        share(40, 0.9).shared > 3 * share(40, 0.9).own
    ),
    "each doubling adds about as much as the one before. So the tenth user adds far more than the "
    "hundredth.": (
        lambda: all(0.9 < after / before < 1.2 for before, after in itertools.pairwise(added_by_doubling()))
        and added_by(10) > 5 * added_by(100)
    ),
    "Up to forty real clients": lambda: [max(NUMBERS)],
    "some of them have not sent exactly 50 requests": lambda: [EACH if set(sent_by_users()) != {EACH} else 0],
    "It tries seven ways to reach a server": lambda: [len(repr(what_still_leaks()).splitlines())],
    "63 % together and 18 % in the browsers, so only 55 % in the log of the proxy.": lambda: [
        100 * share(40, 0.9).shared, 100 * share(40, 0.9).own, 100 * _ratio_behind(*_CASES[0]),
    ],
    "the same forty users": lambda: [max(NUMBERS)],
    "so that half of the requests are hits, at a similarity of 0.6?": lambda: [
        next(ratio for users in range(1, 100) if (ratio := expected_hit_ratio(EACH * users, 0.6)) >= 0.5),
        (ALIKE[0], 0.6),
    ],
    "* A cache behind another cache looks worse than it is.": lambda: bool(at_the_proxy(0.18) < 0.63),
    "look worse than it is for its users. The better the browsers cache, the worse it looks.": lambda: bool(
        at_the_proxy(0.4) < at_the_proxy(0.18) < 0.63
    ),
}  # fmt: skip

OTHERS = {
    "counted in this very text": (
        "This has three effects", "Only two things matter", "The remaining difference has two causes",
        "It has three limits", "solves the first two problems",
    ),
    "a step of an argument": (
        "And two users may request", "But one user is not the average of forty", "How far is this user",
        "take 100 requests", "of 100 requests", "One more point is worse", "That is enough to reconstruct",
        "Chain two proxies", "far end",
    ),
    "about the world": (
        "nearly the whole web uses https", "But hardly any program supports this",
        "it uses a chain of three proxies", "A good default is to keep little",
    ),
}  # fmt: skip
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(4, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(4, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(4, REASONS) == []
