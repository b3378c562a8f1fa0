"""The cells of a sweep: every combination of the values that dotted keys are given."""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput
from scenarios import Scenario, load_scenario
from scenarios.loading import LoadedScenario, parse_scenario, read_overrides

ScenarioSource = str | Path | Mapping[str, Any]
"""A scenario's file, the name of a shipped one, or its tables."""

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "\"'"
_FOR_PEOPLE = {"title": "", "compare": {}, "rank_by": "p99_ms"}
"""What a single prediction does not depend on."""


@dataclass(frozen=True)
class Cell:
    """One simulation of a sweep.

    Attributes
    ----------
    setting : dict of str to object
        The varied keys with this cell's values.
    replication : int
        From 0; cells of equal replication have equal seeds, so they see common random numbers.
    scenario : Scenario or None
        With the setting and the seed in place; ``None`` if the values do not go together.
    error : str
        Why they do not.
    """

    setting: dict[str, Any]
    replication: int
    scenario: Scenario | None
    error: str = ""

    def key(self, context: str) -> str:
        """What tells this cell from all others: its settings, its seed, and the `context` of the sweep."""
        what = self.error if self.scenario is None else repr(self.scenario.model_copy(update=_FOR_PEOPLE))
        setting = json.dumps(self.setting, sort_keys=True, default=str)
        text = "\n".join((context, setting, str(self.replication), what))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def read_vary(texts: Iterable[str]) -> dict[str, list[Any]]:
    """``key=a,b,c`` texts as keys and values; each value is read as TOML, or else as it stands.

    Examples
    --------
    >>> read_vary(["workload.users=10,20", "proxy.cache.capacity=64KiB,1MiB"])
    {'workload.users': [10, 20], 'proxy.cache.capacity': ['64KiB', '1MiB']}
    >>> read_vary(["backend.web.service_time=exponential(20ms),erlang(20ms, 4)"])
    {'backend.web.service_time': ['exponential(20ms)', 'erlang(20ms, 4)']}

    Raises
    ------
    BadInput
        If a text has no key or no value, or a key stands twice.
    """
    vary: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not equals or not key or not values.strip():
            raise BadInput("--vary", text, "expected key=value,value,…, such as workload.users=10,20,40")
        if key in vary:
            raise BadInput("--vary", key, "is given twice; put all its values into one list")
        vary[key] = [_value(part, key) for part in _split(values)]
    return vary


def _split(text: str) -> list[str]:
    """Cut at the commas that stand in no bracket and no quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in _QUOTES:
            quote = letter
        elif letter == "," and not depth:
            parts.append("")
            continue
        depth += (not quote) * ((letter in _OPENING) - (letter in _CLOSING))
        parts[-1] += letter
    return parts


def _value(text: str, key: str) -> Any:
    text = text.strip()
    if not text:
        raise BadInput("--vary", key, "expected a value between two commas")
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:  # not TOML, or endless digits
        return text


def cells_of(
    source: ScenarioSource,
    vary: Mapping[str, Sequence[Any]],
    replications: int,
    overrides: Mapping[str, Any] | Iterable[str] = (),
) -> list[Cell]:
    """All cells: the last key varies fastest, replications faster still.

    Parameters
    ----------
    source : str, path or mapping
        The scenario. What it compares itself plays no part, unless `vary` is empty.
    vary : mapping of str to sequence
        Dotted keys with their values.
    replications : int
        Seeds for each setting: the scenario's and those that follow.
    overrides : mapping or iterable of str
        Changed settings, as `load_scenario` takes them.

    Raises
    ------
    BadInput
        If there is nothing to vary, or no cell with one of the values can be simulated.
    """
    changes = read_overrides(overrides)
    grid = {key: list(values) for key, values in (vary or _load(source, changes).scenario.compare).items()}
    _check(grid, replications)
    cells, problems = [], []
    for values in itertools.product(*grid.values()):
        setting = dict(zip(grid, values, strict=True))
        try:
            scenario, problem = _load(source, {**changes, **setting, "compare": {}}).scenario, None
        except BadInput as mistake:
            scenario, problem = None, mistake
        problems.append(problem)
        for i in range(replications):
            seeded = scenario and scenario.model_copy(update={"seed": scenario.seed + i})
            cells.append(Cell(setting, i, seeded, _said(problem)))
    if all(problems):
        _load(source, changes)  # if the scenario itself is wrong, this says where
    _refuse_hopeless_values(grid, cells[::replications], problems)
    return cells


def _check(grid: dict[str, list[Any]], replications: int) -> None:
    if not grid:
        raise BadInput("--vary", "", "expected key=value,value,…, or a scenario that compares something")
    for key, values in grid.items():
        if not values:
            raise BadInput("--vary", key, "expected at least one value")
        texts = [repr(value) for value in values]
        twice = next((text for text in texts if texts.count(text) > 1), None)
        if twice is not None:
            raise BadInput("--vary", key, f"{twice} is given twice")
    if replications < 1:
        raise BadInput("--replications", str(replications), "expected at least 1")


def _load(source: ScenarioSource, changes: Mapping[str, Any]) -> LoadedScenario:
    read = parse_scenario if isinstance(source, Mapping) else load_scenario
    return read(source, changes)


def _said(problem: BadInput | None) -> str:
    return "" if problem is None else ": ".join(part for part in (problem.key, problem.problem) if part)


def _refuse_hopeless_values(
    grid: dict[str, list[Any]], cells: list[Cell], problems: list[BadInput | None]
) -> None:
    """A value with which nothing can be simulated is a mistake; a bad combination is a failed cell."""
    for key, values in grid.items():
        for value in values:
            found = [p for cell, p in zip(cells, problems, strict=True) if cell.setting[key] is value]
            if all(found):
                assert found[0] is not None
                raise BadInput("--vary", f"{key}={value}", _said(found[0]).removeprefix(f"{key}: "))
