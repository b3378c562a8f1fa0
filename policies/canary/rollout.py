"""One split route at work: the weights in force, who gets which arm, and what the watch decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from policies.canary.watch import CanaryWatch, Change, Trial
from policies.reverse.arms import ArmChooser, Choice
from policies.reverse.split import Split, check_weight
from policies.settings import Route

MOST_CHANGES = 100
"""Decisions that are kept."""
BY_HAND = "weights set by hand"


class RequestJudge:
    """Judges the attempts of one request: one answer for each request, its first that says something.

    Attempts at the same arm for the same request are no independent tosses: a request that fails once is
    likely to fail again. So a failure that a retry has mended counts once, and what follows it counts
    for nothing.

    Parameters
    ----------
    rollout : Rollout
    choice, trial : Choice, Trial
        What `Rollout.choose` has returned.
    """

    __slots__ = ("_choice", "_judged", "_rollout", "_trial")

    def __init__(self, rollout: Rollout, choice: Choice, trial: Trial) -> None:
        self._rollout, self._choice, self._trial = rollout, choice, trial
        self._judged = False

    def ended(self, failed: bool | None, elapsed: float, now: float) -> Change | None:
        """Take note of the end of an attempt; as `Rollout.judge`."""
        rollout = self._rollout
        canary, watch = rollout.route.canary, rollout.watch
        if self._judged or canary is None or watch is None or (failed is None and elapsed <= rollout.slow):
            return None
        self._judged, choice = True, self._choice
        is_canary = choice.arm == canary.watch
        change = watch.answered(self._trial, is_canary, failed is True, elapsed, now, choice.user)
        if change is not None:
            rollout.decided(change)
        return change


class Rollout:
    """Chooses the arm of every request of a route, judges the answers, and moves the weights.

    Parameters
    ----------
    route : Route
        With several arms.
    rng : random.Random
        Decides where no key does.

    Attributes
    ----------
    split : Split
        The weights in force; replaced, never changed.
    requests : dict of str to int
        Requests so far, by arm.
    changes : list of Change
        The last decisions, with those of a person.
    slow : float
        Seconds after which an answer says something even if its outcome is not known.
    """

    def __init__(self, route: Route, rng: random.Random) -> None:
        assert isinstance(route.to, dict)
        self.route, self._rng = route, rng
        self.split = Split(route.to)
        self._chooser = ArmChooser(route)
        self.cookie_name = self._chooser.cookie_name
        self.requests = dict.fromkeys(route.to, 0)
        self.changes: list[Change] = []
        self.watch = self._new_watch()
        slow = route.canary.slow if route.canary is not None else None
        self.slow = inf if slow is None else slow

    def _new_watch(self) -> CanaryWatch | None:
        canary = self.route.canary
        return CanaryWatch(canary, self.split.share(canary.watch)) if canary is not None else None

    def choose(self, client: str, field: Callable[[str], str | None]) -> tuple[Choice, Trial | None]:
        """The arm of a request, and what the watch has to know when it is answered.

        Parameters
        ----------
        client : str
            The client's address.
        field : callable
            Gives the value of a request's field by its name in lower case, or None.
        """
        choice = self._chooser.choose(self.split, client, field, self._rng)
        self.requests[choice.arm] += 1
        watch = self.watch
        return choice, watch.trial if watch is not None and choice.counts else None

    def judge(
        self, choice: Choice, trial: Trial, failed: bool | None, elapsed: float, now: float
    ) -> Change | None:
        """Take note of the end of a request's only attempt; returns the decision that follows, if any.

        Parameters
        ----------
        choice, trial : Choice, Trial
            What `choose` has returned.
        failed : bool or None
            None if the client left before the arm had answered: then only its slowness is known.
        elapsed, now : float
            Seconds that the arm took, and the caller's clock.
        """
        return RequestJudge(self, choice, trial).ended(failed, elapsed, now)

    def decided(self, change: Change) -> None:
        """Obey a decision of the watch."""
        self.changes = [*self.changes[1 - MOST_CHANGES :], change]
        if self.route.canary is not None:
            self.split = self.split.with_share(self.route.canary.watch, change.weight)

    def set_weights(self, weights: Mapping[str, float], now: float) -> None:
        """Give arms other weights, and let a new watch begin.

        Raises
        ------
        ValueError
            If a name is no arm, a weight is out of bounds, or no weight is left.
        """
        arms = dict(zip(self.split.arms, self.split.weights, strict=True))
        for name, weight in weights.items():
            if name not in arms:
                raise ValueError(f"{name}: expected one of {', '.join(arms)}")
            try:
                check_weight(weight)
            except ValueError as mistake:
                raise ValueError(f"{name}: {mistake}") from None
        if not any({**arms, **weights}.values()):
            raise ValueError("expected a weight above 0")
        self.split = Split({**arms, **weights})
        self.watch = self._new_watch()
        share = self.split.share(self.route.canary.watch) if self.route.canary is not None else 0.0
        reason = ", ".join(f"{name} = {weight:g}" for name, weight in weights.items())
        self.changes = [*self.changes[1 - MOST_CHANGES :], Change(now, BY_HAND, share, reason)]

    def state(self) -> dict[str, Any]:
        """Weights, shares and requests of the arms, and what the watch has decided and why; plain data."""
        split, watch = self.split, self.watch
        found: dict[str, Any] = {
            "arms": {
                arm: {"weight": weight, "share": split.share(arm), "requests": self.requests[arm]}
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
                "changes": [change._asdict() for change in self.changes],
            }
        return found
