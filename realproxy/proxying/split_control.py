"""The split of one route, for many threads.

Threads. `lock` protects the `rollout`, which takes all decisions.
"""

from __future__ import annotations

import random
import threading
from typing import Any

from policies.canary import Rollout
from policies.settings import Route


class SplitControl:
    """The `Rollout` of the route with a number, and its lock.

    It lives on when the settings are read again and the route is the same.
    """

    def __init__(self, number: int, route: Route, rng: random.Random) -> None:
        self.number, self.route = number, route
        self.rollout, self.lock = Rollout(route, rng), threading.Lock()

    def state(self) -> dict[str, Any]:
        """As `Rollout.state`, with the number of the route."""
        with self.lock:
            return {"route": self.number, **self.rollout.state()}
