"""The cells of a sweep: all combinations of the values of the varied keys."""

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
from scenarios.loading import LoadedScenario, parse_scenario
from scenarios.overrides import read_overrides, tables_first

ScenarioSource = str | Path | Mapping[str, Any]
"""A scenario's file, the name of a shipped one, or its tables."""

_OPENING, _CLOSING, _QUOTES = "([{", ")]}", "\"'"
_FOR_PEOPLE = {"title": "", "compare": {}, "rank_by": "p99_ms"}
"""Settings that do not change a prediction, with neutral values."""


@dataclass(frozen=True)
class Cell:
    """One simulation of a sweep.

    Attributes
    ----------
    setting : dict of str to object
        The varied keys with this cell's values.
    replication : int
        Number from 0; cells with the same number have the same seed, so they see common random numbers.
    scenario : Scenario or None
        The scenario with this setting and seed; ``None`` if the combination of values is not valid.
    error : str
        Why the combination is not valid.
    """

    setting: dict[str, Any]
    replication: int
    scenario: Scenario | None
    error: str = ""

    def key(self, context: str) -> str:
        """A hash that identifies this cell: its settings, its seed, and the `context` of the sweep."""
        what = self.error if self.scenario is None else repr(self.scenario.model_copy(update=_FOR_PEOPLE))
        setting = json.dumps(self.setting, sort_keys=True, default=str)
        text = "\n".join((context, setting, str(self.replication), what))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def read_vary(texts: Iterable[str]) -> dict[str, list[Any]]:
    """Read ``key=a,b,c`` texts. Each value is read as TOML; if it is not TOML, it is a plain text.

    Examples
    --------
    >>> read_vary(["workload.users=10,20", "proxy.cache.capacity=64KiB,1MiB"])
    {'workload.users': [10, 20], 'proxy.cache.capacity': ['64KiB', '1MiB']}
    >>> read_vary(["backend.web.service_time=exponential(20ms),erlang(20ms, 4)"])
    {'backend.web.service_time': ['exponential(20ms)', 'erlang(20ms, 4)']}

    Raises
    ------
    BadInput
        If a text has no key or no value, or two texts have the same key.
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
    """Split at the commas outside of brackets and quotes."""
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
    """All cells. The last key varies faster than the others, and replications vary fastest.

    Parameters
    ----------
    source : str, path or mapping
        The scenario. Its own ``compare`` table is ignored, unless `vary` is empty.
    vary : mapping of str to sequence
        Dotted keys with their values.
    replications : int
        Number of seeds for each setting: the scenario's seed and the seeds after it.
    overrides : mapping or iterable of str
        Changed settings, in the form of `load_scenario`.

    Raises
    ------
    BadInput
        If there is nothing to vary, or if all cells with one of the values are invalid.
    """
    changes = read_overrides(overrides)
    grid = {key: list(values) for key, values in (vary or _load(source, changes).scenario.compare).items()}
    _check(grid, replications)
    for key in vary.keys() & changes.keys():
        raise BadInput("--set", key, "is varied, too; expected it in --set or in --vary")
    cells, problems = [], []
    for values in itertools.product(*grid.values()):
        setting = dict(zip(grid, values, strict=True))
        try:
            scenario, problem = (
                _load(source, tables_first({**changes, **setting, "compare": {}})).scenario,
                None,
            )
        except BadInput as mistake:
            scenario, problem = None, mistake
        problems.append(problem)
        for i in range(replications):
            seeded = scenario and scenario.model_copy(update={"seed": scenario.seed + i})
            cells.append(Cell(setting, i, seeded, _said(problem)))
    if all(problems):
        _load(source, changes)  # if the scenario itself is wrong, this raises the right error
    _refuse_hopeless_values(grid, cells[::replications], problems)
    return cells


def notes_of(
    source: ScenarioSource,
    vary: Mapping[str, Sequence[Any]],
    overrides: Mapping[str, Any] | Iterable[str] = (),
) -> list[str]:
    """What becomes of the scenario's own comparison, one line each; parameters as of `cells_of`."""
    try:
        loaded = _load(source, read_overrides(overrides))
    except BadInput:  # only the varied values make it a valid scenario
        return []
    compared = [key for key in loaded.scenario.compare if key not in vary]
    if vary and compared:
        return [f"--vary is given, so the scenario's own comparison of {', '.join(compared)} is left out"]
    return [] if vary else loaded.notes


def _check(grid: dict[str, list[Any]], replications: int) -> None:
    if not grid:
        raise BadInput("--vary", "", "expected key=value,value,…, or a scenario that compares something")
    for key, values in grid.items():
        if not values:
            raise BadInput("--vary", key, "expected at least one value")
        if key in _FOR_PEOPLE:
            raise BadInput("--vary", key, "changes no prediction; expected another key")
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
    """Raise `BadInput` if all cells with one value are invalid; other invalid cells only fail."""
    for key, values in grid.items():
        for value in values:
            found = [p for cell, p in zip(cells, problems, strict=True) if cell.setting[key] is value]
            if all(found):
                assert found[0] is not None
                raise BadInput("--vary", f"{key}={value}", _said(found[0]).removeprefix(f"{key}: "))
