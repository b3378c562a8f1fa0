"""Field lines: the block between a head's first line and its empty line, or a trailer section.

Peers repeat their blocks word for word from message to message, so short ones are cached when parsed.

Threads. `Fields` never changes, so any thread may read it. What it caches is the same whichever
thread computes it, and is stored by one operation of a dict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

REMEMBERED = 256
"""Parsed heads and blocks that are cached; the least recently used one goes first."""
SHORT = 1024
"""Bytes of the longest block that is cached. At worst, in lines of five bytes, the cache has 15 MB."""

Line = tuple[bytes, bytes]
"""Name as sent, and value."""


class Malformed(ValueError):
    """A message that must be refused; a malformed response of an upstream has status 502."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status, self.problem = status, problem


TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# field-line    = field-name ":" OWS field-value OWS                                   RFC 9112, 5
# field-name    = token                                                                RFC 9110, 5.1
# field-value   = *field-content                                                       RFC 9110, 5.5
# field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]
# field-vchar   = VCHAR / obs-text
# So any number of these characters may follow the colon; white space at both ends does not belong to the
# value. No obs-fold, no space before the colon. Quantifiers are possessive (*+), so that no line is read
# twice. Groups are not: up to Python 3.11.4, possessive groups match too much.
_BLOCK = re.compile(rb"(?:" + TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n)*")
_SPLIT = re.compile(rb"([^:]++):[ \t]*+((?:[^\r]*[^\r \t])?)[ \t]*+\r\n")

_OF_THIS_HOP = frozenset(
    {
        b"connection", b"content-length", b"host", b"keep-alive", b"proxy-authorization", b"proxy-connection",
        b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip


class Fields:
    """The field lines of a head as sent, in order, with a look-up by name. Never changes.

    `names` are in lower case, in the order of `lines`. `get` takes a name in lower case, and returns the
    value or None; the values of several lines are joined by commas. `text` is like `get`, with text
    (Latin-1) for name and value, as `policies` take it.
    """

    __slots__ = ("_elements", "_joined", "_values", "get", "lines", "names", "text")

    def __init__(self, lines: Iterable[Line]) -> None:
        self.lines: Final = tuple(lines)
        self.names: Final = tuple([name.lower() for name, _ in self.lines])
        values = dict(zip(self.names, [value for _, value in self.lines], strict=True))
        if len(values) < len(self.lines):
            values = _by_name(self.names, self.lines)
        self._values: Final = values
        self._elements: dict[bytes, tuple[bytes, ...]] | None = None
        self._joined: dict[frozenset[bytes], bytes] | None = None
        self.text: Callable[[str], str | None]
        self.get: Final[Callable[[bytes], bytes | None]] = values.get

    def __getattr__(self, name: str) -> Callable[[str], str | None]:
        """Make `text` at its first use; Python asks here only for what is not set."""
        if name != "text":
            raise AttributeError(name)
        values = {name.decode("latin-1"): value.decode("latin-1") for name, value in self._values.items()}
        self.text = values.get
        return values.get

    def __contains__(self, name: bytes) -> bool:
        return name in self._values

    def elements(self, name: bytes) -> tuple[bytes, ...]:
        """The elements of a list of tokens, in lower case. RFC 9110, 5.6.1"""
        known = self._elements
        if known is None:
            known = self._elements = {}
        found = known.get(name)
        if found is None:
            value = self._values.get(name)
            parts = () if value is None else value.lower().split(b",")
            found = known[name] = tuple([part.strip(b" \t") for part in parts])
        return found

    def without_connection_options(self) -> Fields:
        """Without the lines that Connection lists, before anybody reads them. RFC 9110, 7.6.1

        Hop-by-hop fields stay, because this hop has to read them.
        """
        listed = self.elements(b"connection") if b"connection" in self._values else ()
        if self._values.keys().isdisjoint(listed):
            return self
        return self.without(frozenset(listed) - _OF_THIS_HOP)

    def without(self, names: frozenset[bytes]) -> Fields:
        """Without the lines of some names, given in lower case."""
        if names.isdisjoint(self._values):
            return self
        return Fields(line for name, line in zip(self.names, self.lines, strict=True) if name not in names)

    def passed_on(self, drops: frozenset[bytes]) -> list[Line]:
        """The lines for the next hop: all except `drops` and those that Connection lists. RFC 9110, 7.6.1"""
        if b"connection" in self._values:
            drops = drops.union(self.elements(b"connection"))
        return [line for name, line in zip(self.names, self.lines, strict=True) if name not in drops]

    def joined(self, drops: frozenset[bytes]) -> bytes:
        """The lines of `passed_on` as bytes; cached for each `drops`, so these should be constants."""
        known = self._joined
        if known is None:
            known = self._joined = {}
        text = known.get(drops)
        if text is None:
            text = known[drops] = b"".join([b"%b: %b\r\n" % line for line in self.passed_on(drops)])
        return text


def _by_name(names: Iterable[bytes], lines: Iterable[Line]) -> dict[bytes, bytes]:
    """The values by name; lines of one name make one list (RFC 9110, 5.3).

    So a repeated Host or Content-Length becomes a value that its grammar refuses.
    """
    together: dict[bytes, list[bytes]] = {}
    for name, (_, value) in zip(names, lines, strict=True):
        together.setdefault(name, []).append(value)
    return {name: b", ".join(values) for name, values in together.items()}


def parse_fields(data: bytes, start: int, end: int) -> Fields:
    """The field lines in ``data[start:end]``, each with its CRLF; raises `Malformed` 400."""
    good = _BLOCK.match(data, start, end)
    stop = good.end() if good is not None else start
    if stop != end:
        line = data[stop:end].partition(b"\n")[0]
        why = "" if line.endswith(b"\r") else ": it ends with LF instead of CR LF"
        shown = line.removesuffix(b"\r")[:60].decode("latin-1")
        raise Malformed(400, f"bad field line {shown!r}{why}")
    return Fields(_SPLIT.findall(data, start, end))
