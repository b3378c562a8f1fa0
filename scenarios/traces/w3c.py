"""Logs in the W3C extended format: IIS, and Amazon CloudFront, which puts tabs between the fields.

Working draft "Extended Log File Format" of the W3C: a line ``#Fields:`` names the fields of the lines that
follow, and may come again.
"""

from __future__ import annotations

import re

from scenarios.traces.http_log import Entry, object_name, size_of
from scenarios.traces.times import iso_time

_FIELD = re.compile(r'"(?:[^"]|"")*"|\S+')
_HOSTS = ("x-host-header", "cs(host)", "cs-host", "s-sitename", "s-computername", "s-ip")
"""Fields that name the site, the best first: CloudFront's ``cs(Host)`` is its own name for it."""


class Extended:
    """The W3C extended format; the object is scheme, host, port, path and query as far as logged."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._date = ""

    def begin(self) -> None:
        """A new file has fields of its own."""
        self._at, self._date = {}, ""

    def entry(self, line: str) -> Entry | None:
        """Parse a line."""
        if line.startswith("#"):
            self._directive(line)
            return None
        if not self._at:
            raise ValueError("expected a line '#Fields:' before the first request")
        line = line.rstrip("\r")
        fields = line.split("\t") if "\t" in line else _FIELD.findall(line)
        if len(fields) != len(self._at):
            raise ValueError(f"expected {len(self._at)} fields, as #Fields says, not {len(fields)}")
        value = self._values(fields)
        return Entry(
            self._time(value), value["cs-method"].upper(), self._name(value), value["sc-status"],
            size_of(value["sc-bytes"]),
        )  # fmt: skip

    def _values(self, fields: list[str]) -> dict[str, str]:
        return {name: fields[place].strip('"') for name, place in self._at.items()}

    def _directive(self, line: str) -> None:
        name, _, text = line[1:].partition(":")
        if name.strip().lower() == "date":
            self._date = text.split()[0] if text.split() else ""
        if name.strip().lower() != "fields":
            return
        names = text.lower().split()
        if len(set(names)) < len(names):
            raise ValueError("#Fields names a field twice")
        for needed in ("time", "cs-method", "sc-status", "sc-bytes"):
            if needed not in names:
                raise ValueError(f"the field {needed!r} is missing in #Fields; let the server log it")
        if "cs-uri-stem" not in names and "cs-uri" not in names:
            raise ValueError("the field 'cs-uri-stem' is missing in #Fields; let the server log it")
        self._at = {field: place for place, field in enumerate(names)}

    def _time(self, value: dict[str, str]) -> float:
        date = value.get("date", self._date)
        if not date:
            raise ValueError("expected a field 'date', or a line '#Date:'")
        return iso_time(f"{date}T{value['time']}")

    def _name(self, value: dict[str, str]) -> str:
        host = next((value[name] for name in _HOSTS if value.get(name, "-") != "-"), "")
        port, scheme = value.get("s-port", "-"), value.get("cs-protocol", "-")
        if port != "-":
            host += f":{port}"
        if scheme != "-":
            host = f"{scheme}://{host}"
        query = value.get("cs-uri-query", "-")
        target = value.get("cs-uri-stem") or value["cs-uri"]
        return object_name(target if query == "-" else f"{target}?{query}", host)
