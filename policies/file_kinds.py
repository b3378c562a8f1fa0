"""What a file is that was given to a command which takes another kind of file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

SCENARIO = "a scenario, which simulate, confirm, loadtest and sweep take"
PROXY = "a proxy's file, which serve, check and explain take"
TRACE = "a trace, which curve takes, and which a scenario names in workload.trace"
NOTEBOOK = "a notebook, which JupyterLab opens"
RESULT = "a result of --json, which no command takes"
JSON = "a text in JSON"
PAGE = "an HTML page, which a browser opens"
PICTURE = "a picture"
RECORDS = "a zip archive, such as Locust's --records"
COMPRESSED = "a compressed file"
BINARY = "a binary file"
EMPTY = "empty"

NO_TRACES = (SCENARIO, PROXY, NOTEBOOK, RESULT, PAGE, PICTURE, RECORDS, EMPTY)
"""Kinds that no reader of traces takes."""
HEAD_BYTES = 65_536
"""How many bytes of a file tell its kind."""

_MAGIC = (
    (b"\x89PNG", PICTURE), (b"\xff\xd8\xff", PICTURE), (b"%PDF", PICTURE), (b"PK\x03\x04", RECORDS),
    (b"\x1f\x8b", COMPRESSED), (b"\x28\xb5\x2f\xfd", COMPRESSED),
)  # fmt: skip
_OF_SCENARIOS = ("workload", "backend", "proxy", "compare", "title")
_OF_PROXIES = ("listen", "route", "service", "forward", "tcp", "admin")
_LOGGED_TIME = re.compile(rb"\[\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:")
_ROW = re.compile(rb"[\w.-]+(?:[,;\t][^,;\t=]*){2,}")


def kind_of_tables(tables: Mapping[str, Any]) -> str | None:
    """`SCENARIO` or `PROXY`, by the keys of a TOML file; None if they tell nothing."""
    if any(key in tables for key in _OF_SCENARIOS):
        return SCENARIO
    return PROXY if any(key in tables for key in _OF_PROXIES) else None


class _Look(NamedTuple):
    """What can be seen of a file: its first bytes, these without blanks before them, and its name."""

    raw: bytes
    text: bytes
    name: str


def _is_row(file: _Look) -> bool:
    first = file.text.partition(b"\n")[0].strip()
    return bool(_LOGGED_TIME.search(first) or _ROW.fullmatch(first))


_RULES: tuple[tuple[Callable[[_Look], bool], str | None], ...] = (
    (lambda file: not file.text, EMPTY),
    *((partial(lambda magic, file: file.raw.startswith(magic), magic), kind) for magic, kind in _MAGIC),
    (lambda file: ".oraclegeneral" in file.name.lower(), TRACE),
    (lambda file: file.raw.startswith((b"\xff\xfe", b"\xfe\xff")), None),  # text in UTF-16
    (lambda file: b"\0" in file.text, BINARY),
    (lambda file: file.text.startswith(b"{") and b'"cells"' in file.text, NOTEBOOK),
    (lambda file: file.text.startswith(b"{") and b'"variants"' in file.text, RESULT),
    (lambda file: file.text.startswith(b"{"), JSON),
    (lambda file: file.text[:15].lower().startswith((b"<!doctype html", b"<html")), PAGE),
    (lambda file: file.text.startswith((b"<svg", b"<?xml")) and b"<svg" in file.text, PICTURE),
    (_is_row, TRACE),
)
"""The first rule that holds says what a file is."""


def kind_of_content(content: bytes, name: str = "") -> str | None:
    """What a file is that is not TOML, by its first bytes and its name; None if they tell nothing."""
    raw = content[:HEAD_BYTES]
    file = _Look(raw, raw.removeprefix(b"\xef\xbb\xbf").lstrip(), name)
    return next((kind for holds, kind in _RULES if holds(file)), None)


def kind_of_toml(content: bytes) -> str | None:
    """`SCENARIO` or `PROXY`, by the text of a TOML file; None if it is something else."""
    try:
        return kind_of_tables(tomllib.loads(content.decode("utf-8-sig")))
    except (ValueError, RecursionError):
        return None
