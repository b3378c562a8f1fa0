"""What came of a request to a service: a reply, a refusal, or the better of two attempts."""

from __future__ import annotations

from simpy import Environment

from policies.resilience import Attempts, is_failure
from simulator.routes import Reply

Outcome = tuple[Reply, int]
"""A reply, and the index of the upstream that gave it."""
Ended = tuple[Outcome, bool]
"""The outcome of an attempt, and whether all upstreams that it asked refused at once."""


def refusal(status: int) -> Outcome:
    """The proxy's own answer."""
    return Reply(status), 0


def has_failed(outcome: Outcome) -> bool:
    """Whether the reply is a failure."""
    return is_failure(outcome[0].status)


class HedgedAttempt:
    """One attempt with one or two requests, and its outcome.

    Attributes
    ----------
    tries : list of int
        The upstreams that were asked.
    done : simpy.Event
        Fires with the first response, or when every try has failed.
    """

    def __init__(self, env: Environment, attempts: Attempts) -> None:
        self.attempts = attempts
        self.tries: list[int] = []
        self.done = env.event()
        self.outcome, self.refused = refusal(502), True
        self._over = 0

    def ended(self, index: int, outcome: Outcome, refused: bool) -> None:
        """A try has ended; another one that is under way may still succeed."""
        self._over += 1
        self.outcome, self.refused = outcome, self.refused and refused
        if has_failed(outcome):
            self.attempts.failed.append(index)
        if not has_failed(outcome) or self._over == len(self.tries):
            self.done.succeed()
