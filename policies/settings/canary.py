"""The settings of a canary's watch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from policies.settings.base import Settings
from policies.units import Duration

Probability = Annotated[float, Field(gt=0, lt=1)]


class Canary(Settings):
    """How the answers of a split route's canary are watched, see `policies.canary.CanaryWatch`.

    Parameters
    ----------
    watch : str
        The service that is the canary; one of the route's ``to``.
    steps : list of float
        Shares of the requests that the canary gets next, each larger than the one before; 1 is the promotion.
        Without steps, its share stays until a rollback.
    alpha : float
        Probability that a canary as good as the others is rolled back, at most.
    beta : float
        Probability of a step up although the canary is as bad as the step is to exclude, at most.
    latency : bool
        Whether the canary is also rolled back if it is slower than the others.
    slow : duration, optional
        An answer that takes longer is a bad answer, as an error is.
    acceptable : float, optional
        Error ratio below which a canary may get more, even if nothing is known about the others' errors.
    warm_up : int
        The first answers of each arm that count for nothing.
    users : int
        The most users whose first bad answer is remembered, if users stay with one arm; later ones count
        for nothing.
    """

    watch: str
    steps: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()
    alpha: Probability = 0.05
    beta: Probability = 0.05
    latency: bool = False
    slow: Annotated[Duration, Field(gt=0)] | None = None
    acceptable: Probability | None = None
    warm_up: Annotated[int, Field(ge=0)] = 0
    users: Annotated[int, Field(ge=1)] = 100_000

    @model_validator(mode="after")
    def _steps_rise(self) -> Canary:
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps: expected each share to be larger than the one before it")
        return self
