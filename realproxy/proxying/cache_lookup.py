"""What the store has for a request, and which request fetches what the store lacks. `policies` decides."""

from __future__ import annotations

import time

from policies.http_cache.collapsing import Decision, FlightResult
from policies.http_cache.freshness import read_request
from policies.http_cache.reuse import Use
from realproxy.cache.cache_status import HIT, describe
from realproxy.cache.entry import CacheEntry
from realproxy.cache.store import Lookup, cache_key
from realproxy.cache.writer import CacheWriter
from realproxy.errors import LocalReply, Termination, WouldBlock
from realproxy.messages.deadline import due
from realproxy.proxying import forward, reverse
from realproxy.proxying.context import Outcome, RequestContext
from realproxy.proxying.reply import send_cached, send_local_reply
from realproxy.proxying.snapshot import CacheScope

_FRESH, _ASK = Use.FRESH, Use.ASK  # to name a member by its class is slow before Python 3.12


def look_up(request: RequestContext) -> Outcome | None:
    """Respond as the route or the store says; a miss waits for another request's fetch, or begins one."""
    scope = reverse.cache_scope(request) if request.route is not None else forward.cache_scope(request)
    if scope is None:
        return None
    if isinstance(scope, int):
        return send_local_reply(request, scope, "")
    head, store, reader = request.head, request.snapshot.store, request.reader
    if store.may_wait and not request.may_block:
        raise WouldBlock
    asked = head.fields.text
    if reader is None:
        key = cache_key(scope.service, head)
        question = read_request(head.method, asked, head.framing != 0)
    else:  # the request has waited, and is looked up again
        key, question = reader.key, reader.question
        request.lead = request.snapshot.collapser.take_lead(reader)
    lookup = store.lookup(key, question, asked)
    if lookup.use is _ASK and lookup.entry is None and store.may_wait:
        lookup = store.recall(key, question, asked) or lookup
    if lookup.use is not _ASK and lookup.entry is not None:
        return _send_hit(request, scope, lookup, lookup.entry)
    return _miss(request, scope, lookup)


def _miss(request: RequestContext, scope: CacheScope, lookup: Lookup) -> Outcome | None:
    """Wait for another request's fetch, or go on to fetch."""
    record, store, question = request.record, request.snapshot.store, lookup.request
    if question.only_if_cached:
        record.cache = "detail=not-cached"
        store.count_miss()
        raise LocalReply(504, Termination.NOT_CACHED, "not stored, and nothing else was wanted")
    record.cache = f"fwd={lookup.why}"
    request.writer = writer = _writer(request, scope, lookup)
    if scope.wait and request.head.method == "GET" and question.forward is None:
        found = _join(request, lookup, writer, _patience(request, scope))
        if isinstance(found, Lookup):
            assert found.entry is not None
            return _send_hit(request, scope, found, found.entry)
        if found is not None:
            return found
    store.count_miss()
    return None


def _patience(request: RequestContext, scope: CacheScope) -> float:
    """Seconds that a request may wait for another request's fetch: no longer than it has itself."""
    limits = request.snapshot.limits if request.visit is None else request.visit.limits
    until = due(request.head, limits, request.record.arrived)
    return scope.wait if until is None else min(scope.wait, max(0.0, until - time.monotonic()))


def _writer(request: RequestContext, scope: CacheScope, lookup: Lookup) -> CacheWriter:
    snapshot = request.snapshot
    writer = snapshot.make_writer(snapshot.store, request.head, lookup, scope.rules)
    writer.collapser, writer.explains = snapshot.collapser, snapshot.settings.cache.explain
    return writer


def _join(
    request: RequestContext, lookup: Lookup, writer: CacheWriter, wait: float
) -> Outcome | Lookup | None:
    """Decide whether a miss waits for another request's fetch, or fetches for other requests."""
    now, collapser, reader = time.monotonic(), request.snapshot.collapser, request.reader
    if reader is None:
        reader = request.reader = collapser.reader(request, lookup.key, lookup.request, now + wait)
    elif reader.failures and (entry := writer.stale_if_error()) is not None:
        request.record.cache = writer.outcome
        request.snapshot.store.count_miss()
        return send_cached(request, entry)
    if reader.decision is Decision.FAIL and reader.refusal is not None:
        request.snapshot.store.count_miss()
        raise reader.refusal
    if request.lead is None and reader.decision is Decision.WAIT and now < reader.until:
        request.generation.under_way.add(request)
        found = collapser.join(reader)
        if found is Decision.WAIT:
            return Outcome.PARKED
        if isinstance(found, Lookup):
            return found
        request.lead = found if not isinstance(found, Decision) else None
    writer.lead = request.lead
    return None


def _send_hit(request: RequestContext, scope: CacheScope, lookup: Lookup, entry: CacheEntry) -> Outcome:
    if request.lead is not None:
        request.lead.complete(FlightResult.SHARED)
    record, use = request.record, lookup.use
    outcome = HIT if use is _FRESH else f"{HIT}; detail={use.value}"
    if request.snapshot.settings.cache.explain:
        outcome = describe(outcome, lookup.key, entry.answer.lifetime - entry.age(time.monotonic()))
    record.cache = outcome
    if use is Use.STALE_WHILE_REVALIDATE and request.head.method == "GET":
        request.generation.revalidate(request, _writer(request, scope, lookup))
    return send_cached(request, entry)
