"""Lesson 7, ingress: its rules, its door over the whole range of the sliders, formulas, and a real door."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable

import matplotlib.image
import pytest

from lessons.ingress import (
    REQUESTS,
    RULES,
    behind_tls,
    door_runs,
    explain_request,
    explore_door,
    explore_rules,
    knock,
    mean_ms,
    requests_of,
    simulated_door,
)
from lessons.ingress.exercise import _CASES, _examine, _mistake, _most
from lessons.ingress.explorers import AS_WRITTEN
from lessons.ingress.front_door import REDIRECTED
from lessons.ingress.rules import door, figure_of_rules, in_order, rule_of, would_match
from lessons.ingress.shared_door import (
    CART_MS,
    RATES,
    SERVICES,
    SHARES,
    erlang_c,
    expected_ms,
    figure_of_door,
    one_door,
)
from lessons.kit import Exercise
from lessons.kit.display import png
from policies.reverse.routing import RequestAttributes, Routes
from scenarios.schema import check_real

ORDERS = [(), *((name,) for name in RULES)]
CORNERS = list(itertools.product(CART_MS[:2], RATES[:2]))


@pytest.mark.parametrize("first", ORDERS, ids=lambda first: "".join(first) or AS_WRITTEN)
def test_a_rule_takes_what_it_would_match_unless_an_earlier_one_does(first: tuple[str, ...]) -> None:
    for request in REQUESTS:
        matching = [name for name in in_order(first) if would_match(name, request)]
        assert rule_of(request, first) == matching[0]


@pytest.mark.parametrize("first", ORDERS, ids=lambda first: "".join(first) or AS_WRITTEN)
def test_a_real_door_sends_every_request_where_it_was_foreseen(first: tuple[str, ...]) -> None:
    foreseen = {request.written: rule_of(request, first) for request in REQUESTS}
    assert knock(first) == foreseen


def test_the_services_are_those_of_the_rules() -> None:
    named = {rule["to"]: name for name, rule in RULES.items() if "to" in rule}
    assert named == {"api": "api", "beta": "beta", "pictures": "pictures", "shop": "all else"}
    assert REDIRECTED in RULES and "redirect" in RULES[REDIRECTED]


def test_rules_keep_to_the_notebook() -> None:
    assert requests_of("beta") == 0 and requests_of("beta", ["beta"]) == 1
    assert requests_of("all else", ["all else"]) == len(REQUESTS)
    before, after = ({one.written: rule_of(one, first) for one in REQUESTS} for first in ((), ("moved",)))
    assert [name for name in before if before[name] != after[name]] == ["old.test/api/cart"]


def test_the_lines_of_explain_are_shown_in_full() -> None:
    shown = explain_request(REQUESTS[0])
    assert str(shown).startswith("route.0: yes, matches prefix /api\nreverse: service api")
    assert "rewrite" in shown._repr_html_() and "the upstream gets /cart" in shown._repr_html_()


def test_the_picture_of_rules_has_a_full_dot_for_each_request() -> None:
    (panel,) = figure_of_rules(["moved"], 2).axes
    takes, matches = panel.get_lines()
    assert list(takes.get_ydata()) == list(range(len(REQUESTS)))
    order = in_order(["moved"])
    assert [order[place] for place in takes.get_xdata()] == [rule_of(one, ["moved"]) for one in REQUESTS]
    assert all(x > takes.get_xdata()[y] for x, y in zip(*matches.get_data(), strict=True))


def test_the_rules_explorer_says_which_rule_and_why() -> None:
    explorer = explore_rules()
    assert "old.test/api/cart by api" in explorer.picture.alt
    explorer.request.value = 6
    assert "About the highlighted one: route.0: yes, matches prefix /api; reverse" in explorer.picture.alt
    assert "order of the rules: as in the file, look at: old.test/api/cart" in explorer.picture.alt
    explorer.first.value = ("moved",)
    assert "redirect: https://shop.test/api/cart" in explorer.picture.alt
    assert "old.test/api/cart by moved" in explorer.picture.alt


def test_a_door_with_tls_shows_each_name_its_certificate_and_refuses_others() -> None:
    redirected, rewritten, misdirected, blog, nameless = behind_tls().rows
    assert redirected[3:] == ["308, to `https://shop.test/cart`", "nothing"]
    assert rewritten[2:] == ["shop.test", "200", "`/cart`, Host: api.internal, X-Door: one"]
    assert misdirected[2:] == ["shop.test", "421", "nothing"]
    assert blog[2:] == ["blog.test", "200", "`/`, Host: blog.test"]
    assert nameless[2:] == ["shop.test", "200", "`/`, Host: shop.test"]


@pytest.mark.parametrize(("cart_ms", "rate"), CORNERS)
def test_every_corner_of_the_sliders_is_answered_in_under_a_second(
    cart_ms: float, rate: float, in_a_second: Callable[[Callable[[], bytes]], bytes]
) -> None:
    def answer() -> bytes:
        simulated_door.cache_clear()
        return png(figure_of_door(cart_ms, rate))

    data = in_a_second(answer)
    assert matplotlib.image.imread(io.BytesIO(data)).shape[:2] == (363, 1100)


def test_axes_stand_still_and_nothing_lies_beyond_them() -> None:
    drawn = [(corner, figure_of_door(*corner)) for corner in CORNERS]
    limits = {tuple((panel.get_xlim(), panel.get_ylim()) for panel in figure.axes) for _, figure in drawn}
    assert len(limits) == 1
    for corner, figure in drawn:
        assert max(simulated_door(*corner).mean_ms.values()) < figure.axes[0].get_ylim()[1]
        assert all(panel.get_xlabel() and panel.get_title() for panel in figure.axes)


def test_a_slider_changes_the_picture_in_place() -> None:
    explorer = explore_door(60, 300)
    before = explorer.picture.data
    explorer.cart.value = 10
    assert explorer.picture.data == png(figure_of_door(10, 300)) != before
    explorer.rate.value = 100
    assert explorer.picture.data == png(figure_of_door(10, 100))


def test_erlangs_formula_has_its_known_values() -> None:
    """M/M/1 waits with probability a; tables give .8 Erlang at 2 slots .2286, and 8 Erlang at 10 .4092."""
    assert erlang_c(0.7, 1) == pytest.approx(0.7)
    assert erlang_c(0.8, 2) == pytest.approx(2 * 0.4**2 / 1.4)
    assert erlang_c(8.0, 10) == pytest.approx(0.4092, abs=5e-5)
    assert erlang_c(0.0, 3) == 0.0
    assert mean_ms(50, 10, 1) == pytest.approx(20.0)
    assert mean_ms(100, 10, 1) == float("inf")


@pytest.mark.parametrize("cart_ms", [15, 40, 60])
def test_each_service_is_a_queue_of_its_own(cart_ms: float) -> None:
    found = simulated_door(cart_ms, 300, duration_s=60)
    assert found.mean_ms["cart"] == pytest.approx(expected_ms("cart", cart_ms, 300), rel=0.06)
    assert found.mean_ms["shop"] == pytest.approx(expected_ms("shop", cart_ms, 300), rel=0.04)
    assert found.inside == pytest.approx(found.rate * found.mean_ms["all"] / 1e3, rel=0.02)


def test_the_shares_are_those_of_the_rules() -> None:
    scenario = one_door().scenario
    routes = Routes(scenario.proxy.route)
    took = [
        routes.match(RequestAttributes("", f"/objects/{number}", "GET", "127.0.0.1", lambda _name: None))
        for number in range(scenario.workload.objects)
    ]
    to = [route.to for route in scenario.proxy.route]
    shares = {name: sum(to[place] == name for place in took if place is not None) / len(took) for name in to}
    assert shares == pytest.approx(SHARES)
    assert sum(SHARES.values()) == pytest.approx(1.0) and set(SHARES) == set(SERVICES)


def test_the_runs_of_the_lesson_can_be_measured() -> None:
    for variant in door_runs().variants:
        check_real(variant.scenario, "the lesson")
    assert door().route[0].rewrite is not None


@pytest.mark.parametrize("case", _CASES)
def test_at_the_limit_so_much_of_the_service_is_busy(case: tuple[float, int, float, float]) -> None:
    share, slots, work_s, busy = case
    assert _most(*case) * share * work_s / slots == pytest.approx(busy)


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        (0.8 * 8 / 0.06, "rate at the service"),
        (8 / (0.3 * 0.06), "grows without end"),
        (8 / 0.06, "Use `busy`, and the share"),
        (0.8 * 8 * 0.3 / 0.06, "Divide by the share"),
        (0.8 / (0.3 * 0.06), "for one slot"),
        (0.8 * 8 / (0.3 * 60), "in seconds"),
        (-1.0, "no request comes"),
        (100.0, "the share 0.225 of"),
        (1.7e308, "overloaded"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(given: float, finding: str) -> None:
    assert finding in _mistake(given, *_CASES[0])


def test_the_solution_is_right_and_that_of_another_service_is_not() -> None:
    exercise = Exercise(_examine, ["a", "b", "c"], "why")
    assert exercise.check(lambda share, slots, work_s, busy: busy * slots / (share * work_s)).right is True
    feedback = exercise.check(lambda share, slots, work_s, busy: busy * slots / work_s * (share > 0))
    assert feedback.right is False and "rate at the service" in feedback.text
