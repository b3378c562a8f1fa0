"""The watch over a canary: when it gets more traffic, and when it is rolled back."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from policies.canary.acceptable import AcceptableErrors
from policies.canary.latency import SlowAnswers
from policies.canary.whose_error import WhoseError
from policies.canary.z_test import PeekedZTest
from policies.settings.canary import Canary

WATCHING, ROLLED_BACK, PROMOTED = "watching", "rolled back", "promoted"


class Trial(NamedTuple):
    """What is fixed when a request is routed, and needed when its answer is judged.

    Attributes
    ----------
    weight : float
        The canary's share of the requests.
    thresholds : tuple of float
        Seconds above which an answer is slow, see `SlowAnswers`.
    """

    weight: float
    thresholds: tuple[float, ...] = ()


class Change(NamedTuple):
    """One decision of a watch.

    Attributes
    ----------
    at : float
        On the clock of the caller.
    state : str
        `WATCHING`, `ROLLED_BACK` or `PROMOTED`.
    weight : float
        The canary's share from now on.
    reason : str
        The figures that led to it.
    """

    at: float
    state: str
    weight: float
    reason: str


def excluded_ratio(weight: float) -> float:
    """How many times as bad a canary must not be to get a larger share than `weight`.

    The more users a canary has, the smaller is the harm that must be excluded.
    """
    return 10.0 if weight < 0.1 else 5.0 if weight < 0.25 else 3.0 if weight < 0.5 else 2.0


class CanaryWatch:
    """Judges every answer that a split route's arms give, and decides about the canary's share.

    The evidence against the canary runs through all steps, so the probability of a false rollback is at most
    `Canary.alpha` for the whole rollout. A step is taken once the canary is not `excluded_ratio` times as bad
    (with probability `Canary.beta` of an error), or once it fails less often than `Canary.acceptable`.
    A rollback and a promotion are final; a new watch begins with new settings.

    Parameters
    ----------
    settings : Canary
    weight : float
        The canary's share of the requests at the beginning.

    Attributes
    ----------
    trial : Trial
        For the requests that are routed now. It is replaced, never changed, so that any thread may read it.
    state : str
        `WATCHING`, `ROLLED_BACK` or `PROMOTED`.
    changes : list of Change
        Every decision so far.
    """

    def __init__(self, settings: Canary, weight: float) -> None:
        self.settings = settings
        self.trial = Trial(weight)
        self.state = WATCHING
        self.changes: list[Change] = []
        self.answers = [0, 0]
        self._steps = [step for step in settings.steps if step > weight]
        self._errors = WhoseError()
        self._z_test = PeekedZTest(settings.alpha, settings.every) if settings.test == "z_test" else None
        self._latency = SlowAnswers() if settings.latency else None
        self._acceptable = AcceptableErrors(settings.acceptable) if settings.acceptable else None
        self._counted: list[set[bytes]] = [set() for _ in range(4)]  # users: errors, then each threshold

    def answered(
        self, trial: Trial, is_canary: bool, failed: bool, elapsed: float, now: float, user: str | None = None
    ) -> Change | None:
        """Judge one answer; returns the decision that it led to, if any.

        Parameters
        ----------
        trial : Trial
            The value of `trial` when the request was routed.
        is_canary : bool
            Which arm answered.
        failed : bool
            Whether the arm failed: a status of 500 or more, no answer, or no answer in time.
        elapsed : float
            Seconds that the arm took, or had when its time was over.
        now : float
            The caller's clock, for `changes`.
        user : str, optional
            Who asked, if users stay with one arm. Only the first bad answer of each user counts then.
        """
        if self.state is not WATCHING:
            return None
        self.answers[is_canary] += 1
        settings = self.settings
        if self.answers[is_canary] <= settings.warm_up:
            return None
        bad = failed or (settings.slow is not None and elapsed > settings.slow)
        if self._z_test is not None:
            return self._peek(self._z_test, is_canary, bad, now)
        if bad and self._is_new(0, user):
            self._errors.bad(is_canary, trial.weight)
        if is_canary and self._acceptable is not None:
            self._acceptable.answered(bad)
        elif not (bad or self._latency):
            return None
        if self._latency is not None:
            self._judge_latency(self._latency, trial, is_canary, failed, elapsed, user)
        return self._decide(now)

    def _peek(self, test: PeekedZTest, is_canary: bool, bad: bool, now: float) -> Change | None:
        """Judge by a z-test, which guarantees nothing."""
        if bad:
            self._errors.bad(is_canary, self.trial.weight)
        test.answered(is_canary, bad)
        if not test.worse:
            return None
        return self._change(now, ROLLED_BACK, 0.0, f"{self.figures()}; z = {test.z:.2f}")

    def _judge_latency(
        self, latency: SlowAnswers, trial: Trial, is_canary: bool, failed: bool, elapsed: float,
        user: str | None,
    ) -> None:  # fmt: skip
        for place, threshold in enumerate(trial.thresholds):
            if (failed or elapsed > threshold) and self._is_new(place + 1, user):
                latency.slow(place, is_canary, trial.weight)
        if not is_canary and not failed and latency.stable_answered(elapsed):
            self.trial = self.trial._replace(thresholds=latency.thresholds)

    def _is_new(self, test: int, user: str | None) -> bool:
        """Whether this is the first bad answer of a user in one of the tests; True without a user."""
        if user is None:
            return True
        counted, key = self._counted[test], blake2b(user.encode(), digest_size=8).digest()
        if key in counted or len(counted) >= self.settings.users:
            return False
        counted.add(key)  # not the user itself, which may be a cookie of any length
        return True

    @property
    def evidence(self) -> float:
        """Evidence that the canary is worse: rolled back at 1/α."""
        if self._latency is None:
            return self._errors.evidence
        return (self._errors.evidence + self._latency.evidence) / 2.0

    def _decide(self, now: float) -> Change | None:
        if self.evidence >= 1.0 / self.settings.alpha:
            return self._change(now, ROLLED_BACK, 0.0, self._why_worse())
        if not self._steps:
            return None
        why = self._why_not_worse(self.trial.weight)
        if why is None:
            return None
        weight = self._steps.pop(0)
        return self._change(now, PROMOTED if weight >= 1.0 else WATCHING, weight, why)

    def _change(self, now: float, state: str, weight: float, reason: str) -> Change:
        change = Change(now, state, weight, reason)
        self.state, self.trial = state, self.trial._replace(weight=weight)
        self.changes.append(change)
        return change

    def _why_worse(self) -> str:
        return f"{self.figures()}; evidence {self.evidence:.1f} reached 1/alpha"

    def _why_not_worse(self, weight: float) -> str | None:
        beta, ratio = self.settings.beta, excluded_ratio(weight)
        if self._errors.against(ratio) <= beta:
            return f"{self.figures()}; the canary is not {ratio:g} times as bad"
        if self._acceptable is not None and self._acceptable.evidence >= 1.0 / beta:
            return f"{self.figures()}; the canary fails less often than {self.settings.acceptable:.2%}"
        return None

    def figures(self) -> str:
        """Answers and bad answers of both arms, as a phrase."""
        errors, (stable, canary) = self._errors, self.answers
        return (
            f"{errors.canary} of {canary} answers of the canary were bad, "
            f"and {errors.stable} of {stable} of the others"
        )
