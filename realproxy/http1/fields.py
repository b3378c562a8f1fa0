"""Field lines: the block between a head's first line and its empty line, or a trailer section."""

from __future__ import annotations

import re


class Malformed(ValueError):
    """A message that must be refused.

    Parameters
    ----------
    status : int
        What a client that sent it is answered with. A malformed upstream answer is always 502.
    problem : str
        What is wrong with it.
    """

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status, self.problem = status, problem


TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
# field-line    = field-name ":" OWS field-value OWS                                   RFC 9112, 5
# field-name    = token                                                                RFC 9110, 5.1
# field-value   = *field-content                                                       RFC 9110, 5.5
# field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]
# field-vchar   = VCHAR / obs-text
# Possessive (++, *+), so that no line is read twice. No obs-fold, no space before the colon.
_VCHARS = rb"[^\x00-\x20\x7f]++"
_LINE = TOKEN + rb"++:[ \t]*+(?:" + _VCHARS + rb"(?:[ \t]++" + _VCHARS + rb")*+)?+[ \t]*+\r\n"
_BLOCK = re.compile(rb"(?:" + _LINE + rb")*+")
_SPLIT = re.compile(rb"([^:]++):[ \t]*+((?:" + _VCHARS + rb"(?:[ \t]++" + _VCHARS + rb")*+)?+)[ \t]*+\r\n")


class Fields:
    """The field lines of a head, in order, with a look-up by name.

    Attributes
    ----------
    lines : list of (bytes, bytes)
        Name as it was written, and value, of each line.
    names : list of bytes
        The same names in lower case.
    """

    __slots__ = ("_values", "lines", "names")

    def __init__(self, lines: list[tuple[bytes, bytes]]) -> None:
        self.lines = lines
        self.names = [name.lower() for name, _ in lines]
        self._values: dict[bytes, bytes] = {}
        values = self._values
        for name, (_, value) in zip(self.names, lines, strict=True):
            # Lines of one name count as one list (RFC 9110, 5.3): a repeated Host or
            # Content-Length becomes a value that its grammar refuses.
            values[name] = values[name] + b", " + value if name in values else value

    def get(self, name: bytes) -> bytes | None:
        """The value of a field by its name in lower case; of several lines joined by commas."""
        return self._values.get(name)

    def text(self, name: str) -> str | None:
        """The same as text, for decisions that are taken on text."""
        value = self._values.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def __contains__(self, name: bytes) -> bool:
        return name in self._values

    def elements(self, name: bytes) -> list[bytes]:
        """The elements of a list of tokens, in lower case (RFC 9110, 5.6.1)."""
        value = self._values.get(name)
        return [] if value is None else [part.strip(b" \t") for part in value.lower().split(b",")]


def parse_fields(data: bytes, start: int, end: int) -> Fields:
    """The field lines in ``data[start:end]``, each of which ends with CRLF.

    Raises
    ------
    Malformed
        400, with the first line that is none.
    """
    good = _BLOCK.match(data, start, end)
    stop = good.end() if good is not None else start
    if stop != end:
        line = data[stop:end].partition(b"\n")[0][:60]
        raise Malformed(400, f"bad field line {line.decode('latin-1')!r}")
    return Fields(_SPLIT.findall(data, start, end))
