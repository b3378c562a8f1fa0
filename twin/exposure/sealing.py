"""The packets of the small VPN, without I/O: sealed, counted, and refused when they come again.

A packet is ``counter (8 bytes) | ciphertext | tag (16 bytes)``. The counter is the nonce of
ChaCha20-Poly1305 (RFC 8439): it never comes twice under one key, because each direction has a key of its
own and counts its packets. The receiver keeps a window of counters, and refuses what it has had already or
what is too old (RFC 4303, 3.4.3, as in IPsec and WireGuard). The tag also covers the counter.

What a real VPN has beyond this: a handshake that agrees on keys and proves who is who (WireGuard: Noise IK),
and new keys every few minutes. Here both sides get their keys from the experiment.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_BYTES = 32
WINDOW = 64
"""Counters behind the newest one that may still come, for packets that overtake each other."""
_LAST = 2**64 - 1
_COUNTER = struct.Struct("!Q")


class Refused(ValueError):
    """A packet that is too short, forged, repeated or too old."""


class Sealer:
    """Seals the packets of one direction; without a key it only counts them."""

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else ChaCha20Poly1305(key)
        self._counter = 0

    def seal(self, packet: bytes) -> bytes:
        """The packet for the network; raises `OverflowError` when all counters are used up."""
        if self._counter > _LAST:
            raise OverflowError("all nonces of this key are used")
        head = _COUNTER.pack(self._counter)
        self._counter += 1
        if self._cipher is None:
            return head + packet
        return head + self._cipher.encrypt(_nonce(head), packet, head)


class Opener:
    """Opens the packets of one direction, each once."""

    def __init__(self, key: bytes | None) -> None:
        self._cipher = None if key is None else ChaCha20Poly1305(key)
        self._window = ReplayWindow()

    def open(self, data: bytes) -> bytes:
        """The packet inside; raises `Refused`. A forged packet does not move the window."""
        if len(data) < _COUNTER.size:
            raise Refused("too short")
        head, body = data[: _COUNTER.size], data[_COUNTER.size :]
        (counter,) = _COUNTER.unpack(head)
        if not self._window.is_new(counter):
            raise Refused("seen before, or too old")
        if self._cipher is not None:
            try:
                body = self._cipher.decrypt(_nonce(head), body, head)
            except InvalidTag:
                raise Refused("forged") from None
        self._window.note(counter)
        return body


class ReplayWindow:
    """The newest counter, and a bit for each of the `WINDOW` counters up to it."""

    def __init__(self) -> None:
        self._newest, self._bits = -1, 0

    def is_new(self, counter: int) -> bool:
        """Whether a counter may still come."""
        behind = self._newest - counter
        return behind < 0 or (behind < WINDOW and not self._bits >> behind & 1)

    def note(self, counter: int) -> None:
        """Remember a counter that `is_new`."""
        ahead = counter - self._newest
        if ahead > 0:
            self._bits = (self._bits << ahead | 1) & (1 << WINDOW) - 1 if ahead < WINDOW else 1
            self._newest = counter
        else:
            self._bits |= 1 << -ahead


def _nonce(head: bytes) -> bytes:
    return bytes(4) + head
