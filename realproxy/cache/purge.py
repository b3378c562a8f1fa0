"""Invalidation: the stored responses that a purge or a cache group names, and a log of what was dropped.

The log prevents that a response which was requested before an invalidation is stored after it.

Threads. The store calls all of this under its lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from policies.bad_input import BadInput

MAX_REMEMBERED = 4096
"""Invalidations that the log remembers."""

Member = tuple[bytes, str]
"""A cache group of one origin: the beginning of its keys, and the name. RFC 9875, 2.1"""


def origin_of(key: bytes) -> bytes:
    """The service and the origin: the beginning of a key, up to the path."""
    return key[: key.index(b"/", key.index(b"://") + 3)]


class Purge(NamedTuple):
    """What to drop: a URL, all URLs with a prefix, or a cache group of any origin. The others are None."""

    url: bytes | None = None
    prefix: bytes | None = None
    tag: str | None = None

    def matches(self, key: bytes, groups: Iterable[str]) -> bool:
        """Whether the purge drops a response with this key and these groups."""
        if self.tag is not None:
            return self.tag in groups
        url = key.partition(b" ")[2]
        return url == self.url if self.url is not None else url.startswith(self.prefix or b"")


def read_purge(url: str | None = None, prefix: str | None = None, tag: str | None = None) -> Purge:
    """Read an operator's purge; raises `BadInput`."""
    given = {"url": url, "prefix": prefix, "tag": tag}
    named = [name for name, value in given.items() if value]
    if len(named) != 1:
        raise BadInput("purge", ", ".join(named) or "url", "expected exactly one of url, prefix and tag")
    if tag:
        return Purge(tag=tag)
    text = url or prefix or ""
    try:
        parts = urlsplit(text)
        absolute = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        absolute = False
    if not absolute:
        example = "http://shop.test/a?b=1" if url else "http://shop.test/images/"
        raise BadInput("purge", named[0], f"expected an absolute URL such as {example!r}, not {text!r}")
    authority = parts.netloc.lower().removesuffix(":80")
    path = (parts.path or "/") + (f"?{parts.query}" if "?" in text else "")
    wanted = f"{parts.scheme}://{authority}{path}".encode("latin-1", "replace")
    return Purge(url=wanted) if url else Purge(prefix=wanted)


class TagIndex:
    """The keys of each cache group."""

    def __init__(self) -> None:
        self._keys: dict[Member, set[bytes]] = {}

    def add(self, key: bytes, groups: Iterable[str]) -> None:
        """Note that a response of these groups is stored under `key`."""
        for group in groups:
            self._keys.setdefault((origin_of(key), group), set()).add(key)

    def remove(self, key: bytes, groups: Iterable[str]) -> None:
        """Note that no response of these groups is stored under `key` any more."""
        for group in groups:
            member = origin_of(key), group
            keys = self._keys.get(member, set())
            keys.discard(key)
            if not keys:
                self._keys.pop(member, None)

    def keys(self, member: Member) -> list[bytes]:
        """Keys of a group of one origin."""
        return list(self._keys.get(member, ()))

    def tagged(self, group: str) -> list[bytes]:
        """Keys of all groups of this name, of any origin."""
        return [key for (_, name), keys in self._keys.items() if name == group for key in keys]

    def __len__(self) -> int:
        return len(self._keys)


class InvalidationLog:
    """The latest invalidations. A response that was requested before one must not be stored after it."""

    def __init__(self) -> None:
        self._invalidated: dict[bytes | Member, float] = {}
        self._purges: deque[tuple[float, Purge]] = deque()
        self._forgotten = 0.0  # time of the latest invalidation that has left the log

    def record(self, what: bytes | Member, now: float) -> None:
        """Record that a key, or a group of one origin, is invalid."""
        self._invalidated.pop(what, None)
        self._invalidated[what] = now
        if len(self._invalidated) > MAX_REMEMBERED:
            oldest = next(iter(self._invalidated))
            self._forgotten = max(self._forgotten, self._invalidated.pop(oldest))

    def record_purge(self, purge: Purge, now: float) -> None:
        """Record a purge."""
        self._purges.append((now, purge))
        if len(self._purges) > MAX_REMEMBERED // 64:
            self._forgotten = max(self._forgotten, self._purges.popleft()[0])

    def invalidated_since(self, key: bytes, groups: tuple[str, ...], since: float) -> bool:
        """Whether a response that was requested at `since` may have been invalidated after that."""
        if self._forgotten > since or self._invalidated.get(key, since) > since:
            return True
        if groups:
            origin = origin_of(key)
            if any(self._invalidated.get((origin, group), since) > since for group in groups):
                return True
        purges = self._purges
        return bool(purges) and any(at > since and purge.matches(key, groups) for at, purge in purges)
