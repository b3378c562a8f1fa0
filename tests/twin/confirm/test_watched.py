"""A confirmation of a split route: table, JSON, page and sentences tell of arms and rollbacks."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from scenarios.loading import LoadedScenario
from twin.cli.terminal import print_confirmation, print_summaries
from twin.confirm.conclusion import how_judged
from twin.confirm.outcome import Confirmation
from twin.confirm.report import confirmation_page

WATCHED: dict[str, Any] = {
    "title": "watched",
    "seed": 3,
    "duration": "4s",
    "warmup": "0s",
    "workload": {"rate": "300/s"},
    "backend": {
        "api": {"concurrency": 20, "service_time": "2ms"},
        "new": {"concurrency": 20, "service_time": "2ms"},
    },
    "proxy": {
        "route": [{"to": {"api": 4, "new": 1}, "canary": {"watch": "new"}}],
        "service": {"api": {"upstreams": "api"}, "new": {"upstreams": "new"}},
    },
    "compare": {"backend.new.errors": [0.0, 0.5]},
}


@pytest.fixture(scope="module")
def loaded(load: Callable[..., LoadedScenario]) -> LoadedScenario:
    return load(WATCHED)


@pytest.fixture(scope="module")
def watched(loaded: LoadedScenario, confirmation: Callable[..., Confirmation]) -> Confirmation:
    return confirmation(loaded)


def printed(print_it: Callable[[Console], None]) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    print_it(console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_model_rolls_the_bad_one_back_and_keeps_the_good_one(watched: Confirmation) -> None:
    good, bad = (outcome.simulated for outcome in watched.variants)
    assert (good.rollback_ratio, good.rollback_s) == (0.0, None)
    assert bad.rollback_ratio == 1.0
    assert bad.rollback_s is not None
    assert {outcome.verdict for outcome in watched.variants} == {"confirmed"}


def test_the_terminal_shows_both_twins(watched: Confirmation) -> None:
    text = printed(lambda console: print_confirmation(watched, console))
    said = watched.variants[1].simulated
    for part in ("rolled back", "100%", f"{said.rollback_s:.2f}", f"{said.services['new'].error_ratio:.1%}"):
        assert part in text
    assert "Time of rollback: 10 %, or 0.25 s" in text


def test_one_twin_alone_is_shown_too(watched: Confirmation, loaded: LoadedScenario) -> None:
    summaries = [outcome.simulated for outcome in watched.variants]
    text = printed(lambda console: print_summaries(loaded, summaries, "predicted", console))
    assert f"{summaries[1].rollback_s:.2f}" in text


def test_the_json_has_every_figure_with_its_difference_noise_and_tolerance(watched: Confirmation) -> None:
    data = json.loads(json.dumps(watched.as_dict(), allow_nan=False))
    good, bad = data["variants"]
    assert bad["simulated"]["services"]["new"].keys() == {"share", "error_ratio", "answers"}
    assert bad["simulated"]["rollback_ratio"] == 1.0
    assert "rollback_s" not in good["simulated"]
    for name in ("service_share.new", "service_errors.new", "rollback_ratio", "rollback_s"):
        assert name in bad["difference"]
        assert name in bad["noise"]
        assert bad["tolerance"][name] > 0
    assert good["difference"]["rollback_s"] is None


def test_the_page_marks_a_rollback_that_only_one_twin_saw(watched: Confirmation) -> None:
    page = confirmation_page(watched)
    assert "Services: share of the requests, and errors" in page
    assert "rolled back" in page
    assert 'class="beyond"' not in page
    bad = watched.variants[1]
    apart = bad.difference | {"rollback_ratio": 1.0}
    only = replace(bad, measured=replace(bad.measured, rollback_ratio=0.0, rollback_s=None), difference=apart)
    assert '<td class="beyond">+100.0 pp</td>' in confirmation_page(replace(watched, variants=[only]))


def test_a_small_difference_of_a_late_moment_is_told_in_seconds(watched: Confirmation) -> None:
    bad = watched.variants[1]
    off = replace(
        bad,
        measured=replace(bad.measured, rollback_s=0.5),
        difference=bad.difference | {"rollback_s": 0.4},
    )
    assert off.difference_text("rollback_s") == "+0.20s"


def test_without_services_nothing_is_said_of_them(balanced: Confirmation) -> None:
    assert balanced.service_metrics == []
    assert not any("rollback" in line or "service" in line for line in how_judged(balanced))
    assert "Services" not in confirmation_page(balanced)
