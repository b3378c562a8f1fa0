"""Lesson 11: cells to click, every position of the lists, the measurement's tables, and the exercise."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from lessons.kit import Exercise
from lessons.kit.display import png
from lessons.proxy_or_vpn import (
    clear_wires,
    explore_exposure,
    measured,
    predict_cells,
    proof_of,
    readers,
    states_of,
    ways_that_show_others,
)
from lessons.proxy_or_vpn.cells import WAYS
from lessons.proxy_or_vpn.exercise import _CASES, _clear, _examine
from lessons.proxy_or_vpn.measured import measure_in_notebook, summary_html
from twin.exposure import Cell, Exposure, Item, Observer, State, Way
from twin.exposure.model import modelled
from twin.exposure.vocabulary import Visit, visits_of


def table(*, is_measured: bool = True, wrong: tuple[Observer, Item] | None = None) -> Exposure:
    """A table as the measurement makes it, perhaps with one cell that the model did not foresee."""
    ways = tuple(way for way in Way if way is not Way.WIREGUARD)
    found = {visit: replace(modelled(visit), measured=is_measured) for visit in visits_of(ways)}
    if wrong:
        visit = Visit(Way.VPN)
        found[visit] = replace(found[visit], cells=dict(found[visit].cells) | {wrong: Cell.SEEN})
    return Exposure(ways, True, found, {} if is_measured else dict.fromkeys(ways, "not root"))


def test_a_click_goes_through_all_answers_and_back() -> None:
    mine = predict_cells()
    button = mine.buttons[Item.PATH, Way.VPN]
    seen = []
    for _ in range(5):
        seen.append(button.description)
        button.click()
    assert seen == ["?", "●", "◐", "·", "?"]
    assert mine.guesses == {(Observer.LOCAL, Item.PATH, Way.VPN): Cell.SEEN}


def test_each_observer_has_cells_of_its_own_that_are_kept() -> None:
    mine = predict_cells()
    mine.buttons[Item.HOST, Way.CONNECT].click()
    mine.observer.value = Observer.SITE
    assert mine.buttons[Item.HOST, Way.CONNECT].description == "?"
    mine.observer.value = Observer.LOCAL
    assert mine.buttons[Item.HOST, Way.CONNECT].description == "●"
    assert "so far: 1." in repr(mine) and mine.unmeasured == list(map(str, WAYS))


def test_the_results_stand_beside_the_guesses_wrong_ones_first() -> None:
    mine = predict_cells()
    mine.buttons[Item.CLIENT, Way.VPN].click()
    mine.buttons[Item.HOST, Way.VPN].click()
    shown = mine.measured(table())
    assert [row[-1] for row in shown.rows] == ["wrong", "right", ""]
    assert shown.rows[0] == ["local network, host name, vpn", "seen in the bytes", "not seen", "wrong"]
    assert mine.right == 1 and repr(mine) == "Predicted cells: 2, right: 1." == shown.rows[-1][0]
    assert mine.unmeasured == []
    assert "measured, seen in the bytes: connect: client address" in mine.picture.alt
    assert "<table>" in shown._repr_html_() and "measured" in shown.head


def test_without_a_measurement_the_results_are_called_modelled() -> None:
    mine = predict_cells()
    assert "modelled" in mine.measured(table(is_measured=False)).head
    assert "local network: modelled" in mine.picture.alt and mine.unmeasured == []
    html = summary_html(table(is_measured=False))
    assert "Not measured: modelled." in html and "not root." in html
    assert "fails, modelled" in states_of(table(is_measured=False)).head


def test_the_summary_counts_cells_that_the_model_did_not_foresee() -> None:
    cells = [row.split("</td>") for row in summary_html(table()).split("<tr>")[2:]]
    assert {row[3].rpartition(">")[2] for row in cells} == {"0"}
    surprising = summary_html(table(wrong=(Observer.LOCAL, Item.PATH)))
    assert [row.split("</td>")[3].rpartition(">")[2] for row in surprising.split("<tr>")[2:]][-1] == "1"


def test_the_states_say_who_learns_what() -> None:
    rows = {row[0]: row[1:] for row in states_of(table()).rows}
    assert rows["CONNECT, proxy or tunnel dead"] == ["closed", "–"]
    assert (
        rows["VPN, proxy or tunnel dead"][0] == "open"
        and "client address" in rows["VPN, IPv6 beside IPv4"][1]
    )
    assert not any(name.startswith("direct") for name in rows)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("way", Way)
def test_every_choice_of_the_lists_has_its_picture(way: Way, state: State) -> None:
    explorer = explore_exposure(way)
    explorer.way.value, explorer.state.value = way, state
    drawn = explorer.draw()
    assert "local network" in drawn.description and drawn.note


def test_a_choice_is_drawn_in_under_a_second(in_a_second: Callable[[Callable[[], bytes]], bytes]) -> None:
    explorer, mine = explore_exposure(), predict_cells()
    assert in_a_second(lambda: png(explorer.draw().figure)).startswith(b"\x89PNG")
    assert in_a_second(lambda: png(mine.draw().figure)).startswith(b"\x89PNG")


def test_where_nothing_can_be_measured_the_cell_shows_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from twin.exposure import exposure

    shown: list[object] = []
    for module in (measured, exposure):
        monkeypatch.setattr(module, "obstacles", lambda ways: dict.fromkeys(ways, "not root"))
    monkeypatch.setattr(measured, "display", shown.append)
    found = measure_in_notebook()
    assert len(shown) == 2 and "Not measured" in shown[0].data  # type: ignore[attr-defined]
    assert not any(map(found.measured, found.ways))
    assert [row[1] for row in proof_of(found).rows] == ["0"] * 4


@pytest.mark.skipif(getattr(os, "geteuid", lambda: -1)() != 0, reason="needs root")
@pytest.mark.needs("ip")
def test_the_measurement_agrees_with_the_model_and_proves_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "display", lambda _: None)
    found = measure_in_notebook((Way.CONNECT, Way.VPN))
    assert summary_html(found).count(">0<") == 2 and "Not measured" not in summary_html(found)
    assert proof_of(found).rows[-1][1] == "0"


@pytest.mark.parametrize("case", _CASES)
def test_the_content_is_hidden_as_far_as_the_longer_encryption_goes(case: tuple[int, int, int]) -> None:
    wires, vpn_end, tls_end = case
    covered = {wire for end in (vpn_end, tls_end) for wire in range(end)}
    assert _clear(*case) == wires - len(covered)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _, vpn, tls: max(vpn, tls), "These are the wires on which"),
        (lambda wires, vpn, _: wires - vpn, "TLS hides the content, too"),
        (lambda wires, _, tls: wires - tls, "The VPN hides the content, too"),
        (lambda wires, vpn, tls: wires - vpn - tls, "the same wires first"),
        (lambda *_: -1, "There are 4 wires"),
        (lambda *_: 3, "Count the wires that neither"),
    ],
)
def test_a_known_mistake_is_called_by_its_name(answer: Callable[..., int], said: str) -> None:
    feedback = Exercise(_examine, ["a hint"], "why").check(answer)
    assert feedback.right is False
    assert said in feedback.text


def test_the_solution_is_right() -> None:
    assert Exercise(_examine, ["a hint"], "why").check(lambda wires, vpn, tls: wires - max(vpn, tls)).right
    assert clear_wires.check(None).right is None


def test_the_numbers_of_the_predictions_are_those_of_model_and_measurement() -> None:
    for found in (None, table()):
        assert readers("host name", "vpn", found) == 5
        assert readers("path", "vpn", found) == 1
        assert ways_that_show_others(found) == len(WAYS) - 1
    assert readers("path", "vpn", table(wrong=(Observer.LOCAL, Item.PATH))) == 2


def test_a_number_of_the_model_is_never_put_among_the_measured_ones() -> None:
    assert readers("path", "vpn", table(is_measured=False)) is None
    assert ways_that_show_others(table(is_measured=False)) is None
