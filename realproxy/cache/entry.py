"""A stored response, and what a client gets of it: the whole, a range of bytes (206), or only 304.

Threads. A `CacheEntry` never changes, so any thread may read it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

from policies.http_cache.freshness import Answer
from policies.http_cache.partial import Part
from policies.http_cache.ranges import range_applies, select_range
from policies.http_cache.validation import not_modified
from policies.http_cache.vary import ANY, Variant
from realproxy.cache.entry_headers import bodiless_head, not_modified_head, partial_head, unsatisfiable_head
from realproxy.http1 import Fields, RequestHead
from realproxy.http1.fields import parse_fields

_CONDITIONAL = frozenset({b"if-none-match", b"if-modified-since", b"range"})


@lru_cache(maxsize=4096)
def _shared(answer: Answer) -> Answer:
    """One object for equal values, as most responses of a site have them: saves 200 bytes each."""
    return answer


class FileBody(Protocol):
    """A body in a file, or a part of one."""

    def __len__(self) -> int:
        """Its length in bytes."""

    def __getitem__(self, part: slice) -> FileBody:
        """A part of the body, in the same file."""

    def read(self, at: int) -> bytes:
        """Some bytes from offset `at`; raises `OSError`, also if the file is corrupt."""

    def close(self) -> None:
        """Close the file, for all parts."""


@dataclass(slots=True, eq=False)
class CacheEntry:
    """A response in the store. Its body is in memory, or in `file`.

    `head` lacks Age, Cache-Status, Connection and the empty line at the end; see `stored_head`. `answer` says
    how long the response is fresh, and how it may be used; the age in it is 0.
    """

    status: int  # of the whole response, also if only a part is stored
    reason: bytes
    head: bytes
    body: bytes
    answer: Answer
    time_zero: float  # when the response's age was zero, on the monotonic clock
    variant: Variant = ANY  # the requests that select this response. RFC 9111, 4.1
    groups: tuple[str, ...] = ()  # RFC 9875
    part: Part | None = None  # the bytes of the whole that are stored; None for the whole
    file: FileBody | None = None

    def __post_init__(self) -> None:
        self.answer = _shared(self.answer._replace(age=0.0))

    def with_body(self, body: bytes | FileBody) -> CacheEntry:
        """A copy with another body, in memory or on disk."""
        return replace(self, body=body) if isinstance(body, bytes) else replace(self, file=body)

    def release(self) -> None:
        """Close the file of the body, if there is one."""
        if self.file is not None:
            self.file.close()

    @property
    def length(self) -> int:
        """Bytes of the whole body, also if only a part is stored."""
        if self.part is not None:
            return self.part.complete
        return len(self.body) if self.file is None else len(self.file)

    @property
    def fields(self) -> Fields:
        """The header fields, parsed at each call: they are rarely needed, and take memory."""
        return parse_fields(self.head, self.head.index(b"\r\n") + 2, len(self.head))

    def age(self, now: float) -> float:
        """Age in seconds at `now`, on the monotonic clock."""
        age = now - self.time_zero
        return age if age > 0.0 else 0.0

    def respond(self, request: RequestHead, added: bytes, now: float) -> tuple[int, list[bytes]]:
        """The response to a request, if the body is in memory: status, and head and body as pieces.

        `added` are further field lines; `now` is on the monotonic clock.
        """
        status, head, body = self.status, self.head, self.body
        if not _CONDITIONAL.isdisjoint(request.fields.names):
            status, head, part = self._conditionally(request)
            if len(part) != len(body):
                first = self.part.at.start if self.part is not None else 0
                body = body[part.start - first : part.stop - first]
        bodiless = request.method == "HEAD"
        if bodiless:
            head = bodiless_head(head)
        head = b"%bAge: %d\r\n%b\r\n" % (head, max(0.0, now - self.time_zero), added)
        return status, [head] if bodiless or not body else [head, body]

    def respond_from_file(
        self, request: RequestHead, added: bytes, now: float
    ) -> tuple[int, bytes, FileBody | None]:
        """As `respond`, if the body is in a file: status, head, and the part of the file to send."""
        assert self.file is not None
        status, head, part = self.status, self.head, range(len(self.file))
        if not _CONDITIONAL.isdisjoint(request.fields.names):
            status, head, part = self._conditionally(request)
        bodiless = request.method == "HEAD"
        head = bodiless_head(head) if bodiless else head
        head = b"%bAge: %d\r\n%b\r\n" % (head, self.age(now), added)
        return status, head, None if bodiless or not part else self.file[part.start : part.stop]

    def _conditionally(self, request: RequestHead) -> tuple[int, bytes, range]:
        """Evaluate conditions and a range: status, open head, and part of the body. RFC 9110, 13.2.2"""
        whole, nothing = (self.status, self.head, range(self.length)), range(0)
        if not 200 <= self.status < 300:  # conditions apply only to a success. RFC 9110, 13.2.1
            return whole
        asked, fields, now = request.fields.text, self.fields, time.time()
        if not_modified(asked, fields.text, now):
            return 304, not_modified_head(fields), nothing
        wanted = asked("range") if request.method == "GET" and self.status == 200 else None
        if wanted is None or not range_applies(asked, fields.text, now):
            return whole
        part, length = select_range(wanted, self.length), self.length
        if part is None:
            return whole
        if not part:
            return 416, unsatisfiable_head(length), nothing
        return 206, partial_head(fields, part, length), part
