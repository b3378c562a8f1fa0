"""Loads scenarios by path or shipped name, with overrides, and builds the variants to compare."""

from __future__ import annotations

import copy
import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput, read_toml, validate
from policies.registry import nearest
from scenarios.due import check_due, remarks
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
        """Only the values, as tables and plots show them: ``"p2c"``."""
        return ", ".join(map(_said, self.setting.values())) or "as written"


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
    """

    name: str
    scenario: Scenario
    variants: list[Variant]

    def remarks(self) -> list[str]:
        """What a user should know about the variants' traces, one line each; see `scenarios.due`."""
        said = [line for variant in self.variants for line in remarks(variant.scenario)]
        return list(dict.fromkeys(said))


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
        Dotted keys with new values, or ``"key=value"`` texts whose values are parsed as TOML.

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
    return parse_scenario(read_toml(path), overrides, name=path.stem, where=str(path), folder=path.parent)


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
    for key, value in read_overrides(overrides).items():
        _put(tables, key, value, "--set")
    scenario = _build(tables, where, folder)
    return LoadedScenario(name, scenario, list(_variants(scenario, tables, where, folder)))


def _build(tables: dict[str, Any], where: str, folder: Path | None) -> Scenario:
    workload = tables.get("workload")
    if folder is not None and isinstance(workload, dict) and isinstance(workload.get("trace"), str):
        tables = {**tables, "workload": {**workload, "trace": str(folder / workload["trace"])}}
    return follow(validate(Scenario, tables, where))


def _variants(
    scenario: Scenario, tables: dict[str, Any], where: str, folder: Path | None
) -> Iterable[Variant]:
    for values in itertools.product(*scenario.compare.values()):
        setting = dict(zip(scenario.compare, values, strict=True))
        changed = copy.deepcopy(tables)
        for key, value in setting.items():
            _put(changed, key, value, f"{where}: compare")
        variant = _build(changed, f"{where}: compare", folder)
        check_due(variant, f"{where}: compare" if setting else where)
        yield Variant(setting, variant)


def read_overrides(overrides: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    """Overrides as a dict, from either form that `load_scenario` takes."""
    return dict(overrides.items() if isinstance(overrides, Mapping) else map(_read_override, overrides))


def _read_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadInput("--set", text, "expected key=value, such as workload.users=20")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except ValueError:  # not TOML, or too many digits
        return key.strip(), value.strip()


def _put(tables: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key; missing tables are created, list items are selected by number."""
    *parents, last = key.split(".")
    here: Any = tables
    for part in parents:
        here = _step(here, part, key, where)
    if isinstance(here, list):
        here[_position(here, last, key, where)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise BadInput(where, key, f"{parents[-1]!r} is a single value, not a table")


def _step(here: Any, part: str, key: str, where: str) -> Any:
    if isinstance(here, list):
        return here[_position(here, part, key, where)]
    if isinstance(here, dict):
        return here.setdefault(part, {})
    raise BadInput(where, key, f"{part!r} is below a single value, not a table")


def _position(items: list[Any], part: str, key: str, where: str) -> int:
    if not part.isdecimal() or int(part) >= len(items):
        raise BadInput(where, key, f"expected a position from 0 to {len(items) - 1}, not {part!r}")
    return int(part)
