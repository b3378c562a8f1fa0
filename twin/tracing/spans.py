"""Spans: the lines of access logs that belong to a trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeGuard

from policies.bad_input import BadInput

_ID = re.compile(r"[0-9a-f]+")
_LONGEST_MS = 1e11  # three years; Python's JSON also reads NaN, Infinity and whole numbers of any size
NO_JSON = "no line is one of a JSON access log: expected the log of a proxy with log.format = 'json'"
NO_TRACE = "no line has a trace, a span and its times: 'trace' was off, or no request went to a service"


@dataclass(frozen=True, slots=True)
class Span:
    """The part that one proxy has in a request.

    Parameters
    ----------
    proxy : str
        Name of the proxy: that of its log.
    trace, span, parent : str
        As `policies.reverse.trace_context.Span`; `parent` is empty for the first of a trace.
    start, seconds : float
        When the head of the request had arrived, in seconds since 1970 by the clock of the proxy's machine,
        and how long until the last byte of the response.
    status : int
        0 if none was sent.
    what : str
        Method and path.
    service, caller : str
        Whom the proxy asked, and who asked it, as far as it knows.
    end : str
        How the request ended, as in `realproxy.errors.Termination`.
    """

    proxy: str
    trace: str
    span: str
    parent: str
    start: float
    seconds: float
    status: int
    what: str
    service: str
    caller: str
    end: str

    @property
    def who(self) -> str:
        """The proxy, and the side of it that was asked: ``front → cart`` or ``cart ← front``."""
        if self.caller:
            return f"{self.proxy} ← {self.caller}"
        return f"{self.proxy} → {self.service}" if self.service else self.proxy

    @property
    def failed(self) -> bool:
        """Whether the client got an error of the server's, or no whole answer."""
        return self.status == 0 or self.status >= 500 or self.end not in ("done", "refused", "no-route")

    @property
    def outcome(self) -> str:
        """The status, and how the request ended if that says more."""
        status = str(self.status) if self.status else "none"
        return status if self.end == "done" else f"{status} {self.end}"


@dataclass(frozen=True)
class Logs:
    """What was found in the logs: the spans in no order, and one line for each thing that is odd."""

    spans: list[Span]
    oddities: list[str]


def read_logs(files: Sequence[Path]) -> Logs:
    """The spans in the logs of several proxies.

    Raises
    ------
    BadInput
        If a file is given twice, cannot be read or is no JSON access log, or if none has a span.
    """
    for place, file in enumerate(files):
        if file.resolve() in {other.resolve() for other in files[:place]}:
            raise BadInput(str(file), "", "is given twice")
    spans: list[Span] = []
    oddities: list[str] = []
    for file, name in zip(files, names_of(files), strict=True):
        found, broken, first = _read(file, name)
        if broken:
            lines = "1 line is" if broken == 1 else f"{broken} lines are"
            oddities.append(f"{file}: {lines} broken, the first is line {first}")
        if not found:
            oddities.append(f"{file}: {NO_TRACE}")
        spans += found
    if not spans:
        raise BadInput(str(files[0]), "", NO_TRACE if len(files) == 1 else f"and the other logs: {NO_TRACE}")
    return Logs(spans, oddities)


def names_of(files: Sequence[Path]) -> list[str]:
    """A name for the proxy of each log: the file's, with its folder where that does not tell them apart.

    Examples
    --------
    >>> names_of([Path("logs/front.log"), Path("logs/cart.log")])
    ['front', 'cart']
    >>> names_of([Path("front/access.log"), Path("cart/access.log")])
    ['front', 'cart']
    """
    stems, folders = [file.stem for file in files], [file.resolve().parent.name for file in files]
    for names in (stems, folders, [f"{folder}/{stem}" for folder, stem in zip(folders, stems, strict=True)]):
        if len(set(names)) == len(files):
            return names
    return [str(file) for file in files]


def _read(file: Path, name: str) -> tuple[list[Span], int, int]:
    """The spans of a log, the number of broken lines, and the number of the first of them."""
    spans: list[Span] = []
    whole = broken = first = 0
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                entry = _entry(line)
                if entry is None:
                    broken, first = broken + 1, first or number
                    continue
                whole += 1
                span = _span(entry, name)
                if span is not None:
                    spans.append(span)
    except OSError as error:
        raise BadInput(str(file), "", f"cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not whole:
        raise BadInput(str(file), "", NO_JSON if broken else "is empty")
    return spans, broken, first


def _entry(line: str) -> dict[str, Any] | None:
    """A line of a JSON access log; None for anything else, such as half a line."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and "time" in entry and "status" in entry else None


def _span(entry: dict[str, Any], name: str) -> Span | None:
    """The span of a line; None if it belongs to no trace, or lacks a time."""
    trace, span, total = entry.get("trace"), entry.get("span"), entry.get("total_ms")
    if not _is_id(trace) or not _is_id(span) or not _is_duration(total):
        return None
    try:
        ended = datetime.fromisoformat(str(entry["time"])).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    status, parent = entry["status"], entry.get("parent")
    return Span(
        name, trace, span, parent if _is_id(parent) else "", ended - total / 1000, total / 1000,
        status if isinstance(status, int) else 0, _what(entry),
        _text(entry.get("service")), _text(entry.get("caller")), _text(entry.get("end")),
    )  # fmt: skip


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_duration(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= value <= _LONGEST_MS  # type: ignore[operator]


def _text(value: object) -> str:
    return _printable(value) if isinstance(value, str) else ""


def _what(entry: dict[str, Any]) -> str:
    target = re.sub(r"^[a-z]+://[^/]*", "", _text(entry.get("target"))) or "/"
    return f"{_text(entry.get('method')) or '?'} {target}"


def _printable(text: str) -> str:
    """Text of clients, without what would steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def traced(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """The spans of each trace, by its id."""
    found: dict[str, list[Span]] = {}
    for span in spans:
        found.setdefault(span.trace, []).append(span)
    return found
