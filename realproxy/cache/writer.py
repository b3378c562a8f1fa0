"""What the store learns from a response on its way to a client. RFC 9111, 3 and 4

Owner: the thread that runs the request.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from policies.http_cache.collapsing import flight_result, shareable
from policies.http_cache.freshness import (
    Answer,
    Forwarded,
    NotStored,
    Request,
    length_obstacle,
    read_answer,
)
from policies.http_cache.groups import read_groups
from policies.http_cache.invalidation import invalidated, invalidates, stands_for_get
from policies.http_cache.partial import Part
from policies.http_cache.reuse import (
    ERROR_STATUSES,
    is_of_one_request,
    may_serve_stale_on_error,
    outdates,
)
from policies.http_cache.validation import head_agrees, validators
from policies.http_cache.vary import variant_of
from realproxy.cache.cache_rules import CacheRules, heard
from realproxy.cache.cache_status import describe, forwarded_outcome
from realproxy.cache.entry import CacheEntry
from realproxy.cache.entry_headers import storable_head, stored_head, updated_lines
from realproxy.cache.shared_fetch import Collapsing, SharedFetch
from realproxy.cache.store import CacheStore, Lookup
from realproxy.http1 import UNTIL_CLOSE, Fields, RequestHead, ResponseHead


class CacheWriter:
    """Records a response while it is sent on, and stores it if it may be stored.

    `start` comes first, then `write` for the pieces of the body, and `commit` or `abort` last (`over`). The
    entry of the `lookup`, if there is one, may not be used without validation.
    """

    __slots__ = (
        "_answer", "_head", "_part", "_pieces", "_remark", "_request", "_requested", "_reserved",
        "_response", "_rules", "_selected", "_sent_at", "_size", "_store", "_time_zero", "_whole", "_why",
        "collapser", "explains", "key", "lead", "over", "reason", "validators",
    )  # fmt: skip

    def __init__(self, store: CacheStore, head: RequestHead, lookup: Lookup, rules: CacheRules) -> None:
        self._store, self._head, self._rules = store, head, rules
        self.key, self._request, _, self._selected, self._why = lookup
        self.lead: SharedFetch | None = None  # shares the response with the requests that wait for it
        self.collapser: Collapsing | None = None  # is told of what becomes invalid
        self.explains = False  # `outcome` has the parameters ``ttl`` and ``key``
        self.reason: NotStored | None = NotStored.INCOMPLETE  # None if the response is stored
        self.validators: list[tuple[str, str]] | None = None  # conditions to send in place of the client's
        if self._selected is not None and head.method == "GET":
            self.validators = validators(self._selected.fields.text) or None
        self._answer = Answer(NotStored.INCOMPLETE)
        self._response: ResponseHead | None = None
        self._remark = ""
        self._pieces: list[bytes] = []
        self._size = self._reserved = 0
        self._whole = self.over = False  # _whole: the body has arrived, and memory for it is reserved
        self._part: Part | None = None
        self._sent_at = self._time_zero = 0.0
        self._requested = time.monotonic()  # what was invalidated later must not be stored

    @property
    def outcome(self) -> str:
        """The value of Cache-Status. RFC 9211"""
        remark, why = self._remark, self._why
        found = f"fwd={why}; {remark}" if remark else forwarded_outcome(why, self.reason)
        if not self.explains:
            return found
        stored = self.reason is None and not remark
        return describe(found, self.key, self._answer.lifetime - self._answer.age if stored else None)

    def start(self, head: ResponseHead, delay: float, *, whole: bool) -> CacheEntry | None:
        """Take the head of the response, which arrived `delay` seconds after the request was sent.

        With `whole`, all of the body has arrived too. Returns what to send instead of the response, if
        anything: the entry that it validates, or that may be sent in place of an error.
        """
        self._response, self._sent_at = head, time.monotonic() - delay
        if self._head.method != "GET":
            self._invalidate(head)
        selected = self._selected
        if selected is not None:
            if head.status == 304 and self.validators is not None:
                self._remark = "fwd-status=304"
                return self._confirm(selected, head, delay)
            if head.status in ERROR_STATUSES and (stale := self.stale_if_error()) is not None:
                self._remark = f"fwd-status={head.status}; detail=stale-if-error"
                return stale
            if self._head.method == "HEAD" and head.status == 200:
                self._update_by_head(selected, head, delay)
        self._judge(head, delay)
        may_share = self.reason is None and self._part is None and shareable(self._answer)
        self._whole = whole and may_share and head.framing >= 0  # no memory is reserved: it is there already
        if self.lead is not None and not self._whole:
            if may_share:
                self.lead.begin(self._alone(head, b"", head.framing), head.framing)
            else:
                self.lead.complete(flight_result(head.status, usable=False, reason=self.reason))
        return None

    def stale_if_error(self) -> CacheEntry | None:
        """The stale response that may be sent because the origin fails. RFC 5861, 4"""
        selected = self._selected
        if selected is None:
            return None
        age = selected.age(time.monotonic())
        if not may_serve_stale_on_error(selected.answer, self._request, age, selected.status):
            return None
        self._remark = "detail=stale-if-error"
        return selected

    def _invalidate(self, head: ResponseHead) -> None:
        """Drop what an unsafe method that succeeded may have changed. RFC 9111, 4.4"""
        if not invalidates(self._head.method, head.status):
            return
        service, _, uri = self.key.partition(b" ")
        for target in invalidated(uri.decode("latin-1"), head.fields.text):
            key = b"%b %b" % (service, target.encode("latin-1", "replace"))
            self._store.invalidate(key)
            if self.collapser is not None:
                self.collapser.invalidate(key)
        if groups := read_groups(head.fields.text("cache-group-invalidation")):
            self._store.invalidate_groups(self.key, groups)
            if self.collapser is not None:
                self.collapser.invalidate_groups(self.key, groups)
        self._requested = time.monotonic()
        if stands_for_get(self._head.method, uri.decode("latin-1"), head.fields.text):
            self._request = Request()

    def _read(self, status: int, fields: Fields, delay: float, request: Request | None = None) -> Answer:
        rules, asked = self._rules, self._head.fields
        return read_answer(
            status, fields.text, request or self._request, b"authorization" in asked,
            rules.ttl, time.time(), delay, stale=rules.stale, targeted=rules.targeted,
            asked=(heard(asked.names, rules.unheard), asked.text), posted=self._head.method == "POST",
        )  # fmt: skip

    def _judge(self, head: ResponseHead, delay: float) -> None:
        """Decide whether the response is to be stored. RFC 9111, 3"""
        answer = self._answer = self._read_head(head, delay)
        self.reason = answer.reason
        room = self._store.largest_body
        if self.reason is None and (head.framing == UNTIL_CLOSE or head.framing > room):
            self.reason = length_obstacle(None if head.framing < 0 else head.framing, room)
        self._time_zero = time.monotonic() - answer.age
        # A stored part is never selected; but now the whole response says that no part may be kept.
        parts = self._why is Forwarded.PARTIAL and head.status == 200
        stored = (self._selected is not None or parts) and self._head.method == "GET"
        if stored and self.reason is not None and outdates(head.status, self.reason):
            self._store.discard(self.key)

    def _read_head(self, head: ResponseHead, delay: float) -> Answer:
        """How the response may be used. A `PartialContentWriter` also sets `_part`."""
        return self._read(head.status, head.fields, delay)

    def _confirm(self, selected: CacheEntry, head: ResponseHead, delay: float) -> CacheEntry:
        """The origin has validated a stored response: update its fields. RFC 9111, 4.3.4"""
        renewed, answer = self._renewed(selected, head, delay, selected.body, None)
        self.reason = answer.reason
        if answer.reason is None:
            if self._store.put(self.key, renewed, self._head.fields.text, self._requested):
                self._remark += "; stored"
        elif not is_of_one_request(selected.status, answer.reason):
            self._store.discard(self.key)
        if self.lead is not None:
            self.lead.complete(flight_result(selected.status, shareable(answer), answer.reason))
        return renewed

    def _renewed(
        self, stored: CacheEntry, head: ResponseHead, delay: float, body: bytes, part: Part | None
    ) -> tuple[CacheEntry, Answer]:
        """A stored response with the fields of a newer one (RFC 9111, 3.2), and perhaps more of the body."""
        lines = updated_lines(stored.fields, head.fields)
        age = head.fields.get(b"age")
        fields = Fields(lines if age is None else [*lines, (b"Age", age)])
        answer = self._read(stored.status, fields, delay, Request())
        lines = [line for line in lines if line[0].decode("latin-1").lower() not in answer.omitted]
        time_zero = time.monotonic() - answer.age
        groups = read_groups(fields.text("cache-groups"))
        start = stored_head(stored.status, stored.reason, lines, len(body))
        kept = CacheEntry(
            stored.status, stored.reason, start, body, answer, time_zero, stored.variant, groups, part
        )
        return kept, answer

    def _update_by_head(self, selected: CacheEntry, head: ResponseHead, delay: float) -> None:
        """Update or drop the stored response to GET by a response to HEAD. RFC 9111, 4.3.5"""
        reason = self._read(head.status, head.fields, delay, Request()).reason
        if is_of_one_request(head.status, reason):
            return
        if head_agrees(selected.fields.text, head.fields.text, len(selected.body)):
            self._confirm(selected, head, delay)
            self._remark = ""
        else:
            self._store.discard(self.key)

    # --- the body -------------------------------------------------------------------------------

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Record pieces of the body; raises `Aborted` like `SharedFetch.write`."""
        sharing = self._sharing
        if self.reason is not None and sharing is None:
            return
        for piece in pieces:
            if self.reason is None and not self._whole and not self._reserve(len(piece)):
                self.reason = NotStored.TOO_LARGE
                self._release()
                if sharing is not None:
                    sharing.stop_storing()
            if sharing is not None:
                sharing.write(bytes(piece))
            elif self.reason is None:
                self._pieces.append(bytes(piece))

    def _reserve(self, size: int) -> bool:
        """Reserve memory for `size` bytes more, if the size is known and there is room."""
        if size < 0:
            return False
        self._size += size
        if self._size > self._store.largest_body or not self._store.reserve(size):
            return False
        self._reserved += size
        return True

    def _release(self) -> None:
        """Forget what was recorded, and give back its memory. What is stored stays."""
        self._pieces = []
        if self._reserved:
            self._store.reserve(-self._reserved)
            self._reserved = 0

    @property
    def _sharing(self) -> SharedFetch | None:
        """The lead, if the response is shared while it arrives."""
        return self.lead if self.lead is not None and self.lead.shared is not None else None

    def abort(self) -> None:
        """The rest of the body will not come."""
        self.over = True
        self.reason = self.reason or NotStored.INCOMPLETE
        self._release()
        if self.lead is not None:
            self.lead.close()

    def commit(self) -> None:
        """The body is complete: store the response."""
        head, sharing, lead = self._response, self._sharing, self.lead
        body = sharing.finish() if sharing is not None else b"".join(self._pieces)
        if self.reason is None and head is not None:
            self._keep(head, body)
        self._release()
        if lead is not None:
            if self._whole and head is not None and not lead.complete_unawaited():
                lead.begin(self._alone(head, b"", head.framing), head.framing)
                lead.write(body)
                lead.finish()
            lead.close()
        self.over = True

    def _keep(self, head: ResponseHead, body: bytes) -> None:
        """Put the response into the store."""
        stored = self._alone(head, body) if self._part is None else self._combined(head, body, self._part)
        if isinstance(stored, NotStored):
            self.reason = stored
        elif not self._store.put(self.key, stored, self._head.fields.text, self._requested):
            self.reason = NotStored.REFUSED
        elif self.collapser is not None and stored.part is None and shareable(self._answer):
            self.collapser.shareable(self.key)

    def _alone(self, head: ResponseHead, body: bytes, framing: int | None = None) -> CacheEntry:
        """The entry for this response alone; its head states the length of `body`, or `framing`."""
        length = len(body) if framing is None else framing
        start = storable_head(head, self._answer.omitted, length)
        variant = variant_of(head.fields.text, self._head.fields.text)
        groups = read_groups(head.fields.text("cache-groups"))
        return CacheEntry(
            head.status, head.reason, start, body, self._answer, self._time_zero, variant, groups
        )

    def _combined(self, head: ResponseHead, body: bytes, part: Part) -> CacheEntry | NotStored:
        """The entry for a part together with what is stored, or why there is none."""
        raise NotImplementedError
