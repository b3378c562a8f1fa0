"""DNS messages without I/O: a query for one name, and its answer (RFC 1035, 4.1; AAAA: RFC 3596)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

A, AAAA = 1, 28
_IN = 1
_ANSWER, _NO_SUCH_NAME = 0x8580, 0x8583  # authoritative; recursion was asked for and is available
_HEADER = struct.Struct("!6H")
_POINTER = b"\xc0\x0c"  # to the name of the question, 4.1.4


def encode_name(name: str) -> bytes:
    """A name as labels with their lengths."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"


def query(number: int, name: str, kind: int) -> bytes:
    """A query for the records of one kind."""
    return _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + encode_name(name) + struct.pack("!2H", kind, _IN)


def question(message: bytes) -> tuple[int, str, int, bytes]:
    """Number, name in lower case, kind and the bytes of the question of a query; raises `ValueError`."""
    if len(message) < _HEADER.size:
        raise ValueError("a DNS message has a header of 12 bytes")
    number, _, questions, *_ = _HEADER.unpack_from(message)
    if questions != 1:
        raise ValueError("expected one question")
    labels, place = [], _HEADER.size
    while place < len(message) and (length := message[place]):
        if length > 63:
            raise ValueError("a question needs no compression")
        labels.append(message[place + 1 : place + 1 + length].decode("ascii").lower())
        place += 1 + length
    end = place + 5
    if end > len(message):
        raise ValueError("the question ends too early")
    return number, ".".join(labels), struct.unpack_from("!H", message, place + 1)[0], message[12:end]


def answer(message: bytes, addresses: Sequence[str] | None) -> bytes:
    """The answer to a query: the addresses of its kind, perhaps none; None if the name is not known."""
    number, _, kind, asked = question(message)
    packed = [ipaddress.ip_address(one).packed for one in addresses or ()]
    records = [one for one in packed if len(one) == {A: 4, AAAA: 16}.get(kind)]
    flags = _NO_SUCH_NAME if addresses is None else _ANSWER
    head = _HEADER.pack(number, flags, 1, len(records), 0, 0)
    tail = [_POINTER + struct.pack("!2HIH", kind, _IN, 0, len(one)) + one for one in records]
    return head + asked + b"".join(tail)


def addresses_in(message: bytes, number: int) -> list[str]:
    """The addresses in an answer to the query of this number; raises `ValueError` for another message."""
    got, _, _, asked = question(message)
    if got != number:
        raise ValueError("the answer to another query")
    records = _HEADER.unpack_from(message)[3]
    place, found = 12 + len(asked), []
    for _ in range(records):
        *_, length = struct.unpack_from("!2HIH", message, place + 2)
        place += 12
        found.append(str(ipaddress.ip_address(message[place : place + length])))
        place += length
    return found
