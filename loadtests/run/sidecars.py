"""The real sidecars of a run: a proxy process beside each replica of the call graph, callees first."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from loadtests.run.processes import Child
from loadtests.run.proxy_files import with_addresses, write_settings
from policies.settings import Forward, ProxySettings
from scenarios.call_graph import called, callees_first
from scenarios.schema import Scenario
from scenarios.sidecars import sidecar_seed

READY_S = 30.0
"""How long a process may take to start."""


class Sidecars:
    """A scenario's sidecars. A context manager: at its end, no process is left.

    Parameters
    ----------
    scenario : Scenario
    ports : mapping of str to int
        Of the backends' replicas, by name.
    classes : path
        File of the policies that were defined outside of `policies`.
    folder : path
        For their files.
    environment : mapping
        Their environment variables.

    Attributes
    ----------
    children : list of Child
        In the order of their start.
    ingress, egress : dict of str to int
        Ports of the reverse side of each sidecar, and of its forward side if its replica asks others, by the
        replica's name.
    """

    def __init__(
        self,
        scenario: Scenario,
        ports: Mapping[str, int],
        classes: Path,
        folder: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._scenario, self._ports, self._classes = scenario, ports, classes
        self._folder, self._environment = folder, environment
        self._stack = ExitStack()
        self.children: list[Child] = []
        self.ingress: dict[str, int] = {}
        self.egress: dict[str, int] = {}

    def __enter__(self) -> Sidecars:
        try:
            for names in self._rows():
                started = {name: self._start(name) for name in names}
                for name, child in started.items():
                    ready = child.expect(READY_S)
                    self.ingress[name] = ready["port"]
                    if "forward" in ready:
                        self.egress[name] = int(ready["forward"].rpartition(":")[2])
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def cpu_seconds(self) -> float:
        """CPU seconds of all of them."""
        return sum(child.cpu_seconds() for child in self.children)

    def _rows(self) -> Iterator[list[str]]:
        """The replicas with sidecars, in rows that start at once: whom they call is in earlier rows."""
        backends, row_of = self._scenario.backend, dict[str, int]()
        for name in callees_first(backends):
            row_of[name] = max((row_of[callee] + 1 for callee in called(backends, name)), default=0)
        for row in range(max(row_of.values(), default=-1) + 1):
            yield [name for name in self._scenario.sidecars if row_of[name.rpartition("/")[0]] == row]

    def _start(self, name: str) -> Child:
        """Start the sidecar of one replica; those that it asks already run."""
        file = self._folder / f"sidecar {name.replace('/', '-')}.toml"
        write_settings(self._settings(name), file)
        number = self._scenario.replicas.index(name)
        options = ["--seed", str(sidecar_seed(self._scenario.seed, number)), "--until-eof"]
        command = [sys.executable, "-m", "loadtests.run.proxy_child", str(self._classes), str(file), *options]
        child = self._stack.enter_context(Child(f"the sidecar of {name}", command, self._environment))
        self.children.append(child)
        return child

    def _settings(self, name: str) -> ProxySettings:
        """The settings of one sidecar, with real addresses."""
        callees = called(self._scenario.backend, name.rpartition("/")[0])
        ports = {each: port for each, port in self.ingress.items() if each.rpartition("/")[0] in callees}
        settings = with_addresses(self._scenario.sidecars[name], {**ports, name: self._ports[name]})
        if not callees:
            return settings
        forward = Forward(listen="127.0.0.1:0", services="only", protocols=("http",))
        return settings.model_copy(update={"forward": forward})
