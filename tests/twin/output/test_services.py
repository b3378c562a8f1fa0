"""The table of services: shares, errors and the rollback of a canary."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from scenarios import Summary
from scenarios.shares import ServiceFigures
from twin.output.services import services_table
from twin.output.sheet import Sheet

Make = Callable[..., Summary]


def shown(sheet: Sheet | None, width: int = 100) -> list[str]:
    assert sheet is not None
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(sheet)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def cells(lines: list[str]) -> list[list[str]]:
    rows = [line.replace("┃", "│") for line in lines if line[:1] in "│┃"]
    return [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]


def canary(summary: Make, ratio: float | None, seconds: float | None) -> Summary:
    services = {"api": ServiceFigures(0.9, 0.01, 900.0), "new": ServiceFigures(0.1, None, 100.0)}
    return summary(rollback_ratio=ratio, rollback_s=seconds, services=services)


def test_one_service_alone_has_no_table(summary: Make) -> None:
    assert services_table(["a"], {"predicted": [summary()]}) is None


def test_both_twins_stand_below_each_other(summary: Make) -> None:
    sides = {"predicted": [canary(summary, 1.0, 3.21)], "measured": [canary(summary, 0.5, None)]}
    above, below, said, seen = cells(shown(services_table(["a"], sides)))
    heads = [f"{one} {other}".strip() for one, other in zip(above, below, strict=True)]
    assert heads[2:] == ["api share", "api errors", "new share", "new errors", "rolled back", "after, s"]
    assert said == ["a", "predicted", "90.0%", "1.0%", "10.0%", "–", "100%", "3.21"]
    assert seen == ["", "measured", "90.0%", "1.0%", "10.0%", "–", "50%", "–"]


def test_without_a_watch_nothing_is_said_of_rollbacks(summary: Make) -> None:
    lines = shown(services_table(["a"], {"predicted": [canary(summary, None, None)]}))
    assert "rolled back" not in "".join(lines)


def test_it_fits_a_narrow_terminal(summary: Make) -> None:
    sides = {"predicted": [canary(summary, 1.0, 3.21)], "measured": [canary(summary, 0.5, None)]}
    lines = shown(services_table(["a"], sides), width=30)
    assert max(map(len, lines)) <= 30
    assert "3.21" in "".join(lines)
