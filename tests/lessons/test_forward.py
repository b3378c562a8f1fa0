"""Lesson 4, the forward proxy: its simulations, figures, measurements and exercise."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure

from lessons.forward import (
    CLIENT,
    EACH,
    LevelsTable,
    expected_hit_ratio,
    explore_sharing,
    measure_sharing,
    ratio_behind,
    share,
    visit,
    what_still_leaks,
    what_the_origin_sees,
)
from lessons.forward.exercise import _examine, _ratio_behind
from lessons.forward.explorer import ALIKE, USERS
from lessons.forward.shared_cache import _shared, asked_by, figure_of_sharing, in_words, web_of_many
from lessons.forward.shared_cache_measured import sharing_table
from lessons.kit import Exercise
from lessons.kit.display import png
from policies.forward.anonymity import TABLE

CORNERS = list(itertools.product(USERS[:2], ALIKE[:2]))


# --- one cache for many --------------------------------------------------------------------------


@pytest.mark.parametrize(("users", "alike"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second_within_its_axes(
    users: int, alike: float, in_a_second: Callable[[Callable[[], Any]], Any]
) -> None:
    def answer() -> tuple[Any, Figure, bytes]:
        _shared.cache_clear()
        found = share(users, alike)
        figure = figure_of_sharing(found, {users: found.shared})
        return found, figure, png(figure)

    found, figure, data = in_a_second(answer)
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (374, 1100)
    ratios, asked = figure.axes
    assert (ratios.get_ylim(), asked.get_ylim()) == ((0.0, 1.0), (0.0, pytest.approx(1.15 * EACH)))
    assert 0 <= found.own <= 1 and 0 <= found.shared <= 1


@pytest.mark.parametrize("alike", [0.0, 0.9, 1.4])
def test_the_formula_agrees_with_requests_drawn_by_chance(alike: float) -> None:
    rng = np.random.default_rng(5)
    weights = 1 / np.arange(1, 2001) ** alike
    drawn = [rng.choice(2000, 400, p=weights / weights.sum()) for _ in range(30)]
    seen = np.mean([1 - len(set(pages)) / 400 for pages in drawn])
    assert expected_hit_ratio(400, alike) == pytest.approx(seen, abs=0.012)


def test_the_simulated_cache_keeps_to_the_formula() -> None:
    for users in (10, 40, 100):
        assert share(users, 0.9).shared == pytest.approx(expected_hit_ratio(users * EACH, 0.9), abs=0.03)


def test_users_keep_their_requests_when_others_come() -> None:
    few, many = asked_by(web_of_many(3, 0.9)), asked_by(web_of_many(9, 0.9))
    assert many[:3] == few and all(len(pages) == EACH for pages in many)


def test_sliders_change_the_picture_in_place() -> None:
    explorer = explore_sharing(10, 0.5)
    before = explorer.picture.data
    explorer.users.value = 20
    assert explorer.picture.data == png(figure_of_sharing(share(20, 0.5))) != before
    explorer.alike.value = 1.0
    assert explorer.picture.data == png(figure_of_sharing(share(20, 1.0)))
    assert explorer._note.value == in_words(share(20, 1.0))


def test_the_real_proxy_does_what_was_predicted_but_for_tunnels() -> None:
    steps: list[float] = []
    measured = measure_sharing(8, 0.9, steps.append)
    assert measured == pytest.approx(expected_hit_ratio(8 * EACH, 0.9), abs=0.06)
    assert steps == [EACH] * 8
    assert measure_sharing(2, 0.9, tunnelled=True) == 0.0
    assert "predicted" in sharing_table({8: measured}, 0.9)


# --- what is learned -----------------------------------------------------------------------------


def test_only_a_transparent_proxy_tells_the_address_and_none_removes_the_cookie() -> None:
    found = what_the_origin_sees()
    assert found.cases_that_reveal(CLIENT) == ["no proxy", "transparent"]
    assert {seen.fields["Cookie"] for seen in found.seen.values()} == {"visitor=4711"}
    assert ["Via" in seen.fields for seen in found.seen.values()] == [False, True, True, False]
    assert "for=127.0.0.2" in found._repr_html_() and "127.0.0.2" in repr(found)


def test_fields_of_ones_own_can_be_sent() -> None:
    found = what_the_origin_sees({"X-Real-IP": "192.0.2.9"})
    assert found.cases_that_reveal("192.0.2.9") == ["no proxy", "transparent"]


def test_the_table_of_levels_is_the_one_that_the_proxy_obeys() -> None:
    rows = LevelsTable().rows()
    assert [row[0].strip("`") for row in rows] == list(TABLE)
    assert rows[0] == ["`Via`", "added to", "added to", "removed"]
    assert "X-Real-IP" in LevelsTable()._repr_html_() and "X-Real-IP" in repr(LevelsTable())


def test_what_still_leaks_is_what_the_lesson_says() -> None:
    found = what_still_leaks()
    plain, tunnel, by_name, by_address, datagrams, direct, its_datagrams = found.ways
    assert [way.came_from == CLIENT for way in found.ways] == [False] * 5 + [True] * 2
    assert set(plain.fields) & {"From", "Referer", "X-Forwarded-For", "Via"} == set()
    for way in (tunnel, by_name, by_address, direct):
        assert {"From", "Referer", "X-Forwarded-For", "Cookie"} <= set(way.fields)
    assert plain.proxy_reads.startswith("everything: GET http://localhost:")
    assert tunnel.proxy_reads.startswith("localhost:") and by_name.proxy_reads.startswith("localhost:")
    assert by_address.proxy_reads.startswith("127.0.0.1:") and by_address.resolved_by == "your machine"
    assert datagrams.proxy_reads == "a client's datagrams, 5 bytes out and 0 back"
    assert direct.proxy_reads == its_datagrams.proxy_reads == "nothing"
    assert "the proxy's log" in found._repr_html_() and len(repr(found).splitlines()) == 7


def test_visits_say_which_rule_blocked_them_and_the_log_remembers() -> None:
    found = visit(
        ["http://news.test/a", "http://x.ads.test/", "ads.test:443", "shop.test:443"], ["*.ads.test"]
    )
    assert [row[1] for row in found.rows()] == ["200", "403", "200", "200"]
    assert found.rows()[1][2] == "forward.block: *.ads.test blocks x.ads.test"
    assert found.reached == 1, "tunnels carried nothing"
    assert "http://news.test/a" in found.log._repr_html_() and "CONNECT" in repr(found.log)
    assert "ads.test" in found._repr_html_() and "403" in repr(found)


# --- the exercise --------------------------------------------------------------------------------


@pytest.fixture
def exercise() -> Exercise:
    return Exercise(_examine, ratio_behind._hints, ratio_behind._why)


@pytest.mark.parametrize("answer", [None, ..., lambda *_: ..., lambda *_: None])
def test_the_exercise_can_be_left_for_later(exercise: Exercise, answer: Any) -> None:
    assert exercise.check(answer).right is None


def test_the_right_ratio_is_told_why(exercise: Exercise) -> None:
    feedback = exercise.check(lambda own, together: 1 - (1 - together) / (1 - own))
    assert feedback.right is True
    assert "behind another one" in feedback.text


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (lambda _own, together: together, "never sees the hits of the browsers"),
        (lambda own, together: together - own, "only gets the browsers' misses"),
        (lambda own, together: (together - own) / together, "share of all hits"),
        (lambda own, together: (together - own) / own, "does not get"),
        (lambda own, together: (1 - together) / (1 - own), "miss ratio"),
        (lambda own, together: 100 * _ratio_behind(own, together), "a percentage"),
        (lambda *_: -1, "between 0 and 1"),
        (lambda *_: 0.5, "59% of the requests"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(
    exercise: Exercise, answer: Callable[[float, float], object], finding: str
) -> None:
    feedback = exercise.check(answer)
    assert feedback.right is False
    assert finding in feedback.text and "Hint 1 of 3" in feedback.text


def test_browsers_that_cache_leave_the_proxy_what_the_exercise_says() -> None:
    everybody = asked_by(web_of_many(20, 0.9))
    left = [list(dict.fromkeys(pages)) for pages in everybody]  # a browser asks once for each page
    sent, asked, pages = 20 * EACH, sum(map(len, left)), {page for one in left for page in one}
    own, together = 1 - asked / sent, 1 - len(pages) / sent
    assert 1 - len(pages) / asked == pytest.approx(_ratio_behind(own, together))
