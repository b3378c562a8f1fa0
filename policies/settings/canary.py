"""The settings of a split route: its canary, who may choose an arm, and copies of requests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from policies.settings.base import Settings
from policies.tokens import check_token
from policies.units import Duration, Size

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
    test : str
        ``always_valid``, or ``z_test``: a z-test that is looked at again and again, here to be compared.
    every : int
        Answers between two looks of the ``z_test``.
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
    test: Literal["always_valid", "z_test"] = "always_valid"
    every: Annotated[int, Field(ge=1)] = 100
    latency: bool = False
    slow: Annotated[Duration, Field(gt=0)] | None = None
    acceptable: Probability | None = None
    warm_up: Annotated[int, Field(ge=0)] = 0
    users: Annotated[int, Field(ge=1)] = 100_000

    @model_validator(mode="after")
    def _z_test_alone(self) -> Canary:
        if self.test == "z_test" and (self.latency or self.steps):
            raise ValueError("test: a z_test looks at errors alone, and promotes nothing")
        if self.test != "z_test" and "every" in self.model_fields_set and self.every != 100:
            raise ValueError("every: only the z_test looks now and then; always_valid looks at every answer")
        return self

    @model_validator(mode="after")
    def _steps_rise(self) -> Canary:
        if any(later <= earlier for earlier, later in zip(self.steps, self.steps[1:], strict=False)):
            raise ValueError("steps: expected each share to be larger than the one before it")
        return self


class Override(Settings):
    """Lets a request choose its arm, so that testers can visit one; its answers count for no arm.

    Parameters
    ----------
    header, cookie : str, optional
        The field or the cookie whose value names an arm. Another value is ignored. The field wins.
    """

    header: Annotated[str, AfterValidator(check_token)] | None = None
    cookie: Annotated[str, AfterValidator(check_token)] | None = None

    @model_validator(mode="after")
    def _something(self) -> Override:
        if self.header is None and self.cookie is None:
            raise ValueError("expected 'header' or 'cookie'")
        return self


class Mirror(Settings):
    """Copies of requests for another service. Their answers are dropped, and the client never waits for them.

    Parameters
    ----------
    to : str
        The service that gets the copies.
    share : float
        Share of the requests that are copied.
    in_flight : int
        The most copies under way; more are skipped and counted.
    body : size
        A request with a larger body, or one of unknown length, is not copied. Only 64 KiB of a body are kept.
    """

    to: str
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    in_flight: Annotated[int, Field(ge=1)] = 64
    body: Annotated[Size, Field(le=65536)] = 65536
