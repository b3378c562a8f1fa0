"""The search of recordings for the secrets of a visit. Pure: bytes in, items out.

Every visit has secrets of its own: a random label in its host name, in its path and in its content. So what
is found belongs to this visit. Addresses are random in each run. In binary form an address has only four
bytes, so it is searched for only where headers are (the first `HEADERS` bytes of a packet), and in text
everywhere. A run records less than 5,000 packets, so the chance that random bytes look like one of the
four addresses by accident is below 5,000 · 128 · 4 / 2³² = 0.0006 for a run.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from twin.exposure.dns_messages import encode_name
from twin.exposure.vocabulary import Item

HEADERS = 128
"""Bytes at the beginning of a packet in which binary addresses are searched for."""
PAGE_BYTES = 6_000
"""Bytes of the page, of random content that nothing can compress."""


def random_label() -> str:
    """A word of 16 characters that is allowed in a host name, and never there by accident."""
    return f"x{secrets.token_hex(8)[1:]}"


@dataclass(frozen=True)
class Secrets:
    """What to look for.

    Parameters
    ----------
    zone : str
        The domain of the host names.
    client, destination : tuple of str
        The IP addresses, IPv4 and IPv6.
    """

    zone: str
    client: tuple[str, ...]
    destination: tuple[str, ...]
    host_label: str = field(default_factory=random_label)
    path_label: str = field(default_factory=random_label)
    request_label: str = field(default_factory=random_label)
    page_label: str = field(default_factory=random_label)
    other_label: str = field(default_factory=random_label)

    @property
    def host(self) -> str:
        """The host name of the site."""
        return f"{self.host_label}.{self.zone}"

    @property
    def path(self) -> str:
        """The path that is asked for."""
        return f"/{self.path_label}/page"

    @property
    def other_host(self) -> str:
        """The host name of the site of the second program."""
        return f"{self.other_label}.{self.zone}"

    def page(self) -> bytes:
        """The site's page: its label, and random bytes."""
        return self.page_label.encode() + secrets.token_bytes(PAGE_BYTES)


def find_items(wanted: Secrets, packets: Sequence[bytes]) -> frozenset[Item]:
    """The items of a visit that are in the bytes of packets, or of what a program held."""
    joined = b"\x00\x00".join(packets)
    lower = joined.lower()
    found: set[Item] = set()
    texts = {
        Item.HOST: [wanted.host_label],
        Item.PATH: [wanted.path_label],
        Item.CONTENT: [wanted.request_label, wanted.page_label],
    }
    for item, labels in texts.items():
        if any(label.encode() in lower for label in labels):
            found.add(item)
    if encode_name(wanted.host) in lower:
        found.add(Item.QUERY)
    for item, addresses in ((Item.CLIENT, wanted.client), (Item.DESTINATION, wanted.destination)):
        if any(has_address(address, packets, joined) for address in addresses):
            found.add(item)
    return frozenset(found)


def has_other(wanted: Secrets, packets: Iterable[bytes]) -> bool:
    """Whether the host name of the second program is in the bytes, as text or in a query."""
    return any(wanted.other_label.encode() in packet.lower() for packet in packets)


def has_address(address: str, packets: Sequence[bytes], joined: bytes) -> bool:
    """Whether an address is there, in binary form among headers or as text anywhere.

    A text is a whole address: 10.1.2.3 is not in ``10.1.2.34``.
    """
    packed = ipaddress.ip_address(address).packed
    if any(packed in packet[:HEADERS] for packet in packets):
        return True
    text, start = address.encode(), -1
    while (start := joined.find(text, start + 1)) >= 0:
        around = joined[max(start - 1, 0) : start] + joined[start + len(text) : start + len(text) + 1]
        if not any(chr(byte).isalnum() for byte in around):
            return True
    return False
