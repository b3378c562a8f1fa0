"""Real runs: starts backends, proxies and Locust as processes, and collects their measurements."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pickle
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from loadtests.peers.registry import OURS
from loadtests.run.backend_spec import backend_spec
from loadtests.run.expected import fails, injected, mirrored, refetches, shares_errors
from loadtests.run.machine_load import LoadMeter
from loadtests.run.processes import Child, LoadTestError
from loadtests.run.proxies import Proxies
from loadtests.run.run_folder import RunFolder
from loadtests.run.sidecars import READY_S
from loadtests.run.target import Target
from loadtests.run.validity import reasons_void
from realproxy.runtime.system import check_system
from scenarios.call_records import CallRecords
from scenarios.fetches import Fetches
from scenarios.records import Records
from scenarios.schema import Scenario, check_real
from scenarios.workload import Workload

Progress = Callable[[float, float], None]

_ROOT = Path(__file__).resolve().parents[2]
_LOCUSTFILE = _ROOT / "loadtests" / "users" / "locustfile.py"
_GRACE_S = 10.0
"""How long a run waits for responses after the last request, in seconds."""
_TICK_S = 0.15
_SUMMED = ("requests", "busy_seconds", "demand_seconds", "late_seconds")


@dataclass(frozen=True)
class Measurement:
    """One real run.

    Attributes
    ----------
    records : Records
        Every request.
    void : list of str
        Why the run is void, one sentence each; empty if it is valid.
    generator : dict
        ``planned`` and ``sent`` requests; their delays ``lag_mean_ms``, ``lag_p50_ms``, ``lag_p99_ms`` and
        ``lag_max_ms``; ``cpu_seconds``, and ``cpu_share`` of one core.
    proxy : dict
        ``cpu_seconds`` of its process during the run, and the ``requests`` of the clients. Of several
        proxies, this is the first in the file.
    backends : dict
        Sums over replicas of ``requests``, ``busy_seconds``, ``demand_seconds`` and ``late_seconds`` (see
        `loadtests.backend.slots.Totals`); ``cpu_seconds`` of their process; in ``replicas`` the same
        numbers of each replica, by name.
    behind_cpu_seconds : list of float
        CPU seconds of the second proxy in the file, of the third, and so on.
    sidecar_cpu_seconds : float
        CPU seconds of all sidecars together.
    """

    records: Records
    void: list[str]
    generator: dict[str, float]
    proxy: dict[str, float]
    backends: dict[str, Any]
    behind_cpu_seconds: list[float] = field(default_factory=list)
    sidecar_cpu_seconds: float = 0.0


class Stage:
    """Starts the processes of real runs. It is a context manager, and ends all of them at its exit.

    Locust runs from one run to the next. So do the backends, as long as the scenarios have the same
    backends. Every run has new proxies.

    Parameters
    ----------
    real : str
        Which proxy stands in for the model: ours, or the name of one of `loadtests.peers.registry.PEERS`.
    target : Target, optional
        A proxy and backends that run already, instead.

    Examples
    --------
    >>> with Stage() as stage:  # doctest: +SKIP
    ...     stage.measure(load_scenario("slow-server").scenario).records.summary((2.0, 12.0))
    """

    def __init__(self, real: str = OURS, target: Target | None = None) -> None:
        check_system()
        self.real, self._target = real, target
        self._run_folder = RunFolder()
        self._folder = self._run_folder.path
        self._environment = _environment()
        self._generator: Child | None = None
        self._generator_ready = False
        self._backends: Child | None = None
        self._spec = ""
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Stage:
        try:
            self._start_generator()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def measure(self, scenario: Scenario, progress: Progress | None = None) -> Measurement:
        """Run a scenario once, without its variants.

        Parameters
        ----------
        scenario : Scenario
            The scenario to run.
        progress : callable, optional
            Called several times per second with the elapsed and the total seconds of the run.

        Raises
        ------
        LoadTestError
            If a process cannot be started, or Locust or the backends end early.
        BadInput
            If a trace cannot be read, if an own policy errs in a proxy, or if the scenario needs something
            that only the simulator models.
        """
        check_real(scenario, "scenario")
        scenario = _portable(scenario)
        workload = Workload(scenario)
        try:
            return self._measure(scenario, workload, progress or _unseen)
        except BaseException:
            self._stop_children()
            raise

    def _measure(self, scenario: Scenario, workload: Workload, progress: Progress) -> Measurement:
        generator = self._start_generator()
        ports = self._ports_of(scenario)
        with self._proxies(scenario, ports) as proxies:
            if not self._generator_ready:
                generator.expect(READY_S)
                self._generator_ready = True
            self._order_egress(proxies.sidecars.egress)
            before = _told(ports, "stats")
            for about in _logs(scenario):
                _told(ports, about)  # drop what was before this run
            sidecars_before = proxies.sidecars.cpu_seconds()
            records_file = self._order(generator, scenario, proxies)
            started = generator.expect(READY_S)["moment"]
            self._order_backends(started)
            meter = LoadMeter(lambda: self._cpu_seconds(proxies))
            health, cpus, ending = _follow(generator, proxies, started, scenario.duration, progress)
            load = meter.read()
            of_sidecars = proxies.sidecars.cpu_seconds() - sidecars_before
            self._order_backends(None)
            after = _told(ports, "stats")
        records = Records.load(records_file)
        if scenario.caching:
            records = replace(records, fetches=_fetches(ports, started))
        if proxies.sidecars.egress:
            records = replace(records, calls=_calls(ports, started, list(scenario.backend)))
        replicas = {
            name: {key: after[name][key] - before[name][key] for key in (*_SUMMED, "cpu_seconds")}
            for name in ports
        }
        void = reasons_void(
            records,
            workload,
            scenario.duration,
            health,
            replicas,
            refetching=refetches(scenario),
            failing=fails(scenario),
            cutting=bool(injected(scenario) & {"reset", "half"}),
            mirrored=mirrored(scenario),
            sharing=shares_errors(scenario),
            load=load,
        )
        if ending:
            void.insert(0, ending)
        if ((records.status == 0) | (records.status == 504)).any() or any(
            told["queue"] for told in after.values()
        ):
            self._stop_backends()  # they may still work on abandoned requests
        sums: dict[str, Any] = {key: sum(done[key] for done in replicas.values()) for key in _SUMMED}
        cpu = max((done.pop("cpu_seconds") for done in replicas.values()), default=0.0)
        return Measurement(
            records,
            void,
            health,
            {"cpu_seconds": cpus[0], "requests": len(records)},
            {**sums, "cpu_seconds": cpu, "replicas": replicas},
            cpus[1:],
            of_sidecars,
        )

    def _start_generator(self) -> Child:
        """Locust's process; it is started if it does not run, and loads while the others start."""
        if self._generator is None or not self._generator.alive:
            if self._generator is not None:
                self._generator.stop()
            options = ["--headless", "--staged", "--only-summary", "--skip-log-setup"]
            command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), *options]
            self._generator = Child("Locust", command, self._environment, self._folder)
            self._generator_ready = False
        return self._generator

    def _proxies(self, scenario: Scenario, ports: dict[str, int]) -> Proxies:
        """The proxies of a run, which start when they are entered."""
        if self._target is not None:
            return self._target.proxies(scenario)
        return Proxies(scenario, ports, self._folder, self._environment, self.real)

    def _cpu_seconds(self, proxies: Proxies) -> list[float]:
        """CPU seconds so far of this process, the generator, the backends, each proxy and the sidecars."""
        children = [child for child in (self._generator, self._backends) if child is not None]
        others = [*proxies.cpu_seconds(), proxies.sidecars.cpu_seconds()]
        return [time.process_time(), *(child.cpu_seconds() for child in children), *others]

    def _ports_of(self, scenario: Scenario) -> dict[str, int]:
        """Ports of the scenario's replicas, in its order; starts the backends if their settings changed.

        Backends with random numbers are started for every run, so that the numbers start anew, as in the
        simulator.
        """
        if self._target is not None:
            return self._target.ports(scenario)
        settings, by_chance = backend_spec(scenario)
        spec = json.dumps(settings)
        if self._backends is None or not self._backends.alive or self._spec != spec or by_chance:
            self._stop_backends()
            command = [sys.executable, "-m", "loadtests.backend.server", spec, "--until-eof"]
            self._backends = Child("the backends", command, self._environment)
            self._ports = self._backends.expect(READY_S)["ports"]
            self._spec = spec
        return self._ports

    def _order(self, generator: Child, scenario: Scenario, proxies: Proxies) -> Path:
        """Tell Locust which scenario to run; returns the path of the records."""
        plan, records = self._folder / "scenario.pickle", self._folder / "records.npz"
        plan.write_bytes(pickle.dumps(scenario))
        records.unlink(missing_ok=True)
        job = {"scenario": str(plan), "records": str(records), "grace": _GRACE_S}
        generator.send({**job, "doors": [list(door) for door in proxies.doors]})
        return records

    def _order_backends(self, start: float | None) -> None:
        """Tell the backends when a run begins, so that they can schedule faults; None ends the run."""
        if self._backends is not None:
            self._backends.send({"start": start})
            self._backends.expect(READY_S)

    def _order_egress(self, ports: Mapping[str, int]) -> None:
        """Tell the backends the ports of their sidecars, through which they ask each other."""
        if self._backends is not None:
            self._backends.send({"egress": dict(ports)})
            self._backends.expect(READY_S)

    def _stop_backends(self) -> None:
        if self._backends is not None:
            self._backends.stop()
            self._backends = None

    def _stop_children(self) -> None:
        try:
            self._stop_backends()
        finally:
            if self._generator is not None:
                self._generator.stop()
                self._generator = None

    def close(self) -> None:
        """Stop all processes and remove the temporary files."""
        try:
            self._stop_children()
        finally:
            self._run_folder.close()


def _unseen(_done: float, _total: float) -> None:
    """The default for `progress`: does nothing."""


def _follow(
    generator: Child, proxies: Proxies, started: float, duration: float, progress: Progress
) -> tuple[dict[str, float], list[float], str]:
    """Wait for the end of a run.

    Returns the generator's health, the CPU seconds of each proxy, and a message if a proxy ended early.
    """
    before = used = proxies.cpu_seconds()
    limit = started + duration + 2 * _GRACE_S
    ending = ""
    while True:
        progress(min(max(time.monotonic() - started, 0.0), duration), duration)
        message = generator.receive(_TICK_S)
        proxies.check_policies()
        if not ending and (gone := proxies.ended()):
            ending = f"{gone} during the run"
            generator.send({"stop": True})
        used = list(map(max, used, proxies.cpu_seconds()))
        if message is not None:
            break
        if time.monotonic() > limit:
            raise generator.failure(f"still ran {2 * _GRACE_S:g} s after the end of the run")
    progress(duration, duration)
    del message["event"]
    return message, [after - at_start for after, at_start in zip(used, before, strict=True)], ending


def _logs(scenario: Scenario) -> list[str]:
    """What backends log of this scenario's requests."""
    called = any(backend.calls for backend in scenario.backend.values())
    return ["fetches"] * scenario.caching + ["calls"] * called


def _told(ports: Mapping[str, int], about: str) -> dict[str, Any]:
    """The ``stats`` or the ``fetches`` of every replica; the latter since the last call."""
    told = {}
    for name, port in ports.items():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_GRACE_S)
        with contextlib.closing(connection):
            try:
                connection.request("GET", f"/-/{about}")
                told[name] = json.load(connection.getresponse())
            except OSError as problem:
                raise LoadTestError(f"cannot read the {about} of {name}: {problem}") from None
    return told


def _fetches(ports: Mapping[str, int], started: float) -> Fetches:
    """The fetches of all replicas, in seconds since the run `started`."""
    told = _told(ports, "fetches").values()
    return Fetches.from_rows(
        (number, begin - started, end - started) for rows in told for number, begin, end in rows
    )


def _calls(ports: Mapping[str, int], started: float, services: list[str]) -> CallRecords:
    """The calls of all replicas, in seconds since the run `started`."""
    told = _told(ports, "calls").values()
    rows = (
        (services.index(name), depth, begin - started, end - started, status)
        for rows in told
        for name, depth, begin, end, status in rows
    )
    return CallRecords.from_rows(rows, services)


def _portable(scenario: Scenario) -> Scenario:
    """The scenario with an absolute path of its trace, so that every process finds it."""
    if scenario.workload.trace is None:
        return scenario
    files = tuple(str(Path(path).resolve()) for path in scenario.workload.trace_files)
    workload = scenario.workload.model_copy(update={"trace": files[0] if len(files) == 1 else files})
    return scenario.model_copy(update={"workload": workload})


def _environment() -> dict[str, str]:
    """Environment variables of child processes: with the path of our packages, without Locust's settings."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    paths = [str(_ROOT), environment.get("PYTHONPATH", "")]
    return environment | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
