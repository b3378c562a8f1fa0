"""Partial content: a writer that also stores parts of a response, and combines them. RFC 9111, 3.3 and 3.4"""

from __future__ import annotations

import time
from dataclasses import replace

from policies.http_cache.freshness import Answer, NotStored
from policies.http_cache.partial import Part, combine, is_whole, read_part, whole_part
from policies.http_cache.vary import variant_of
from realproxy.cache.entry import CacheEntry
from realproxy.cache.entry_headers import storable_lines, stored_head
from realproxy.cache.writer import CacheWriter
from realproxy.http1 import ResponseHead


class PartialContentWriter(CacheWriter):
    """A `CacheWriter` that stores responses with status 206, too."""

    def _read_head(self, head: ResponseHead, delay: float) -> Answer:
        """A part that may be stored is judged as its whole would be."""
        if head.status != 206:
            return self._read(head.status, head.fields, delay)
        length = head.framing if head.framing >= 0 else None
        found = read_part(self._head.method, self._head.fields.text, head.fields.text, length)
        if isinstance(found, NotStored):
            return Answer(found)
        self._part = found
        return self._read(200, head.fields, delay)

    def _combined(self, head: ResponseHead, body: bytes, part: Part) -> CacheEntry | NotStored:
        """The entry for a part together with what is stored.

        If the stored response is of another version, or there is a gap, the part replaces it, unless the
        stored response is younger.
        """
        if len(body) != len(part.at):  # chunks do not say how long the body should be
            return NotStored.CONTENT_RANGE
        asked = self._head.fields.text
        before = self._store.selected(self.key, asked)
        if before is None:
            return self._part_alone(head, body, part)
        if before.status == 200 and before.variant == variant_of(head.fields.text, asked):
            older = before.part or whole_part(before.fields.text, len(before.body))
            if older is not None and (both := combine(part, body, older, before.body)) is not None:
                union, held = both
                rest = None if is_whole(union) else union
                delay = time.monotonic() - self._sent_at
                renewed, answer = self._renewed(before, head, delay, held, rest)
                return renewed if answer.reason is None else answer.reason
        if before.time_zero > self._requested:
            return NotStored.REFUSED
        return self._part_alone(head, body, part)

    def _part_alone(self, head: ResponseHead, body: bytes, part: Part) -> CacheEntry:
        """The entry for this part, whose head is that of its whole, and states the length of `body`."""
        lines = storable_lines(head, self._answer.omitted)
        start = stored_head(200, b"OK", lines, len(body))
        kept = None if is_whole(part) else part
        return replace(self._alone(head, body), status=200, reason=b"OK", head=start, part=kept)
