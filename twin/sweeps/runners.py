"""Runners, which simulate the cells of a sweep: on this machine's cores, or on a Dask cluster.

A sweep enters its runner before it writes anything, so that an unreachable cluster is reported early. A
runner yields outcomes in the order in which they finish. An exception in a cell becomes its outcome.
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Protocol

from policies import balancing_policies, eviction_policies
from policies.bad_input import BadInput
from scenarios import Scenario, Summary
from scenarios.due import check_sent
from simulator import Costs, simulate
from simulator.spreading import WorkerDied, spread

Task = tuple[str, Scenario]
"""A cell's key and scenario."""
Outcome = dict[str, Any]
"""A cell's numbers by column; or its error message, under ``error``."""
Classes = tuple[dict[str, type], dict[str, type]]

SECONDS_TO_CONNECT = 10.0
SECONDS_TO_FIRST_ANSWER = 30.0
"""How long the first response of a worker may take before the cluster is refused."""


class SweepStopped(RuntimeError):
    """A worker process or the scheduler is gone; the outcomes of finished cells are kept."""


class Runner(Protocol):
    """Simulates cells."""

    def __enter__(self) -> Runner: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, tasks: Sequence[Task], costs: Costs) -> Iterator[tuple[str, Outcome]]:
        """Yield the key and the outcome of each task as it finishes.

        Raises
        ------
        SweepStopped
            If no more outcomes will come.
        """
        ...


class _Caught:
    """Catches any error of a cell, so that the sweep continues with the other cells."""

    def __init__(self) -> None:
        self.error = ""

    def __enter__(self) -> _Caught:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        self.error = one_line(error)
        return True


def one_line(error: BaseException) -> str:
    """An exception's message in one line; with its class, unless it is `BadInput`."""
    said = " ".join(str(error).split())
    return said if isinstance(error, BadInput) else f"{type(error).__name__}: {said}".rstrip(": ")


def simulate_cell(added: Classes, key: str, scenario: Scenario, costs: Costs) -> tuple[str, Outcome]:
    """Simulate one cell, after registering `added`, the policies that a notebook defined."""
    for registry, classes in zip((eviction_policies, balancing_policies), added, strict=True):
        for name, policy in classes.items():
            registry.register(name)(policy)
    outcome: Outcome = {}
    with _Caught() as caught:
        result = simulate(scenario, costs=costs)
        check_sent(result.summary, scenario, "")
        outcome = {**figures(result.summary), "unsettled": result.settled.reason}
    return key, {"error": caught.error} if caught.error else outcome


def figures(summary: Summary) -> dict[str, float | None]:
    """All metrics of a summary, flat: a part has a name such as ``upstream_share.web/0``."""
    return dict(_flat(summary.as_dict()))


def _flat(parts: dict[str, Any], before: str = "") -> Iterator[tuple[str, float | None]]:
    for name, value in parts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, None if isinstance(value, float) and math.isnan(value) else value


def _added() -> Classes:
    return eviction_policies.added(), balancing_policies.added()


class Cores:
    """This machine's cores.

    Parameters
    ----------
    jobs : int
        Processes; -1 for one per core.
    """

    def __init__(self, jobs: int = -1) -> None:
        self._jobs = jobs

    def __enter__(self) -> Cores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def run(self, tasks: Sequence[Task], costs: Costs) -> Iterator[tuple[str, Outcome]]:
        """Simulate the tasks, as `Runner.run` describes."""
        added = _added()
        calls = ((added, key, scenario, costs) for key, scenario in tasks)
        try:
            yield from spread(simulate_cell, calls, self._jobs, ordered=False)
        except WorkerDied as death:
            raise SweepStopped(str(death)) from None


def _hush() -> None:
    """Silence the log of `distributed`, because `Cluster` reports a problem in one line."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


class Cluster:
    """The workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786``.

    Raises
    ------
    BadInput
        When entered: if the scheduler cannot be reached, has no workers, or they lack proxytwin.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = None

    def __enter__(self) -> Cluster:
        try:
            import distributed
        except ModuleNotFoundError:
            raise self._useless(
                "needs the package distributed; install proxytwin with its 'cluster' extra"
            ) from None
        _hush()
        self._knock(distributed)
        try:
            self._client = distributed.Client(self._address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise self._useless(f"cannot be reached: {error}") from None
        try:
            self._check_workers(distributed)
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def run(self, tasks: Sequence[Task], costs: Costs) -> Iterator[tuple[str, Outcome]]:
        """Simulate the tasks, as `Runner.run` describes."""
        from distributed import as_completed

        added = self._client.scatter(_added(), broadcast=True, hash=False)
        futures = {
            self._client.submit(simulate_cell, added, key, scenario, costs, pure=False): key
            for key, scenario in tasks
        }
        for future in as_completed(list(futures), loop=self._client.loop):
            try:
                error = future.exception()  # for example, if every worker that got this cell died
                outcome = {"error": one_line(error)} if error else future.result()[1]
            except (OSError, CancelledError):
                raise SweepStopped(f"the scheduler at {self._address} is gone") from None
            yield futures[future], outcome
            future.release()

    def _knock(self, distributed: Any) -> None:
        """Check that a scheduler listens there: Dask's client waits forever if the port does not respond."""
        scheme, _, place = self._address.rpartition("://")
        start = None
        try:
            host, port = distributed.comm.parse_host_port(place)
            with socket.create_connection((host, port), SECONDS_TO_CONNECT) as connection:
                if scheme in ("", "tcp"):
                    start = connection.recv(8, socket.MSG_WAITALL)
        except TimeoutError:
            raise self._useless("cannot be reached: no answer") from None
        except (OSError, ValueError, OverflowError) as error:
            raise self._useless(f"cannot be reached: {error}") from None
        # A scheduler sends first. Its message begins with its length, little-endian.
        if start is not None and not (len(start) == 8 and 0 < int.from_bytes(start, "little") < 2**20):
            raise self._useless("is not a Dask scheduler")

    def _check_workers(self, distributed: Any) -> None:
        try:
            self._client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
        except TimeoutError:
            raise self._useless("has no workers") from None
        future = self._client.submit(simulate_cell, _added(), "", None, Costs(), pure=False)
        try:
            future.result(timeout=SECONDS_TO_FIRST_ANSWER)
        except TimeoutError:
            raise self._useless(f"did not answer within {SECONDS_TO_FIRST_ANSWER:g} s") from None
        except (ImportError, AttributeError) as error:
            raise self._useless(f"its workers lack proxytwin: {one_line(error)}") from None
        finally:
            future.release()

    def _useless(self, problem: str) -> BadInput:
        return BadInput("--scheduler", self._address, problem)
