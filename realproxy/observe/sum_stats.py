"""The counts of several processes, added up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

Counts = dict[str, Any]
SETTINGS = frozenset({"route", "weight", "share"})
"""Keys of numbers that all processes have alike, so they are not added."""


def sum_stats(parts: Iterable[Counts]) -> Counts:
    """The sum of several tables with the same keys.

    Numbers are added, except for `SETTINGS`, tables key by key. In lists of tables, those with the same texts
    are added up. Other texts come from the first part.

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
        tables: dict[tuple[tuple[str, str], ...], Counts] = {}
        for table in [*one, *other]:
            texts = tuple(sorted((key, value) for key, value in table.items() if isinstance(value, str)))
            tables[texts] = _add_tables(tables.get(texts, {}), table)
        return list(tables.values())
    if isinstance(one, (int, float)) and not isinstance(one, bool):
        return one + other
    return one
