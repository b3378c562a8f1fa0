"""Routes with several services, and copies of requests: `policies.canary` decides, this file remembers."""

from __future__ import annotations

import random

from policies.canary import Rollout, Trial
from policies.reverse.arms import Choice
from policies.settings import Mirror, Route


class SplitRoute:
    """The split of one route in the model, with the cookies that its clients keep.

    Parameters
    ----------
    route : Route
    rng : random.Random
        Decides where no key does.

    Attributes
    ----------
    rollout : Rollout
        Weights, watch and decisions.
    """

    def __init__(self, route: Route, rng: random.Random) -> None:
        self.rollout = Rollout(route, rng)
        self._cookies: dict[str, str] = {}

    def choose(self, client: str) -> tuple[Choice, Trial | None]:
        """The arm of a client's request, and what the watch has to know when it is answered."""
        return self.rollout.choose(client, {"cookie": self._cookies.get(client)}.get)

    def answered(self, client: str, choice: Choice) -> None:
        """The client has its answer, and keeps the cookie, if there is one."""
        if choice.cookie is not None:
            self._cookies[client] = f"{self.rollout.cookie_name}={choice.cookie}"


class MirroredTo:
    """Copies of a route's requests.

    Attributes
    ----------
    settings : Mirror
    in_flight, sent, skipped : int
        Copies under way, ended, and left out.
    """

    def __init__(self, settings: Mirror, rng: random.Random) -> None:
        self.settings, self._rng = settings, rng
        self.in_flight = self.sent = self.skipped = 0

    def begins(self) -> bool:
        """Whether this request is copied; if so, `ended` must follow."""
        if self._rng.random() >= self.settings.share:
            return False
        if self.in_flight >= self.settings.in_flight:
            self.skipped += 1
            return False
        self.in_flight += 1
        return True

    def ended(self) -> None:
        """A copy was answered, or has failed."""
        self.in_flight -= 1
        self.sent += 1
