"""Several real twins of one scenario: each is calibrated, predicted and measured by itself.

Each real twin has its own costs, so each has its own prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loadtests.peers.registry import OURS, PEERS, check_peers, titled
from loadtests.run.target import Target
from policies.bad_input import BadInput
from scenarios.loading import LoadedScenario
from twin.confirm import procedure
from twin.confirm.outcome import Confirmation
from twin.confirm.procedure import REPEATS
from twin.progress import Quiet, Reporter

TARGET = "target"
"""The name of a proxy that runs already."""


def confirm_each(
    loaded: LoadedScenario,
    real: Sequence[str],
    *,
    seeds: int = 1,
    repeats: int = REPEATS,
    reporter: Reporter | None = None,
    target: Target | None = None,
    **options: Any,
) -> dict[str, Confirmation]:
    """The confirmation of each real twin, by its name; more `options` are those of `confirm`.

    Raises
    ------
    BadInput
        Before anything starts, if one of them is not installed or cannot obey one of the variants.
    """
    reporter = reporter or Quiet()
    check_peers(real, [variant.scenario for variant in loaded.variants], loaded.name)
    if target is not None:
        check_target(target, loaded)
        return {
            TARGET: procedure.confirm(
                loaded, seeds=seeds, repeats=repeats, reporter=reporter, target=target, **options
            )
        }
    found = {}
    for name in real:
        reporter.note(titled(name))
        one = procedure.confirm(loaded, seeds=seeds, repeats=repeats, reporter=reporter, real=name, **options)
        found[name] = replace(one, of_real=notes_of(name, loaded))
    return found


def check_target(target: Target, loaded: LoadedScenario) -> None:
    """Raise `BadInput` if a proxy that runs already cannot be what the scenario compares."""
    if len(loaded.variants) > 1:
        key = ", ".join(loaded.scenario.compare)
        problem = "--target is one proxy with one setting; expected one value, given with --set"
        raise BadInput(loaded.name, f"compare: {key}", problem)
    target.check(loaded.variants[0].scenario, loaded.name)


def notes_of(real: str, loaded: LoadedScenario) -> tuple[str, ...]:
    """How a real twin differs from what the names in the variants say; nothing of ours."""
    if real not in PEERS:
        return ()
    said = [note for variant in loaded.variants for note in PEERS[real].notes(variant.scenario)]
    return tuple(dict.fromkeys(said))


def as_dict(found: Mapping[str, Confirmation]) -> dict[str, Any]:
    """The form that ``--json`` writes: that of the first, with the others in ``real``."""
    first = next(iter(found.values()))
    data = first.as_dict()
    if list(found) == [OURS]:
        return data
    data["void"] = void_of(found)
    data["real"] = {
        name: {
            "calibration": one.calibration.as_dict(),
            "void": one.void,
            "noise": one.noise,
            "notes": list(one.of_real),
        }
        for name, one in found.items()
    }
    for number, variant in enumerate(data["variants"]):
        variant["real"] = {name: one.variants[number].as_dict() for name, one in found.items()}
    return data


def void_of(found: Mapping[str, Confirmation]) -> list[str]:
    """Why runs are void, with the name of the real twin if there are several."""
    if len(found) == 1:
        return [*next(iter(found.values())).void]
    return [f"{titled(name)}: {reason}" for name, one in found.items() for reason in one.void]
