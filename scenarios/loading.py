"""Loads scenarios by path or shipped name, with overrides, and builds the variants to compare."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput, read_toml, validate
from policies.file_kinds import PROXY, kind_of_tables
from policies.registry import nearest
from scenarios.due import check_due, remarks
from scenarios.overrides import below, fix_compared, put, read_overrides
from scenarios.schema import Scenario
from scenarios.shipped import shipped_scenarios
from scenarios.timeline import follow


@dataclass(frozen=True)
class Variant:
    """One of the settings that a scenario compares.

    Parameters
    ----------
    setting : dict of str to object
        The compared keys with this variant's values; empty if nothing is compared.
    scenario : Scenario
        The scenario with that setting.
    """

    setting: dict[str, Any]
    scenario: Scenario

    @property
    def label(self) -> str:
        """Only the values, as tables and plots show them: ``"p2c"``.

        Of compared tables, only what is not the same in all of them.
        """
        compared = self.scenario.compare
        values = (_own(value, compared.get(key, [value])) for key, value in self.setting.items())
        return ", ".join(map(_said, values)) or "as written"


@dataclass(frozen=True)
class LoadedScenario:
    """A valid scenario with all its variants.

    Parameters
    ----------
    name : str
        Shipped name, or the file's name without its suffix.
    scenario : Scenario
        As written, before any variant.
    variants : list of Variant
        At least one.
    notes : list of str
        What the overrides did to the comparison, one line each.
    """

    name: str
    scenario: Scenario
    variants: list[Variant]
    notes: list[str] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """What a user should know before the work begins, one line each; see `scenarios.due`."""
        said = [*self.notes]
        said += [line for variant in self.variants for line in remarks(variant.scenario)]
        return list(dict.fromkeys(said))


def _own(value: Any, compared: list[Any]) -> Any:
    """A table without what all compared tables have; anything else as it is."""
    if len(compared) < 2 or not all(isinstance(one, dict) for one in [value, *compared]):
        return value
    return {
        key: item
        for key, item in value.items()
        if any(key not in one or one[key] != item for one in compared)
    } or value


def _said(value: Any) -> str:
    """A short text for a value; a table becomes its keys and values, inner tables are in parentheses."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_said, value)) or "none"
    if not isinstance(value, dict):
        return str(value)
    return " ".join(
        f"{key}({_said(item)})" if isinstance(item, dict) else f"{key}={_said(item)}"
        for key, item in value.items()
    )


def load_scenario(name: str | Path, overrides: Mapping[str, Any] | Iterable[str] = ()) -> LoadedScenario:
    """Load a scenario.

    Parameters
    ----------
    name : str or path
        A file, or the name of a shipped scenario.
    overrides : mapping or iterable of str
        Dotted keys with new values, or ``"key=value"`` texts whose values are parsed as TOML. A compared
        key keeps only the new value.

    Raises
    ------
    BadInput
        With one line: the file, the key and what was expected.
    """
    path = Path(name)
    if path.suffix != ".toml" and not path.exists():
        known = shipped_scenarios()
        if str(name) not in known:
            raise BadInput(
                str(name), "", f"no such file or shipped scenario{nearest(str(name), list(known))}"
            )
        path = known[str(name)]
    tables = read_toml(path, "a scenario")
    if kind_of_tables(tables) == PROXY:
        raise BadInput(str(path), "", f"is {PROXY}; expected a scenario")
    return parse_scenario(tables, overrides, name=path.stem, where=str(path), folder=path.parent)


def parse_scenario(
    data: Mapping[str, Any],
    overrides: Mapping[str, Any] | Iterable[str] = (),
    *,
    name: str = "scenario",
    where: str = "scenario",
    folder: Path | None = None,
) -> LoadedScenario:
    """A scenario from plain data, with its variants; see `load_scenario`."""
    tables = copy.deepcopy(dict(data))
    changes = read_overrides(overrides)
    for key, value in changes.items():
        put(tables, key, value, "--set")
    notes = fix_compared(tables, changes)
    scenario = _build(tables, where, folder)
    return LoadedScenario(name, scenario, list(_variants(scenario, tables, changes, where, folder)), notes)


def _build(tables: dict[str, Any], where: str, folder: Path | None) -> Scenario:
    workload = tables.get("workload")
    if folder is not None and isinstance(workload, dict) and "trace" in workload:
        tables = {**tables, "workload": {**workload, "trace": _below(folder, workload["trace"])}}
    return follow(validate(Scenario, tables, where))


def _below(folder: Path, trace: Any) -> Any:
    """The files of a trace with the folder of the scenario in front; anything else as it is."""
    if isinstance(trace, list):
        return [_below(folder, one) for one in trace]
    return str(folder / trace) if isinstance(trace, str) and trace != "-" else trace


def _variants(
    scenario: Scenario, tables: dict[str, Any], changes: dict[str, Any], where: str, folder: Path | None
) -> Iterable[Variant]:
    for values in itertools.product(*scenario.compare.values()):
        setting = dict(zip(scenario.compare, values, strict=True))
        changed = copy.deepcopy(tables)
        for key, value in setting.items():
            put(changed, key, copy.deepcopy(value), f"{where}: compare")
        for key in filter(lambda key: below(key, setting), changes):
            put(changed, key, changes[key], "--set")
        variant = _build(changed, f"{where}: compare", folder)
        check_due(variant, f"{where}: compare" if setting else where)
        yield Variant(setting, variant)
