"""What the store has for a request, and who fetches what it lacks. The decisions are those of `policies`.

Runs in the worker that owns the client; `fresh` in the front thread, too.
"""

from __future__ import annotations

import time

from policies.coalescing import Landing
from policies.coalescing import Turn as Next
from policies.freshness import Request, read_request
from policies.reuse import Use
from realproxy.cache.cache_status import HIT, described
from realproxy.cache.collapse import Lead, gathering_of
from realproxy.cache.entry import Stored
from realproxy.cache.shared_response import Follower
from realproxy.cache.store import Found, cache_key
from realproxy.cache.writer import Recording, Rules
from realproxy.errors import End, Refusal
from realproxy.proxying.context import Turn
from realproxy.proxying.revalidation import Refresher
from realproxy.proxying.snapshot import Site


class LookUp:
    """Asks the store.

    Parameters
    ----------
    site : Site
        What the settings say.
    refresher : Refresher
        Fetches what was used although it is stale.
    """

    def __init__(self, site: Site, refresher: Refresher) -> None:
        self._site, self._refresher = site, refresher
        self._explains = site.settings.cache.explain

    def fresh(self, turn: Turn, service: str) -> Stored | None:
        """The stored answer if it is fresh and in memory; None if there is more to decide."""
        head, store = turn.head, self._site.store
        if store.disk is not None:
            return None
        key, asked = cache_key(service, head), head.fields.text
        stored = store.fresh(key, read_request(head.method, asked, head.framing != 0), asked)
        if stored is not None:
            turn.exchange.cache = self._explained(HIT, key, stored)
        return stored

    def find(self, turn: Turn, service: str, rules: Rules, wait: float) -> Stored | Recording | None:
        """The stored answer, or the recording of the one that has to be fetched; None if it waits for one.

        Parameters
        ----------
        turn : Turn
        service : str
            Of the reverse side; empty for the forward side.
        rules : Rules
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
                raise Refusal(504, End.NOT_CACHED, "not stored, and nothing else was wanted")
            turn.exchange.cache = f"fwd={found.why}"
            recording = Recording(store, key, head, request, found.why, rules, found.stored)
            recording.gathering, recording.explains = self._site.gathering, self._explains
            if not wait:
                return recording
            gathered = self._gather(turn, key, request, recording, wait)
            if not isinstance(gathered, Found):
                return gathered
            found = gathered
        return self._hit(turn, key, service, request, rules, found)

    def _hit(
        self, turn: Turn, key: bytes, service: str, request: Request, rules: Rules, found: Found
    ) -> Stored | None:
        head, use, stored = turn.head, found.use, found.stored
        if turn.lead is not None:
            turn.lead.land(Landing.SHARED)
        outcome = HIT if use is Use.FRESH else f"{HIT}; detail={use.name.lower()}"
        turn.exchange.cache = outcome if stored is None else self._explained(outcome, key, stored)
        if use is Use.BEHIND and head.method == "GET":
            recording = Recording(self._site.store, key, head, request, found.why, rules, stored)
            self._refresher.refresh(key, service, head, turn.client.address, recording)
        return stored

    def _explained(self, outcome: str, key: bytes, stored: Stored) -> str:
        if not self._explains:
            return outcome
        return described(outcome, key, stored.answer.lifetime - stored.age(time.monotonic()))

    def _gather(
        self, turn: Turn, key: bytes, request: Request, recording: Recording, wait: float
    ) -> Found | Stored | Recording | None:
        """Whether a request that must be fetched waits for another's fetch, or is what others wait for."""
        head, follower = turn.head, turn.follower
        if head.method != "GET" or request.forward is not None:
            return recording
        if follower is None:
            until = time.monotonic() + wait
            gathering = self._site.gathering
            follower = Follower(gathering, turn.client, turn.exchange, head, turn.keep, key, request, until)
        elif follower.failures and (stored := recording.stand_in()) is not None:
            turn.exchange.cache = recording.outcome
            return stored
        if follower.turn is Next.FAIL and follower.refusal is not None:
            raise follower.refusal
        if turn.lead is None and follower.turn is Next.WAIT and time.monotonic() < follower.until:
            found = gathering_of(follower).enlist(follower)
            if isinstance(found, Found):
                return found
            if found is Next.WAIT:
                return None
            turn.lead = found if isinstance(found, Lead) else None
        recording.lead = turn.lead
        return recording
