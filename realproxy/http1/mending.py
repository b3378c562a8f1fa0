"""The head of a response, mended where RFC 9110 and RFC 9112 tell a proxy to mend it or allow it to.

Only responses are mended. This proxy writes every line anew, so nobody behind it can read them otherwise. A
request is refused instead: a proxy in front may have read it otherwise, and whoever makes two proxies
disagree can smuggle a request past the rules of the first (RFC 9112, 11.2). docs/http.md has all rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_BLANK = b" \t"
# Recipients MAY parse a status line on whitespace-delimited word boundaries.             RFC 9112, 4
_STATUS_LINE = re.compile(rb"(HTTP/1\.[0-9])[ \t]++([0-9]{3})(?:[ \t]++(.*))?", re.DOTALL)
_EMPTY_BODY = re.compile(rb"HTTP/1\.[0-9] (?:1[0-9]{2}|204) ")
# CR, LF and NUL in a value are refused or replaced by SP, other controls may be.         RFC 9110, 5.5
_CONTROLS = bytes(32 if (byte < 32 and byte != 9) or byte == 127 else byte for byte in range(256))


def head_end(data: bytes) -> int:
    """The length of the head of a response, with its empty line; 0 if it is not whole.

    A line may end with LF alone (RFC 9112, 2.2).
    """
    end = data.find(b"\n\r\n")
    alone = data.find(b"\n\n") if end < 0 else data.find(b"\n\n", 0, end)
    if alone >= 0:
        return alone + 2
    return end + 3 if end >= 0 else 0


def mended_head(head: bytes) -> bytes:
    """The whole head of a response in strict form; it is still malformed if nothing can mend it."""
    first, *lines = _lines(head)
    line = _STATUS_LINE.fullmatch(first.translate(_CONTROLS).strip(_BLANK))
    first = b"%b %b %b" % (line[1], line[2], line[3] or b"") if line is not None else first
    fields = _mended_framing(_field_lines(lines), keeps_length=_EMPTY_BODY.match(first) is None)
    return b"".join([text + b"\r\n" for text in (first, *fields, b"")])


def mended_fields(block: bytes) -> bytes:
    """A trailer section in strict form."""
    return b"".join([text + b"\r\n" for text in _field_lines(_lines(block))])


def single_length(text: bytes) -> bytes | None:
    """The only value in a list of equal lengths; None if they differ. RFC 9112, 6.3, rule 5"""
    lengths = {part.strip(_BLANK) for part in text.split(b",")}
    return lengths.pop() if len(lengths) == 1 else None


def _lines(data: bytes) -> list[bytes]:
    """The lines, without their ends and without empty ones at the end."""
    return data.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")


def _field_lines(lines: Iterable[bytes]) -> list[bytes]:
    found: list[list[bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            # obs-fold is replaced by SP (RFC 9112, 5.2). Before the first field it is consumed (2.2).
            if found:
                found[-1].append(line.strip(_BLANK))
        else:
            name, colon, value = line.partition(b":")
            # "A proxy MUST remove any such whitespace from a response message"            RFC 9112, 5.1
            found.append([name.rstrip(_BLANK) + colon + value.strip(_BLANK)])
    return [b" ".join(parts).translate(_CONTROLS) for parts in found]


def _mended_framing(lines: list[bytes], *, keeps_length: bool) -> Iterator[bytes]:
    """The lines with one Content-Length at most, and none beside Transfer-Encoding."""
    values: dict[bytes, list[bytes]] = {b"content-length": [], b"transfer-encoding": []}
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() in values:
            values[name.lower()].append(value)
        else:
            yield line
    # Empty elements of a list do not count (RFC 9110, 5.6.1); "identity" was no coding (RFC 2616, 3.6).
    codings = [part.strip(_BLANK) for part in b",".join(values[b"transfer-encoding"]).split(b",")]
    codings = [coding for coding in codings if coding.lower() not in (b"", b"identity")]
    if codings:
        yield b"Transfer-Encoding:" + b",".join(codings)
        return  # it overrides Content-Length, which must be removed. RFC 9112, 6.3, rule 3
    if values[b"content-length"] and keeps_length:  # 1xx and 204 have none. RFC 9110, 8.6
        text = b",".join(values[b"content-length"])
        yield b"Content-Length:" + (single_length(text) or text)
