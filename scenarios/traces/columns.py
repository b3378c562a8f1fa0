"""Which columns of a CSV file hold time, object and size: by their names, or as the user says."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from policies.registry import nearest
from scenarios.traces.layouts import READS, Layout, layout_of_head

ROLES = ("time", "object", "size", "service", "op", "count")
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

NAMES: dict[str, tuple[str, ...]] = {
    "time": ("time_s", "time", "timestamp", "ts", "clock_time", "real_time", "time_sec", "seconds"),
    "object": (
        "object", "obj_id", "object_id", "obj", "objectid", "key", "obj_key", "id", "url", "uri", "lbn",
    ),
    "size": (
        "size_bytes", "size", "obj_size", "object_size", "objectsize", "bytes", "length", "len",
        "response_size",
    ),
}  # fmt: skip
"""Names of columns that need no ``--columns``; the first of each is this project's own."""

TELLING = frozenset(
    {
        "host",
        "hostname",
        "http_host",
        "vhost",
        "virtual_host",
        "server",
        "server_name",
        "servername",
        "domain",
        "authority",
        "site",
        "zone",
        "bucket",
        "volume",
        "volume_id",
        "volumeid",
        "disk",
        "disk_id",
        "disk_number",
        "disknumber",
        "device",
        "device_id",
        "deviceid",
        "lun",
        "namespace",
        "tenant",
        "method",
        "http_method",
        "request_method",
        "verb",
        "scheme",
        "port",
        "server_port",
        "query",
        "query_string",
        "args",
        "op",
        "operation",
        "opcode",
        "op_type",
        "optype",
        "op_name",
        "iotype",
        "io_type",
    }
)
"""Names of columns that may tell objects apart, or requests from writes."""

HINT = "name them with --columns object=NAME,size=NAME,time=NAME"


class Columns(Mapping[str, tuple[str, ...]]):
    """What a user says about the columns: ``object=lbn,size=size,time=time``.

    A value is the name of a column or its number, from 1; ``object=host+path`` joins two. The unit of a
    time may follow: ``time=ts:ms``. Without ``time`` there is one request per second, without ``size``
    every object has one byte. With ``op`` only reads are requests, with ``count`` a row stands for several.

    Parameters
    ----------
    text : str

    Raises
    ------
    ValueError
        With what was expected.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tick = 1.0
        self._given: dict[str, tuple[str, ...]] = {}
        for part in text.split(","):
            role, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals or not value:
                raise ValueError(f"expected role=column,… such as object=lbn,size=3,time=ts, not {part!r}")
            if role not in ROLES:
                raise ValueError(f"unknown role {role!r}{nearest(role, list(ROLES))}; {_one_of(ROLES)}")
            if role in self._given:
                raise ValueError(f"{role!r} is given twice")
            self._given[role] = self._read(role, value)
        if "object" not in self._given:
            raise ValueError("expected an 'object', such as object=lbn")

    def _read(self, role: str, value: str) -> tuple[str, ...]:
        if role == "time" and ":" in value:
            value, _, unit = value.rpartition(":")
            if unit not in UNITS:
                raise ValueError(f"unknown unit of time {unit!r}; {_one_of(list(UNITS))}")
            self.tick = UNITS[unit]
        names = tuple(name.strip() for name in value.split("+"))
        if not all(names):
            raise ValueError(f"{role}: expected a column on both sides of '+'")
        if len(names) > 1 and role not in ("object", "size"):
            raise ValueError(f"{role}: expected one column")
        return names

    def __getitem__(self, role: str) -> tuple[str, ...]:
        return self._given[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    @property
    def by_number(self) -> bool:
        """Whether all columns are given by their numbers, so that no head line is needed."""
        return all(name.isdecimal() for names in self._given.values() for name in names)

    def layout(self, head: Sequence[str]) -> Layout:
        """The layout of a file with these columns; raises `ValueError` if one of them is missing."""
        found = {role: tuple(_position(name, head) for name in names) for role, names in self.items()}
        one = {role: columns[0] for role, columns in found.items()}
        return Layout(
            tuple(str(number) for number in range(len(head))),
            one.get("time"), found["object"], found.get("size", ()), tick=self.tick,
            operation=one.get("op"), reads=READS, repeats=one.get("count"), service=one.get("service"),
            quoted=True,
        )  # fmt: skip


def _one_of(names: Sequence[str]) -> str:
    return "expected one of " + ", ".join(names)


def plain(name: str) -> str:
    """The name of a column in small letters, with one ``_`` for all that is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _position(name: str, head: Sequence[str]) -> str:
    """The position of a column, from 0, as a text."""
    if name.isdecimal():
        if not 1 <= int(name) <= len(head):
            raise ValueError(f"there is no column {name}; the line has {len(head)}")
        return str(int(name) - 1)
    exact = [number for number, other in enumerate(head) if other.strip() == name]
    found = exact or [number for number, other in enumerate(head) if plain(other) == plain(name)]
    if not found:
        raise ValueError(f"there is no column {name!r}{nearest(name, list(head)[:50])}")
    if len(found) > 1:
        raise ValueError(f"the column {name!r} appears twice; say its number, such as {found[0] + 1}")
    return str(found[0])


def _told(head: Sequence[str]) -> str:
    text = ", ".join(head) or "nothing"
    return text if len(text) <= 100 else text[:97] + "..."


def layout_by_names(head: Sequence[str]) -> Layout:
    """The layout of a CSV file, by the names in its head line.

    Raises
    ------
    ValueError
        If a column is missing, if several could be meant, or if one that may tell objects apart would
        be ignored.
    """
    public = layout_of_head(list(head))
    if public is not None:
        return public[1]
    names = [plain(name) for name in head]
    chosen = {role: _choose(role, names, head) for role in ("object", "size", "time")}
    service = names.index("service_s") if "service_s" in names else None
    if names.count("service_s") > 1:
        raise ValueError("the column 'service_s' appears twice")
    used = {*chosen.values(), service}
    for number, name in enumerate(names):
        if name in TELLING and number not in used:
            raise ValueError(
                f"the column {head[number].strip()!r} may tell objects apart, or reads from writes; "
                "say which columns count, such as --columns object=host+path,size=size,time=time"
            )
    return Layout(
        tuple(str(number) for number in range(len(head))),
        str(chosen["time"]), (str(chosen["object"]),), (str(chosen["size"]),),
        service=None if service is None else str(service), quoted=True,
    )  # fmt: skip


def _choose(role: str, names: list[str], head: Sequence[str]) -> int:
    own, *others = NAMES[role]
    found = [number for number, name in enumerate(names) if name == own]
    if len(found) > 1:
        raise ValueError(f"the column {own!r} appears twice")
    if not found:
        found = [number for number, name in enumerate(names) if name in others]
    if not found:
        raise ValueError(f"the column {own!r} is missing; the line has {_told(head)}; {HINT}")
    if len(found) > 1:
        both = " and ".join(repr(head[number].strip()) for number in found[:2])
        raise ValueError(f"{both} could both be the {role}; {HINT}")
    return found[0]


def is_head(fields: Sequence[str]) -> bool:
    """Whether a line can name columns: no field is a number, and one has a letter."""
    return any(any(map(str.isalpha, field)) for field in fields) and not any(map(_is_number, fields))


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


def split_head(line: str) -> tuple[str, list[str]]:
    """The separator of a line, and its fields without quotes and without blanks around them."""
    bare = re.sub('"[^"]*"', "quoted", line)
    separator = max((",", "\t", ";", "|"), key=bare.count)
    if not bare.count(separator):
        separator = " " if len(bare.split()) > 1 else ","
    return separator, fields_of(line, separator)


def fields_of(line: str, separator: str) -> list[str]:
    """The fields of one line; raises `ValueError` if they cannot be told apart."""
    text = re.sub(r"[ \t]+", " ", line).strip() if separator == " " else line
    try:
        fields = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None
    return [field.strip() for field in fields]


class Places(NamedTuple):
    """The positions of the columns of a `Layout`, from 0; `width` is the number of all columns."""

    width: int
    time: int | None
    object: tuple[int, ...]
    size: tuple[int, ...]
    known: int | None
    operation: int | None
    repeats: int | None
    service: int | None


def places(layout: Layout, head: Sequence[str]) -> Places:
    """Find the columns of a layout in a head line, or in the layout's own list of columns."""
    names = [name.strip().lower() for name in head]

    def at(name: str | None) -> int | None:
        return None if name is None else names.index(name.lower())

    return Places(
        len(names), at(layout.time), tuple(names.index(name.lower()) for name in layout.object),
        tuple(names.index(name.lower()) for name in layout.size), at(layout.known), at(layout.operation),
        at(layout.repeats), at(layout.service),
    )  # fmt: skip
