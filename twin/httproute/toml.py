"""Settings as the text of a TOML file that a person can read on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(settings: Mapping[str, Any]) -> str:
    """The settings of a proxy: its own keys, then a table for each route and each service."""
    parts = [
        "".join(f"{_key(key)} = {_value(value)}\n" for key, value in settings.items() if not _has_tables(key))
    ]
    parts += ["[[route]]\n" + _lines(route) for route in settings["route"]]
    parts += [f"[service.{_key(name)}]\n" + _lines(service) for name, service in settings["service"].items()]
    return "\n".join(parts)


def _has_tables(key: str) -> bool:
    return key in ("route", "service")


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{int(value)}" if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return _text(str(value))


def _text(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, except that TOML escapes DEL too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
