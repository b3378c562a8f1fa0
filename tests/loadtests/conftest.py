"""Real runs and times on a machine that may be busy: what is disturbed is measured again.

A busy machine can only add time, and only to some rounds. So what must take at least so long is
asked of every round, and what must take at most so long of the best one: what is really too slow,
or really wrong, is so in all of them.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from loadtests import Measurement, Stage
from scenarios import Scenario

ROUNDS = 8
BUSY = ("longer than its service time", "ms late", "of one core")
"""In the reasons that a busy machine can cause to call a run void."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="session")
def children() -> Callable[[], dict[psutil.Process, str]]:
    """This process's children that have not ended, each with its command line."""

    def living() -> dict[psutil.Process, str]:
        found = {}
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends just now
                found[child] = " ".join(child.cmdline())
        return found

    return living


@pytest.fixture(scope="session")
def busy() -> tuple[str, ...]:
    return BUSY


@pytest.fixture(scope="session")
def by_rule() -> Callable[[Measurement], list[str]]:
    """Reasons why a run is void that no busy machine can cause."""

    def reasons(run: Measurement) -> list[str]:
        return [reason for reason in run.void if not any(words in reason for words in BUSY)]

    return reasons


@pytest.fixture(scope="module")
def undisturbed(
    stage: Stage, by_rule: Callable[[Measurement], list[str]]
) -> Callable[[Scenario, Callable[[Measurement], object]], Measurement]:
    """The first run of several of which something is so; each must be valid but for a busy machine."""

    def measure(scenario: Scenario, quiet: Callable[[Measurement], object]) -> Measurement:
        for _ in range(ROUNDS):
            run = stage.measure(scenario)
            assert by_rule(run) == []
            if quiet(run):
                return run
        pytest.fail(f"{ROUNDS} runs, and of none it is so")

    return measure


@pytest.fixture(scope="session")
def takes() -> Callable[[float, float, Callable[[], object]], None]:
    """Require that something takes so many seconds at least, and so many more at most in the best round.

    What has to be prepared first says its seconds itself: it returns a float.
    """

    def require(least: float, slack: float, work: Callable[[], object]) -> None:
        times: list[float] = []
        while len(times) < ROUNDS and (not times or times[-1] >= least + slack):
            start = time.monotonic()
            own = work()
            times.append(own if isinstance(own, float) else time.monotonic() - start)
            assert times[-1] >= least
        assert min(times) < least + slack

    return require
