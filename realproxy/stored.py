"""A stored answer, and what is sent of it: all, a part, or the word that nothing has changed.

Threads. A `Stored` never changes, so any thread may read it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from policies.freshness import Answer
from policies.ranges import range_applies, select_range
from policies.validation import not_modified
from policies.variants import ANY, Variant
from realproxy.heads import not_modified_head, partial_head, stored_head, unsatisfiable_head
from realproxy.http1 import Fields, RequestHead
from realproxy.http1.fields import parse_fields

_CONDITIONAL = frozenset({b"if-none-match", b"if-modified-since", b"range"})


@lru_cache(maxsize=4096)
def _shared(answer: Answer) -> Answer:
    """One object for all that are equal, as those of a site mostly are: 200 bytes less for each."""
    return answer


class Stored:
    """An answer in the store.

    Attributes
    ----------
    head : bytes
        Open at its end, without Age, Cache-Status and Connection.
    body : bytes
        The whole body.
    status : int
        Of the answer.
    reason : bytes
        Its phrase.
    born : float
        When its age was zero, on the monotonic clock.
    answer : policies.freshness.Answer
        How long it is fresh, and how it may be used; its age is in `born`.
    variant : policies.variants.Variant
        Which requests select it.
    groups : tuple of str
        What it belongs to. RFC 9875
    """

    __slots__ = ("answer", "body", "born", "groups", "head", "reason", "status", "variant")

    def __init__(
        self,
        status: int,
        reason: bytes,
        lines: Sequence[tuple[bytes, bytes]],
        body: bytes,
        answer: Answer,
        born: float,
        variant: Variant = ANY,
        groups: tuple[str, ...] = (),
    ) -> None:
        self.status, self.reason, self.body = status, reason, body
        self.answer = _shared(replace(answer, age=0.0))
        self.head = stored_head(status, reason, lines, len(body))
        self.born, self.variant, self.groups = born, variant, groups

    @property
    def fields(self) -> Fields:
        """Its fields, read anew from the head: seldom needed, and memory is what a cache is short of."""
        return parse_fields(self.head, self.head.index(b"\r\n") + 2, len(self.head))

    def age(self, now: float) -> float:
        """Seconds of age at `now` on the monotonic clock."""
        return max(0.0, now - self.born)

    def respond(self, request: RequestHead, added: bytes, now: float) -> tuple[int, list[bytes]]:
        """What to send to a client.

        Parameters
        ----------
        request : RequestHead
            What it asked.
        added : bytes
            Further field lines.
        now : float
            On the monotonic clock.

        Returns
        -------
        status : int
        pieces : list of bytes
        """
        status, head, body = self.status, self.head, self.body
        if not _CONDITIONAL.isdisjoint(request.fields.names):
            status, head, body = self._conditionally(request)
        head = b"%bAge: %d\r\n%b\r\n" % (head, self.age(now), added)
        return status, [head, body] if request.method != "HEAD" and body else [head]

    def _conditionally(self, request: RequestHead) -> tuple[int, bytes, bytes]:
        """Status, open head and body for a request with conditions or a range. RFC 9110, 13.2.2"""
        whole = self.status, self.head, self.body
        if not 200 <= self.status < 300:  # conditions are for what would succeed. RFC 9110, 13.2.1
            return whole
        asked, fields, now = request.fields.text, self.fields, time.time()
        if not_modified(asked, fields.text, now):
            return 304, not_modified_head(fields), b""
        wanted = asked("range") if request.method == "GET" and self.status == 200 else None
        if wanted is None or not range_applies(asked, fields.text, now):
            return whole
        part, length = select_range(wanted, len(self.body)), len(self.body)
        if part is None:
            return whole
        if not part:
            return 416, unsatisfiable_head(length), b""
        return 206, partial_head(fields, part, length), self.body[part.start : part.stop]
