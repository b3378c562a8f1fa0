"""The checks of claims can fail: on a wrong number, a missing one, a new one, and a text that is gone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

SAID = "340 ms, against 111 ms with"


@pytest.mark.parametrize("computed", [[340.4, 110.6], [(300, 345), 111]])
def test_what_is_computed_may_differ_by_half_of_the_last_digit(
    computed: list[float], against_text: Callable[..., None]
) -> None:
    against_text(1, SAID, computed)


@pytest.mark.parametrize(
    ("said", "computed"),
    [
        (SAID, [341, 111]),
        (SAID, [340, 110]),
        (SAID, [(341, 350), 111]),
        (SAID, [340]),
        (SAID, [340, 111, 3]),
        (SAID, True),
        ("344 ms, against 111 ms with", [344, 111]),
        ("their p99 grows by a third (`least_requests`) to a half (`p2c`).", [0.33, 0.7]),
        ("So all four together reach at most", False),
    ],
)
def test_any_other_difference_is_an_error(
    said: str, computed: object, against_text: Callable[..., None]
) -> None:
    with pytest.raises(AssertionError):
        against_text(1, said, computed)


@pytest.mark.parametrize("lesson", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
def test_a_text_without_claims_is_not_covered(lesson: int, uncovered: Callable[..., list[str]]) -> None:
    found = uncovered(lesson, {}, [])
    assert len(found) >= 10
    assert uncovered(lesson, {found[0][10:]: None}, []) != []


def test_words_and_texts_in_code_are_found_too(uncovered: Callable[..., list[str]]) -> None:
    found = "\n".join(uncovered(1, {}, []))
    for piece in ("Ninety users", "a quarter", "much worse suddenly", "hardly", "tails of five", "is 10 %"):
        assert piece in found, piece


def test_a_piece_that_is_in_no_text_is_unknown(unknown: Callable[..., list[str]]) -> None:
    assert unknown(1, [SAID, "no such sentence"]) == ["no such sentence"]
