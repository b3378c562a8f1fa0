"""The answer in a file that curl has written: the last final head of possibly several.

With ``-L`` curl writes the head of every redirect, with ``-x`` that of the proxy's answer to CONNECT, with
``--digest`` that of the challenge, and always those of interim responses. Bodies may stand between them, and
with ``-v`` each line of a head has a mark.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

from policies.bad_input import BadInput
from realproxy.http1 import UNTIL_CLOSE, Malformed, ResponseHead, parse_response

# curl writes "HTTP/2 200 " for HTTP/2 and HTTP/3, which have no reason phrases.
_STATUS_LINE = re.compile(rb"HTTP/([0-9](?:\.[0-9])?) ([0-9]{3})(?: ([^\r\n]*))?(?:\r?\n|\r?\Z)")
_END = re.compile(rb"\r?\n\r?\n|\r?\n?\Z")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*([0-9]+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_CONTENT = re.compile(rb"^content-(?:length|type)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_LOCATION = re.compile(rb"^location[ \t]*:", re.IGNORECASE | re.MULTILINE)
_EXPECTED = "expected a status line and fields as 'curl -i' writes them"


class FileAnswer(NamedTuple):
    """An answer from a file.

    Attributes
    ----------
    head : ResponseHead
    is_delimited : bool
        Whether a cut would be noticed: by a length, by chunks, or by the frames of HTTP/2 and HTTP/3.
    """

    head: ResponseHead
    is_delimited: bool


def read_answer_file(text: bytes, method: str, where: str) -> FileAnswer:
    """The last final head in what curl has written, in answer to `method`.

    Raises `BadInput`, with `where` as its source, if there is none.
    """
    heads = _heads(_plain(text))
    if not heads:
        raise BadInput(where, "answer", _EXPECTED)
    final = [head for head in heads if not head.partition(b" ")[2].startswith(b"1")]
    if not final:
        raise BadInput(where, "answer", "expected a final answer; there are only interim ones (1xx)")
    version, lines = _normal_form(final[-1])
    try:
        head = parse_response(b"".join(line + b"\r\n" for line in [*lines, b""]), method)
    except Malformed as error:
        raise BadInput(where, "answer", f"{_EXPECTED}: {error}") from None
    return FileAnswer(head, version not in (b"1.0", b"1.1") or head.framing != UNTIL_CLOSE)


def _plain(text: bytes) -> bytes:
    """The text without the marks of ``curl -v``, and in bytes if a shell has written it as UTF-16."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = text.decode("utf-16", "replace").encode("latin-1", "replace")
    text = text.removeprefix(codecs.BOM_UTF8).lstrip()
    if _STATUS_LINE.match(text) is not None:
        return text
    return b"".join(_marked_heads(text.splitlines()))


def _marked_heads(lines: list[bytes]) -> Iterator[bytes]:
    """The heads in what ``curl -v`` writes: their lines begin with "<", those of requests with ">"."""
    shows_requests = any(line.startswith(b">") for line in lines)
    awaited, inside = True, False
    for line in lines:
        mark, content = line[:2].rstrip(), line[2:].rstrip()
        if mark == b">":
            awaited = True
        elif mark == b"<" and (inside or (awaited and _STATUS_LINE.match(content) is not None)):
            if not inside:  # another one follows an interim one, or a redirect, or the next request
                awaited = not shows_requests or content.partition(b" ")[2].startswith((b"1", b"3"))
            inside = content != b""
            yield content + b"\n"


def _heads(text: bytes) -> list[bytes]:
    """All heads, without the bodies between them. What looks like a head in the last body is none."""
    heads: list[bytes] = []
    at = _skip_blank(text, 0)
    while _STATUS_LINE.match(text, at) is not None:
        end = _END.search(text, at)
        assert end is not None
        head = text[at : end.start()]
        heads.append(head)
        at = _skip_blank(text, _after(text, head, end.end()))
    return heads


def _after(text: bytes, head: bytes, at: int) -> int:
    """Where the next head begins, if there is one; `at` is behind the empty line of `head`."""
    length = _LENGTH.search(head)
    behind = len(text) if length is None else at + int(length[1])
    has_no_body = _lacks_body(head) or (length is not None and behind > len(text))
    if has_no_body and _STATUS_LINE.match(text, _skip_blank(text, at)) is not None:
        return at
    return min(behind, len(text))


def _skip_blank(text: bytes, at: int) -> int:
    while text[at : at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def _lacks_body(head: bytes) -> bool:
    """Whether curl writes no body after a head: it goes on to the next request, or there is none."""
    status = head.partition(b" ")[2][:3]
    goes_on = status.startswith(b"1") or status in (b"204", b"304", b"401", b"407")
    redirects = status.startswith(b"3") and _LOCATION.search(head) is not None
    return goes_on or redirects or _CONTENT.search(head) is None


def _normal_form(head: bytes) -> tuple[bytes, list[bytes]]:
    """The version of a head, and its lines with the status line of HTTP/1."""
    first, *lines = [line.removesuffix(b"\r") for line in head.split(b"\n")]
    found = _STATUS_LINE.match(first)
    assert found is not None
    version, status, reason = found.groups()
    minor = b"0" if version == b"1.0" else b"1"
    return version, [b"HTTP/1.%b %b %b" % (minor, status, reason or b""), *lines]
