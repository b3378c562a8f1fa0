"""The split of one route: the weights in force, the watch over its canary, and what both have counted.

Threads. One lock protects the counts, the watch and the generator. `split` and the watch's trial are replaced as
a whole, so a thread that reads them once sees one state.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from policies.canary import CanaryWatch, Change, Trial
from policies.reverse.arms import ArmChooser, Choice
from policies.reverse.split import Split
from policies.settings import Route

MOST_CHANGES = 100
"""Decisions that are kept for the live page."""


class SplitControl:
    """Chooses the arm of each request of a route, and judges the answers of the arms.

    `number` is that of the route. It lives on when the settings are read again and the route is the same.
    """

    def __init__(self, number: int, route: Route, rng: random.Random) -> None:
        assert isinstance(route.to, dict)
        self.number, self.route = number, route
        self.split = Split(route.to)
        self._rng, self._lock = rng, threading.Lock()
        self._chooser = ArmChooser(route)
        self.cookie_name = self._chooser.cookie_name
        self._requests = dict.fromkeys(route.to, 0)
        self._changes: list[Change] = []
        self._watch = self._new_watch()

    def _new_watch(self) -> CanaryWatch | None:
        canary = self.route.canary
        return CanaryWatch(canary, self.split.share(canary.watch)) if canary is not None else None

    def choose(self, client: str, field: Callable[[str], str | None]) -> tuple[Choice, Trial | None]:
        """The arm of a request, and what the watch has to know about it when it ends."""
        with self._lock:
            choice = self._chooser.choose(self.split, client, field, self._rng)
            self._requests[choice.arm] += 1
            watch = self._watch
        return choice, watch.trial if watch is not None and choice.counts else None

    def judge(self, choice: Choice, trial: Trial, failed: bool | None, elapsed: float) -> str:
        """Take note of the end of an attempt at an arm; returns the decision that follows, if any.

        `failed` is None if the client left before the arm had answered: only its slowness is known then.
        """
        canary, watch = self.route.canary, self._watch
        if canary is None or watch is None or (failed is None and (canary.slow or elapsed) >= elapsed):
            return ""
        with self._lock:
            is_canary = choice.arm == canary.watch
            change = watch.answered(trial, is_canary, failed is True, elapsed, time.time(), choice.user)
            if change is None or watch is not self._watch:
                return ""
            self._changes = [*self._changes[1 - MOST_CHANGES :], change]
            self.split = self.split.with_share(canary.watch, change.weight)
        return f"canary {canary.watch}: {change.state} at {change.weight:.2%}: {change.reason}"

    def set_weights(self, weights: Mapping[str, float]) -> None:
        """Give arms other weights, and let a new watch begin.

        Raises `ValueError` if a name is no arm, a weight is negative, or no weight is left.
        """
        arms = dict(zip(self.split.arms, self.split.weights, strict=True))
        for name, weight in weights.items():
            if name not in arms:
                raise ValueError(f"{name}: expected one of {', '.join(arms)}")
            if not 0.0 <= weight < float("inf"):
                raise ValueError(f"{name}: expected a weight of 0 or more, not {weight:g}")
        if not any({**arms, **weights}.values()):
            raise ValueError("expected a weight above 0")
        with self._lock:
            self.split = Split({**arms, **weights})
            self._watch = self._new_watch()
            share = self.split.share(self.route.canary.watch) if self.route.canary is not None else 0.0
            self._changes = [
                *self._changes,
                Change(time.time(), "weights set by hand", share, str(dict(weights))),
            ]

    def state(self) -> dict[str, Any]:
        """Weights, shares and requests of the arms, and what the watch has decided and why."""
        with self._lock:
            split, watch = self.split, self._watch
            found: dict[str, Any] = {
                "route": self.number,
                "arms": {
                    arm: {"weight": weight, "share": split.share(arm), "requests": self._requests[arm]}
                    for arm, weight in zip(split.arms, split.weights, strict=True)
                },
            }
            if watch is not None:
                found["canary"] = {
                    "watch": watch.settings.watch,
                    "state": watch.state,
                    "evidence": watch.evidence,
                    "alpha": watch.settings.alpha,
                    "figures": watch.figures(),
                    "changes": [change._asdict() for change in self._changes],
                }
        return found
