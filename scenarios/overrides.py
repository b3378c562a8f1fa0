"""Changed settings: dotted keys with new values, from ``--set`` or as plain data."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from policies.bad_input import BadInput
from policies.registry import nearest


def read_overrides(overrides: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    """Overrides as a dict, from either form that `load_scenario` takes.

    A mapping keeps its order, so that a table may replace what stands before it. Of texts, a table comes
    before what is below it, so that each of them counts.

    Raises
    ------
    BadInput
        If a text is not ``key=value``, or a key is given twice.
    """
    if isinstance(overrides, Mapping):
        return dict(overrides)
    found: dict[str, Any] = {}
    for key, value in map(_read_override, overrides):
        if key in found:
            raise BadInput("--set", key, "is given twice; expected one value")
        found[key] = value
    return tables_first(found)


def tables_first(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The same changes, a table before what is below it."""
    return dict(sorted(changes.items(), key=lambda change: change[0].count(".")))


def _read_override(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadInput("--set", text, "expected key=value, such as workload.users=20")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except ValueError:  # not TOML, or too many digits
        return key.strip(), value.strip()


def below(key: str, keys: Iterable[str]) -> bool:
    """Whether a dotted key is inside the table of one of `keys`."""
    return any(key.startswith(f"{other}.") for other in keys)


def fix_compared(tables: dict[str, Any], changes: Mapping[str, Any]) -> list[str]:
    """Leave only the changed value of each key that the scenario compares; returns a sentence for each.

    A comparison that the changes themselves ask for stays.
    """
    compared = tables.get("compare")
    if not isinstance(compared, dict) or "compare" in changes:
        return []
    fixed = [key for key in changes if key in compared]
    for key in fixed:
        compared[key] = [changes[key]]
    return [f"--set fixes {key}, so the scenario does not compare its values" for key in fixed]


def put(tables: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key; missing tables are created, list items are selected by number.

    Raises
    ------
    BadInput
        If the key leads into a single value, to a position that is not there, or to a setting of a
        backend or service that is not there.
    """
    *parents, last = key.split(".")
    here: Any = tables
    for number, part in enumerate(parents):
        if _names_part(parents[:number]) and isinstance(here, dict) and part not in here:
            kind = parents[number - 1]
            raise BadInput(where, key, f"there is no {kind} {part!r}{nearest(part, list(here))}")
        here = _step(here, part, key, where)
    if isinstance(here, list):
        here[_position(here, last, key, where)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise BadInput(where, key, f"{parents[-1]!r} is a single value, not a table")


def _names_part(path: list[str]) -> bool:
    """Whether the keys of this table are names of backends or services."""
    in_proxy = path[:1] == ["proxy"] and path[-1] == "service" and len(path) <= 3
    return path == ["backend"] or in_proxy


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
