"""Whether the parent leads back here: it is asked for a name that nobody else can ask for.

An elite proxy hides Via, and neither CONNECT nor SOCKS has any, so no request shows that it goes in
circles. Nor may it: a mark would reach the origin, or those parents that do not know what to remove.
What shows it is a question of our own that comes back.

Threads. `Homing` is shared by the workers, which call it, and by a thread for each question, one at a
time. `_lock` guards when the next one is due and what has passed; all else is set in one step.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable

from realproxy.exchange import End, Refusal

QUESTION = re.compile(r"[0-9a-f]{16}\.invalid")
"""A name that is asked for. There are no hosts below "invalid", nor will there ever be. RFC 6761, 6.4"""
EVERY = 60.0
"""Seconds after which a parent that is used is asked again."""
AGAIN = 5.0
"""Seconds after which one that leads back is."""
PASSED = 64
"""Questions of others that are remembered."""
HOLD = 1.0
"""Seconds that requests wait for the end of the first question, so that none goes in circles meanwhile."""


class Homing:
    """Finds out whether requests to the parent come back.

    Parameters
    ----------
    parent : str
        What it is called.
    ask : callable
        Asks the parent for a host; raises `Refusal` when that fails, as it should.
    """

    def __init__(self, parent: str, ask: Callable[[str], None]) -> None:
        self._parent, self._ask = parent, ask
        self._lock = threading.Lock()
        self._due = 0.0
        self._asked = self._came_back = ""
        self._passed: deque[str] = deque(maxlen=PASSED)
        self._known = threading.Event()
        self._leads_back = False

    def arrived(self, host: str) -> None:
        """A request for `host` is here; raises `Refusal` 508 if it is our own question."""
        if host.lower() == self._asked:
            self._came_back, self._leads_back = self._asked, True
            self._known.set()
            raise self._loop()

    def admit(self, host: str) -> None:
        """A request for `host` is about to go to the parent; raises `Refusal` 508 if that leads back.

        The question of another proxy still goes there once: who is in the same circle is to find out, too.
        """
        now = time.monotonic()
        with self._lock:
            due = now >= self._due
            if due:
                self._due = now + EVERY
            other = QUESTION.fullmatch(host) is not None
            passes = other and host not in self._passed
            if other:
                self._passed.append(host)
        if due:
            threading.Thread(target=self._find_out, name="proxy-homing", daemon=True).start()
        if not other:  # for whose end our own may be waiting
            self._known.wait(HOLD)
        if self._leads_back and not passes:
            raise self._loop()

    def _find_out(self) -> None:
        self._asked = name = f"{secrets.token_hex(8)}.invalid"
        with contextlib.suppress(Refusal):
            self._ask(name)
        self._leads_back = self._came_back == name
        self._known.set()
        if self._leads_back:
            with self._lock:
                self._due = time.monotonic() + AGAIN

    def _loop(self) -> Refusal:
        return Refusal(508, End.LOOP, f"forward.parent: {self._parent} leads back to this proxy")
