"""The counts of several processes, added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import reduce
from typing import Any

Counts = dict[str, Any]
SETTINGS = frozenset({"route", "weight", "share", "ejected_s"})
"""Keys of numbers that are not added: all processes have them alike, or each its own."""


def sum_stats(parts: Iterable[Counts]) -> Counts:
    """The sum of several tables with the same keys.

    Numbers are added, except for `SETTINGS`, tables key by key. In lists of tables, those with the same texts
    and the same route are added up, and if there are several, in their order. Other texts come from the first
    part.

    Examples
    --------
    >>> sum_stats([{"n": 1, "by": [{"name": "a", "n": 2}]}, {"n": 2, "by": [{"name": "a", "n": 3}]}])
    {'n': 3, 'by': [{'name': 'a', 'n': 5}]}
    """
    return reduce(_add_tables, parts, {})


def _add_tables(one: Counts, other: Counts) -> Counts:
    total = dict(one)
    for key, value in other.items():
        total[key] = _add(total[key], value) if key in total and key not in SETTINGS else value
    return total


def _add(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return _add_tables(one, other)
    if isinstance(one, list):
        tables: dict[tuple[Any, int], Counts] = {}
        for part in (one, other):
            seen: Counter[Any] = Counter()
            for table in part:
                name = _name(table)
                seen[name] += 1
                tables[name, seen[name]] = _add_tables(tables.get((name, seen[name]), {}), table)
        return list(tables.values())
    if isinstance(one, (int, float)) and not isinstance(one, bool):
        return one + other
    return one


def _name(table: Counts) -> tuple[tuple[str, Any], ...]:
    """What tells a table of a list from the others: its texts, and the number of its route."""
    return tuple(
        sorted((key, value) for key, value in table.items() if isinstance(value, str) or key == "route")
    )
