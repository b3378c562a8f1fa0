"""An answer on its way to a client, and what the store learns from it.

Threads. A `CacheWriter` belongs to the worker that relays the answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from policies.http_cache.collapsing import flight_result, shareable
from policies.http_cache.freshness import Answer, Forwarded, NotStored, Request, read_answer
from policies.http_cache.groups import read_groups
from policies.http_cache.invalidation import invalidated, invalidates, stands_for_get
from policies.http_cache.partial import Part, combine, is_whole, read_part, whole_part
from policies.http_cache.reuse import ERROR_STATUSES, may_serve_stale_on_error
from policies.http_cache.validation import head_agrees, validators
from policies.http_cache.vary import Variant, variant_of
from realproxy.cache.cache_status import describe, forwarded_outcome
from realproxy.cache.collapse import CollapsedWriter, Collapser
from realproxy.cache.entry import CacheEntry
from realproxy.cache.entry_headers import storable_lines, updated_lines
from realproxy.cache.rules import CacheRules
from realproxy.cache.store import CacheStore
from realproxy.http1 import UNTIL_CLOSE, Fields, Line, RequestHead, ResponseHead


class CacheWriter:
    """An answer that may be stored, recorded while it is relayed.

    Parameters
    ----------
    store : CacheStore
        Where it will go.
    key : bytes
        From `realproxy.cache.store.cache_key`.
    head : RequestHead
        Of the request.
    request : policies.http_cache.freshness.Request
        What it allows.
    why : Forwarded
        Why it goes upstream.
    rules : CacheRules
        From the settings.
    candidate : CacheEntry or None
        What the request selects, but needs the origin's word.

    Attributes
    ----------
    lead : CollapsedWriter or None
        Those who wait for this answer.
    collapser : Collapser or None
        Where they gather.
    over : bool
        Whether `commit` or `abort` was called.
    explains : bool
        Whether `outcome` tells all that it can.
    reason : NotStored or None
        Why the answer is not stored.
    validators : list of (str, str), or None
        Conditions to send in place of the client's; None if there is nothing to ask about.
    """

    __slots__ = (
        "_answer",
        "_asked",
        "_born",
        "_candidate",
        "_given",
        "_head",
        "_key",
        "_part",
        "_pieces",
        "_request",
        "_reserved",
        "_rules",
        "_since",
        "_size",
        "_store",
        "_told",
        "_whole",
        "_why",
        "collapser",
        "explains",
        "lead",
        "over",
        "reason",
        "validators",
    )  # fmt: skip

    def __init__(
        self,
        store: CacheStore,
        key: bytes,
        head: RequestHead,
        request: Request,
        why: Forwarded,
        rules: CacheRules,
        candidate: CacheEntry | None = None,
    ) -> None:
        self._store, self._key, self._head, self._request, self._why = store, key, head, request, why
        self._rules, self._candidate = rules, candidate
        self.lead: CollapsedWriter | None = None
        self.collapser: Collapser | None = None
        self.explains = False
        self.reason: NotStored | None = NotStored.INCOMPLETE
        self.validators: list[tuple[str, str]] | None = None
        if candidate is not None and head.method == "GET":
            self.validators = validators(candidate.fields.text) or None
        self._answer = Answer(NotStored.INCOMPLETE)
        self._given: ResponseHead | None = None
        self._told = ""
        self._pieces: list[bytes] = []
        self._size = self._reserved = 0
        self._whole = self.over = False
        self._part: Part | None = None
        self._asked = self._born = 0.0
        self._since = time.monotonic()

    @property
    def outcome(self) -> str:
        """What Cache-Status says of it. RFC 9211"""
        found = (
            forwarded_outcome(self._why, self.reason) if not self._told else f"fwd={self._why}; {self._told}"
        )
        if not self.explains:
            return found
        kept = self.reason is None and not self._told
        return describe(found, self._key, self._answer.lifetime - self._answer.age if kept else None)

    def start(self, head: ResponseHead, delay: float, *, whole: bool) -> CacheEntry | None:
        """The response's head is there, `delay` seconds after it was asked for.

        `whole` says that all of its body is there, too, and will be written at once.

        Returns
        -------
        Stored or None
            What to send instead of this answer: what it confirms, or what stands in for it.
        """
        self._given, self._asked = head, time.monotonic() - delay
        self._invalidate(head)
        candidate = self._candidate
        if candidate is not None:
            if head.status == 304 and self.validators is not None:
                self._told = "fwd-status=304"
                return self._confirm(candidate, head, delay)
            if head.status in ERROR_STATUSES and (standing := self.stale_if_error()) is not None:
                self._told = f"fwd-status={head.status}; detail=stale-if-error"
                return standing
            if self._head.method == "HEAD" and head.status == 200:
                self._update_by_head(candidate, head, delay)
        self._judge(head, delay)
        self._whole = whole and self._can_share and self._reserve(head.framing)
        if self.lead is not None and not self._whole:
            self._share(self.lead, head)
        return None

    @property
    def _can_share(self) -> bool:
        return self.reason is None and self._part is None and shareable(self._answer)

    def _share(self, lead: CollapsedWriter, head: ResponseHead) -> None:
        """Let those who wait have this answer, if it is for others too."""
        if not self._can_share:
            lead.complete(flight_result(head.status, usable=False))
            return
        lead.begin(head, *self._described(head))

    def _described(self, head: ResponseHead) -> tuple[list[Line], Answer, Variant, float]:
        """What those who share the response must know of it."""
        lines = storable_lines(head.fields, self._answer.omitted)
        return lines, self._answer, variant_of(head.fields.text, self._head.fields.text), self._born

    def stale_if_error(self) -> CacheEntry | None:
        """What may be sent because the origin fails."""
        candidate = self._candidate
        if candidate is None or candidate.status >= 500:
            return None
        age = candidate.age(time.monotonic())
        if not may_serve_stale_on_error(candidate.answer, self._request, age):
            return None
        self._told = "detail=stale-if-error"
        return candidate

    def _invalidate(self, head: ResponseHead) -> None:
        """An unsafe method succeeded: what it may have changed is not to be trusted."""
        if not invalidates(self._head.method, head.status):
            return
        service, _, uri = self._key.partition(b" ")
        for target in invalidated(uri.decode("latin-1"), head.fields.text):
            key = b"%b %b" % (service, target.encode("latin-1", "replace"))
            self._store.invalidate(key)
            if self.collapser is not None:
                self.collapser.invalidate(key)
        if groups := read_groups(head.fields.text("cache-group-invalidation")):
            self._store.invalidate_groups(self._key, groups)
            if self.collapser is not None:
                self.collapser.invalidate_groups(self._key, groups)
        self._since = time.monotonic()
        if stands_for_get(self._head.method, uri.decode("latin-1"), head.fields.text):
            self._request = Request()

    def _read(self, status: int, fields: Fields, delay: float, request: Request | None = None) -> Answer:
        rules, authorized = self._rules, b"authorization" in self._head.fields
        # What was posted is only stored if the origin itself names a lifetime. RFC 9110, 9.3.3
        posted = self._head.method == "POST"
        answer = read_answer(
            status, fields.text, request or self._request, authorized, None if posted else rules.ttl,
            time.time(), delay, stale=rules.stale, targeted=rules.targeted,
        )  # fmt: skip
        if posted and answer.reason is None and not answer.lifetime:
            return Answer(NotStored.NO_FRESHNESS)
        return answer

    def _judge(self, head: ResponseHead, delay: float) -> None:
        """Whether the answer is to be stored."""
        answer = self._answer = self._read_head(head, delay)
        self.reason = answer.reason
        if self.reason is None and max(head.framing, 0) > self._store.capacity:
            self.reason = NotStored.TOO_LARGE
        if self.reason is None and head.framing == UNTIL_CLOSE:  # its end cannot be told from a cut
            self.reason = NotStored.INCOMPLETE
        self._born = time.monotonic() - answer.age
        outdated = self._candidate is not None and self._head.method == "GET" and head.status < 500
        # A part is no candidate, but the whole says now that nothing of it may be kept.
        outdated |= self._why is Forwarded.PARTIAL and self._head.method == "GET" and head.status == 200
        if outdated and self.reason is not None and head.status not in (206, 304):
            self._store.discard(self._key)

    def _read_head(self, head: ResponseHead, delay: float) -> Answer:
        """A part that may be stored is judged as its whole would be. RFC 9111, 3.3"""
        if head.status != 206:
            return self._read(head.status, head.fields, delay)
        length = head.framing if head.framing >= 0 else None
        found = read_part(self._head.method, self._head.fields.text, head.fields.text, length)
        if isinstance(found, NotStored):
            return Answer(found)
        self._part = found
        return self._read(200, head.fields, delay)

    def _confirm(self, candidate: CacheEntry, head: ResponseHead, delay: float) -> CacheEntry:
        """The origin says that what is stored still holds: keep it on, with the new fields (4.3.4)."""
        renewed, answer = self._renewed(candidate, head, delay, candidate.body, None)
        self.reason = answer.reason
        if answer.reason is not None:
            self._store.discard(self._key)
        elif self._store.put(self._key, renewed, self._head.fields.text, self._since):
            self._told += "; stored"
        if self.lead is not None:
            self.lead.complete(flight_result(candidate.status, shareable(answer)))
        return renewed

    def _renewed(
        self, stored: CacheEntry, head: ResponseHead, delay: float, body: bytes, part: Part | None
    ) -> tuple[CacheEntry, Answer]:
        """What is stored, with the fields of a newer answer (RFC 9111, 3.2) and perhaps more of the body."""
        lines = updated_lines(stored.fields, head.fields)
        age = head.fields.get(b"age")
        fields = Fields(lines if age is None else [*lines, (b"Age", age)])
        answer = self._read(stored.status, fields, delay, Request())
        lines = [line for line in lines if line[0].decode("latin-1").lower() not in answer.omitted]
        born = time.monotonic() - answer.age
        groups = read_groups(fields.text("cache-groups"))
        kept = CacheEntry(
            stored.status, stored.reason, lines, body, answer, born, stored.variant, groups, part
        )
        return kept, answer

    def _update_by_head(self, candidate: CacheEntry, head: ResponseHead, delay: float) -> None:
        """What an answer to HEAD says of the stored answer to GET. RFC 9111, 4.3.5"""
        if head_agrees(candidate.fields.text, head.fields.text, len(candidate.body)):
            self._confirm(candidate, head, delay)
            self._told = ""
        else:
            self._store.discard(self._key)

    def write(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Record pieces of the body."""
        shared = self._shared
        if self.reason is not None and shared is None:
            return
        for piece in pieces:
            if self.reason is None and not self._whole:
                self._make_room(len(piece))
            if shared is not None:
                shared.add(bytes(piece))
            elif self.reason is None:
                self._pieces.append(bytes(piece))

    def _make_room(self, size: int) -> None:
        """Reserve memory for more of the body; if there is none, it will not be stored."""
        if self._reserve(size):
            return
        self.reason = NotStored.TOO_LARGE
        self._release()
        if (shared := self._shared) is not None:
            shared.give_up_keeping()

    def _reserve(self, size: int) -> bool:
        """Reserve memory for `size` bytes more, if the size is known and there is room."""
        if size < 0:
            return False
        self._size += size
        if self._size > self._store.capacity or not self._store.reserve(size):
            return False
        self._reserved += size
        return True

    def abort(self) -> None:
        """The rest of the body will not come."""
        self.over = True
        self.reason = self.reason or NotStored.INCOMPLETE
        self._release()
        if self.lead is not None:
            self.lead.close()

    def _release(self) -> None:
        """Forget what was recorded; what is stored stays."""
        self._pieces = []
        if self._reserved:
            self._store.reserve(-self._reserved)
            self._reserved = 0

    def commit(self) -> None:
        """The whole body is there: store it."""
        head, shared = self._given, self._shared
        body = shared.finish() if shared is not None else b"".join(self._pieces)
        if self.reason is None and head is not None:
            self._keep(head, body)
        self._release()
        if self.lead is not None and self._whole and head is not None:
            self.lead.give_whole(body, head, *self._described(head))
        if self.lead is not None:
            self.lead.close()
        self.over = True

    def _keep(self, head: ResponseHead, body: bytes) -> None:
        """Put it into the store."""
        stored = self._alone(head, body) if self._part is None else self._combined(head, body, self._part)
        if isinstance(stored, NotStored):
            self.reason = stored
        elif not self._store.put(self._key, stored, self._head.fields.text, self._since):
            self.reason = NotStored.REFUSED
        elif self.collapser is not None and stored.part is None and shareable(self._answer):
            self.collapser.shareable(self._key)

    def _alone(self, head: ResponseHead, body: bytes) -> CacheEntry:
        """What is kept of this answer."""
        variant = variant_of(head.fields.text, self._head.fields.text)
        groups, part = read_groups(head.fields.text("cache-groups")), self._part
        status, reason, omitted = head.status, head.reason, self._answer.omitted
        if part is not None:
            status, reason, omitted = 200, b"OK", omitted | {"content-range"}
            part = None if is_whole(part) else part
        lines = storable_lines(head.fields, omitted)
        return CacheEntry(status, reason, lines, body, self._answer, self._born, variant, groups, part)

    def _combined(self, head: ResponseHead, body: bytes, part: Part) -> CacheEntry | NotStored:
        """A part together with what is stored (RFC 9111, 3.4).

        If that is of another version, or there is a gap, the part replaces it, unless it is younger.
        """
        if len(body) != len(part.at):  # chunks do not say before how much they are
            return NotStored.CONTENT_RANGE
        asked = self._head.fields.text
        before = self._store.selected(self._key, asked)
        if before is None:
            return self._alone(head, body)
        if before.status == 200 and before.variant == variant_of(head.fields.text, asked):
            older = before.part or whole_part(before.fields.text, len(before.body))
            if older is not None and (both := combine(part, body, older, before.body)) is not None:
                union, held = both
                rest = None if is_whole(union) else union
                delay = time.monotonic() - self._asked
                renewed, answer = self._renewed(before, head, delay, held, rest)
                return renewed if answer.reason is None else answer.reason
        return NotStored.REFUSED if before.time_zero > self._since else self._alone(head, body)

    @property
    def _shared(self) -> CollapsedWriter | None:
        """Those who are sent what is recorded while it arrives."""
        return self.lead if self.lead is not None and self.lead.shared is not None else None
