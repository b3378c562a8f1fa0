"""What the README says about lessons and policies, counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from policies import balancing_policies
from policies.forward.anonymity import LEVELS
from twin.confirm.compare import TOLERANCE
from twin.confirm.measure import TRIES

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
LESSONS = sorted((Path(__file__).parents[3] / "notebooks").glob("*.ipynb"))
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
           "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen")  # fmt: skip


def shipped() -> list[str]:
    """The balancers of `policies.balancing`, without those that a test or a notebook defined."""
    classes = {name: balancing_policies[name] for name in balancing_policies.names()}
    return [name for name, one in classes.items() if one.__module__.startswith("policies.balancing")]


def test_the_balancers_are_counted() -> None:
    assert f"{NUMBERS[len(shipped())]} balancers" in README


def test_the_levels_of_anonymity_are_counted() -> None:
    assert f"{NUMBERS[len(LEVELS)]} levels of anonymity" in README


def test_every_lesson_has_a_row_with_the_question_that_it_asks() -> None:
    for path in LESSONS:
        number = int(path.name.partition("_")[0])
        assert f"| [{number}](notebooks/{path.name}) |" in README


@pytest.mark.parametrize("lesson", [1, 2, 3, 6, 7, 8, 10])
def test_a_lesson_confirms_within_half_a_minute(lesson: int, planned_s: Callable[[int], float]) -> None:
    """Starting and ending the real systems takes up to nine seconds more than the planned runs."""
    assert "confirm it on the real proxy within half a minute" in README.replace("\n", " ")
    assert planned_s(lesson) + 9 <= 30


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_what_the_readme_promises(path: Path) -> None:
    """A prediction, sliders, a formula, a confirmation and an exercise."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    for part in ("mine = Predictions()", "explore_", "$$", "<b>Solution</b>", ".check("):
        assert part in text, part
    assert sum("confirm" in cell["metadata"].get("tags", []) for cell in cells) == 1


def test_the_tolerances_and_the_repetitions_are_those_of_a_confirmation() -> None:
    said = README.replace("\n", " ")
    percent = {name: f"{100 * limit:.0f} %" for name, limit in TOLERANCE.items()}
    assert f"throughput is within {percent['throughput_rps']}, the mean within" in " ".join(said.split())
    rest = f"{percent['mean_ms']}, p50 within {percent['p50_ms']}, p95 within {percent['p95_ms']}"
    assert rest in " ".join(said.split())
    assert f"repeated up to {['', 'once', 'twice'][TRIES - 1]}" in " ".join(said.split())
