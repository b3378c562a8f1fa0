"""What the store has for a request, and who fetches what it lacks. The decisions are those of `policies`.

Runs in the worker that owns the client; `fresh` in the front thread, too.
"""

from __future__ import annotations

import time

from policies.http_cache.collapsing import Decision as Next
from policies.http_cache.collapsing import FlightResult
from policies.http_cache.freshness import Request, read_request
from policies.http_cache.reuse import Use
from realproxy.cache.cache_status import HIT, describe
from realproxy.cache.collapse import CollapsedWriter, gathering_of
from realproxy.cache.entry import CacheEntry
from realproxy.cache.shared_response import Reader
from realproxy.cache.store import Lookup, cache_key
from realproxy.cache.writer import CacheRules, CacheWriter
from realproxy.errors import LocalReply, Termination
from realproxy.proxying.context import RequestContext
from realproxy.proxying.revalidation import BackgroundRevalidation
from realproxy.proxying.snapshot import ConfigSnapshot


class CachePhase:
    """Asks the store.

    Parameters
    ----------
    site : ConfigSnapshot
        What the settings say.
    refresher : BackgroundRevalidation
        Fetches what was used although it is stale.
    """

    def __init__(self, site: ConfigSnapshot, refresher: BackgroundRevalidation) -> None:
        self._site, self._refresher = site, refresher
        self._explains = site.settings.cache.explain

    def fresh(self, turn: RequestContext, service: str) -> CacheEntry | None:
        """The stored answer if it is fresh and in memory; None if there is more to decide."""
        head, store = turn.head, self._site.store
        if store.disk is not None:
            return None
        key, asked = cache_key(service, head), head.fields.text
        stored = store.fresh(key, read_request(head.method, asked, head.framing != 0), asked)
        if stored is not None:
            turn.exchange.cache = self._explained(HIT, key, stored)
        return stored

    def find(
        self, turn: RequestContext, service: str, rules: CacheRules, wait: float
    ) -> CacheEntry | CacheWriter | None:
        """The stored answer, or the recording of the one that has to be fetched; None if it waits for one.

        Parameters
        ----------
        turn : RequestContext
        service : str
            Of the reverse side; empty for the forward side.
        rules : CacheRules
            From the settings.
        wait : float
            Seconds for which it may wait for another's fetch.
        """
        head, store = turn.head, self._site.store
        key, asked = cache_key(service, head), head.fields.text
        request = read_request(head.method, asked, head.framing != 0)
        found = store.lookup(key, request, asked)
        if store.disk is not None and found.use is Use.ASK and found.stored is None:
            found = store.recall(key, request, asked) or found
        if found.use is Use.ASK:
            if request.only_if_cached:
                turn.exchange.cache = "detail=not-cached"
                raise LocalReply(504, Termination.NOT_CACHED, "not stored, and nothing else was wanted")
            turn.exchange.cache = f"fwd={found.why}"
            recording = CacheWriter(store, key, head, request, found.why, rules, found.stored)
            recording.gathering, recording.explains = self._site.gathering, self._explains
            if not wait:
                return recording
            gathered = self._gather(turn, key, request, recording, wait)
            if not isinstance(gathered, Lookup):
                return gathered
            found = gathered
        return self._hit(turn, key, service, request, rules, found)

    def _hit(
        self,
        turn: RequestContext,
        key: bytes,
        service: str,
        request: Request,
        rules: CacheRules,
        found: Lookup,
    ) -> CacheEntry | None:
        head, use, stored = turn.head, found.use, found.stored
        if turn.lead is not None:
            turn.lead.land(FlightResult.SHARED)
        outcome = HIT if use is Use.FRESH else f"{HIT}; detail={use.value}"
        turn.exchange.cache = outcome if stored is None else self._explained(outcome, key, stored)
        if use is Use.STALE_WHILE_REVALIDATE and head.method == "GET":
            recording = CacheWriter(self._site.store, key, head, request, found.why, rules, stored)
            self._refresher.refresh(key, service, head, turn.client.address, recording)
        return stored

    def _explained(self, outcome: str, key: bytes, stored: CacheEntry) -> str:
        if not self._explains:
            return outcome
        return describe(outcome, key, stored.answer.lifetime - stored.age(time.monotonic()))

    def _gather(
        self, turn: RequestContext, key: bytes, request: Request, recording: CacheWriter, wait: float
    ) -> Lookup | CacheEntry | CacheWriter | None:
        """Whether a request that must be fetched waits for another's fetch, or is what others wait for."""
        head, follower = turn.head, turn.follower
        if head.method != "GET" or request.forward is not None:
            return recording
        if follower is None:
            until = time.monotonic() + wait
            gathering = self._site.gathering
            follower = Reader(gathering, turn.client, turn.exchange, head, turn.keep, key, request, until)
        elif follower.failures and (stored := recording.stand_in()) is not None:
            turn.exchange.cache = recording.outcome
            return stored
        if follower.turn is Next.FAIL and follower.refusal is not None:
            raise follower.refusal
        if turn.lead is None and follower.turn is Next.WAIT and time.monotonic() < follower.until:
            found = gathering_of(follower).enlist(follower)
            if isinstance(found, Lookup):
                return found
            if found is Next.WAIT:
                return None
            turn.lead = found if isinstance(found, CollapsedWriter) else None
        recording.lead = turn.lead
        return recording
