"""The keys of settings that somebody has set: those that are not at their defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel


def set_keys(settings: BaseModel) -> Iterator[str]:
    """Dotted keys of all values that differ from their defaults; positions in lists are numbers."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value != field.get_default(call_default_factory=True):
            yield from _below(field.alias or name, value)


def _below(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        inner = [f"{key}.{part}" for part in set_keys(value)]
        yield from inner or [key]  # a table with only defaults is set, too
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _below(f"{key}.{name}", item)
    elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
        for number, item in enumerate(value):
            yield from _below(f"{key}.{number}", item)
    else:
        yield key
