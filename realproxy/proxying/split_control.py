"""The split of one route, for many threads.

Threads. One lock protects the `Rollout`, which takes all decisions.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from policies.canary import Rollout, Trial
from policies.reverse.arms import Choice
from policies.settings import Route


class SplitControl:
    """Chooses the arm of each request of a route, and judges the answers of the arms.

    `number` is that of the route. It lives on when the settings are read again and the route is the same.
    """

    def __init__(self, number: int, route: Route, rng: random.Random) -> None:
        self.number, self.route = number, route
        self._rollout, self._lock = Rollout(route, rng), threading.Lock()
        self.cookie_name = self._rollout.cookie_name

    def choose(self, client: str, field: Callable[[str], str | None]) -> tuple[Choice, Trial | None]:
        """As `Rollout.choose`."""
        with self._lock:
            return self._rollout.choose(client, field)

    def judge(self, choice: Choice, trial: Trial, failed: bool | None, elapsed: float) -> str:
        """As `Rollout.judge`; returns the decision in words, or an empty text."""
        with self._lock:
            change = self._rollout.judge(choice, trial, failed, elapsed, time.time())
        if change is None:
            return ""
        assert self.route.canary is not None
        return f"canary {self.route.canary.watch}: {change.state} at {change.weight:.2%}: {change.reason}"

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """As `Rollout.set_weights`."""
        with self._lock:
            self._rollout.set_weights(weights, time.time())

    def state(self) -> dict[str, Any]:
        """As `Rollout.state`, with the number of the route."""
        with self._lock:
            return {"route": self.number, **self._rollout.state()}
