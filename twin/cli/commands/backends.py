"""The command `backends`: a scenario's backends alone, for a proxy that runs already."""

from __future__ import annotations

from typing import Annotated

import typer

from policies.bad_input import BadInput
from twin.cli.commands.options import Overrides, ScenarioName


def backends(
    scenario: ScenarioName,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the first replica; the others follow.")
    ] = 9001,
    overrides: Overrides = None,
) -> None:
    """Run only a scenario's real backends, until Ctrl-C.

    For a proxy of one's own: configure it to lead to these addresses, and then measure it with
    `proxytwin confirm SCENARIO --target URL`.
    """
    from loadtests.backend.standing import stand
    from loadtests.run.backend_spec import backend_spec
    from loadtests.run.target import check_standing
    from scenarios import load_scenario
    from scenarios.schema import check_real

    loaded = load_scenario(scenario, overrides or ()).scenario
    check_real(loaded, scenario)
    check_standing(loaded, scenario)
    last = port + len(loaded.replicas) - 1
    if last > 65535:
        raise BadInput(
            "--port", str(port), f"{len(loaded.replicas)} replicas follow it; expected a lower one"
        )
    try:
        stand(backend_spec(loaded)[0], port, _say)
    except OSError as problem:
        shown = str(port) if port == last else f"{port} to {last}"
        raise BadInput("--port", shown, f"cannot be used: {problem.strerror}") from None


def _say(ports: dict[str, int]) -> None:
    for name, port in ports.items():
        print(f"{name} 127.0.0.1:{port}", flush=True)
