"""Explorers: a saved notebook keeps the picture of the last state, and a page with a kernel shows it once."""

from __future__ import annotations

import base64
import html
from typing import Any

import pytest

from lessons.balancing import explore_pool
from lessons.both_at_once import explore_row, explore_shields
from lessons.caching import explore_capacity, explore_lifetimes, explore_stampede, explore_windows
from lessons.canary import explore_peeking, explore_rollback
from lessons.forward import explore_sharing
from lessons.ingress import explore_door
from lessons.kit import explorer as module
from lessons.kit.explorer import Explorer
from lessons.microservices import explore_limits, explore_pages, explore_storm
from lessons.not_only_http import explore_ways
from lessons.predict_then_confirm import explore_balancers
from lessons.trust import explore_runs

EXPLORERS = {
    make.__name__: make
    for make in (
        explore_balancers, explore_pool, explore_runs, explore_sharing, explore_ways, explore_capacity,
        explore_lifetimes, explore_stampede, explore_windows, explore_door, explore_rollback, explore_peeking,
        explore_pages, explore_storm, explore_limits,
        explore_row, explore_shields,
    )
}  # fmt: skip
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """What the explorers display: the bundle, and the options."""
    shown: list[tuple[dict[str, Any], dict[str, Any]]] = []
    monkeypatch.setattr(module, "display", lambda bundle, **options: shown.append((bundle, options)))
    return shown


def move(explorer: Explorer) -> None:
    """Move the first control to another place."""
    control = explorer.controls[0]
    control.value = control.max if control.value != control.max else control.min


@pytest.mark.parametrize("name", EXPLORERS)
def test_beside_the_widget_stands_its_picture_and_follows_it(
    name: str, displayed: list[tuple[dict[str, Any], dict[str, Any]]]
) -> None:
    explorer = EXPLORERS[name]()
    move(explorer)
    assert not displayed, "it is not on the page yet"
    explorer._ipython_display_()
    (widget, _), (picture, options) = displayed
    assert widget[WIDGET]["model_id"] == explorer.model_id and "image/png" not in widget
    assert_shows(explorer, picture, options)
    assert not options["update"]

    explorer.controls[0].value = explorer.controls[0].min
    ((again, updated),) = displayed[2:]
    assert updated["update"] and updated["display_id"] == options["display_id"]
    assert again["image/png"] != picture["image/png"]
    assert_shows(explorer, again, updated)


def assert_shows(explorer: Explorer, bundle: dict[str, Any], options: dict[str, Any]) -> None:
    """The bundle has the picture of the explorer's present state, and says it in words."""
    alt = options["metadata"]["image/png"]["alt"]
    assert base64.b64decode(bundle["image/png"]) == explorer.picture.data
    assert explorer.picture.data[1:4] == b"PNG"
    assert alt == bundle["text/plain"] == explorer.picture.alt
    assert f'alt="{html.escape(alt)}"' in bundle["text/html"] and bundle["image/png"] in bundle["text/html"]
    for control in explorer.controls:
        value = f"{control.value:g}" if isinstance(control.value, (int, float)) else control.value
        assert f"{control.description}: {value}" in alt
    assert len(alt) > len(explorer.setting) + 20, "not only the setting, but what comes of it"


def test_the_page_shows_the_words_of_the_picture_inside_the_widget() -> None:
    explorer = explore_sharing()
    assert f'alt="{html.escape(explorer.picture.alt)}"' in explorer.picture.value


def test_of_the_two_outputs_a_style_hides_one(displayed: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """The classes that it names are those of the widget that lives, and of the saved picture."""
    explorer = explore_sharing()
    explorer._ipython_display_()
    page = displayed[1][0]["text/html"]
    (alive,) = explorer._dom_classes
    assert f":has(.{alive}) + .jp-OutputArea-child:has(.proxytwin-saved)" in page
    assert "<div class='proxytwin-saved'>" in page
