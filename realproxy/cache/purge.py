"""What is dropped from the store on purpose, and must not come back from what was on its way.

Threads. All of this is the store's, under its lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from policies.bad_input import BadInput

MAX_REMEMBERED = 4096
"""Changes that are remembered, for answers that were asked for before them."""

Member = tuple[bytes, str]
"""A group of one origin: the start of its keys, and the group's name. RFC 9875, 2.1"""


def origin_of(key: bytes) -> bytes:
    """The service and origin at the start of a key, up to the path."""
    return key[: key.index(b"/", key.index(b"://") + 3)]


class Purge(NamedTuple):
    """What is to go; exactly one is given.

    Attributes
    ----------
    url : bytes or None
        An absolute URL.
    prefix : bytes or None
        How absolute URLs begin.
    tag : str or None
        A group, of any origin.
    """

    url: bytes | None = None
    prefix: bytes | None = None
    tag: str | None = None

    def matches(self, key: bytes, groups: Iterable[str]) -> bool:
        """Whether an answer goes."""
        if self.tag is not None:
            return self.tag in groups
        url = key.partition(b" ")[2]
        return url == self.url if self.url is not None else url.startswith(self.prefix or b"")


def read_purge(url: str | None = None, prefix: str | None = None, tag: str | None = None) -> Purge:
    """What an operator asks to be purged; raises `BadInput`."""
    given = {"url": url, "prefix": prefix, "tag": tag}
    named = [name for name, value in given.items() if value]
    if len(named) != 1:
        raise BadInput("purge", ", ".join(named) or "url", "expected exactly one of url, prefix and tag")
    if tag:
        return Purge(tag=tag)
    text = url or prefix or ""
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        whole = False
    if not whole:
        example = "http://shop.test/a?b=1" if url else "http://shop.test/images/"
        raise BadInput("purge", named[0], f"expected an absolute URL such as {example!r}, not {text!r}")
    authority = parts.netloc.lower().removesuffix(":80")
    path = (parts.path or "/") + (f"?{parts.query}" if "?" in text else "")
    wanted = f"{parts.scheme}://{authority}{path}".encode("latin-1", "replace")
    return Purge(url=wanted) if url else Purge(prefix=wanted)


class TagIndex:
    """Which keys have answers of a group."""

    def __init__(self) -> None:
        self._keys: dict[Member, set[bytes]] = {}

    def add(self, key: bytes, groups: Iterable[str]) -> None:
        """An answer of these groups is stored under `key`."""
        for group in groups:
            self._keys.setdefault((origin_of(key), group), set()).add(key)

    def remove(self, key: bytes, groups: Iterable[str]) -> None:
        """Nothing of these groups is stored under `key` any more."""
        for group in groups:
            member = origin_of(key), group
            keys = self._keys.get(member, set())
            keys.discard(key)
            if not keys:
                self._keys.pop(member, None)

    def keys(self, member: Member) -> list[bytes]:
        """What belongs to a group."""
        return list(self._keys.get(member, ()))

    def tagged(self, group: str) -> list[bytes]:
        """What belongs to a group of that name, of any origin."""
        return [key for (_, name), keys in self._keys.items() if name == group for key in keys]

    def __len__(self) -> int:
        return len(self._keys)


class InvalidationLog:
    """What has fallen lately: an answer that was asked for before must not be stored after it."""

    def __init__(self) -> None:
        self._fallen: dict[bytes | Member, float] = {}
        self._purges: deque[tuple[float, Purge]] = deque()
        self._forgotten = 0.0

    def record(self, what: bytes | Member, now: float) -> None:
        """A key, or a group of one origin, has become invalid."""
        self._fallen.pop(what, None)
        self._fallen[what] = now
        if len(self._fallen) > MAX_REMEMBERED:
            oldest = next(iter(self._fallen))
            self._forgotten = max(self._forgotten, self._fallen.pop(oldest))

    def record_purge(self, purge: Purge, now: float) -> None:
        """Something was purged."""
        self._purges.append((now, purge))
        if len(self._purges) > MAX_REMEMBERED // 64:
            self._forgotten = max(self._forgotten, self._purges.popleft()[0])

    def invalidated_since(self, key: bytes, groups: tuple[str, ...], since: float) -> bool:
        """Whether an answer that was asked for at `since` may be from before a change."""
        if self._forgotten > since or self._fallen.get(key, since) > since:
            return True
        if groups:
            origin = origin_of(key)
            if any(self._fallen.get((origin, group), since) > since for group in groups):
                return True
        return any(at > since and purge.matches(key, groups) for at, purge in self._purges)
