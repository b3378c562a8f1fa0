"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from policies.bad_input import BadInput
from scenarios import shipped_scenarios

_SCENARIO_HELP = f"A scenario file, or the name of a shipped scenario: {', '.join(shipped_scenarios())}."
ScenarioName = Annotated[str, typer.Argument(metavar="SCENARIO", help=_SCENARIO_HELP)]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a setting, such as workload.users=20; may be repeated."
    ),
]


def check_jobs(jobs: int | None) -> None:
    """Raise `BadInput` if the number of processes is 0."""
    if jobs == 0:
        raise BadInput("--jobs", "0", "expected a number of processes, or -1 for one per core")


def check_needs(given: bool, option: str, other_given: bool, other: str) -> None:
    """Raise `BadInput` if an option is given without the other one that it belongs to."""
    if given and not other_given:
        raise BadInput(option, "", f"has no effect without {other}; expected both or none of them")
