"""The real proxies of a run, one process each, started from the backends towards the clients."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import NamedTuple

from loadtests.free_port import free_port
from loadtests.peers.base import Order
from loadtests.peers.installed import program_of
from loadtests.peers.registry import OURS, PEERS, check_obeyed, sizes_of
from loadtests.run.processes import Child
from loadtests.run.proxy_files import named, with_addresses, write_classes, write_settings
from loadtests.run.sidecars import READY_S, Sidecars
from policies.contract import PolicyFault
from realproxy.runtime.isolation import OWN_POLICY
from scenarios.schema import Scenario
from scenarios.topology import asked_by_forward


class Door(NamedTuple):
    """A proxy that clients ask.

    Attributes
    ----------
    url : str
    target : str
        Host and port that clients tell a forward proxy to ask: those of the next proxy; else empty.
    """

    url: str
    target: str


class Proxies:
    """A scenario's proxies. A context manager: at its end, no process is left.

    Parameters
    ----------
    scenario : Scenario
    ports : mapping of str to int
        Of the backends' replicas, by name.
    folder : path
        For their files.
    environment : mapping
        Their environment variables.
    real : str
        The name of a peer that takes the place of our proxy.

    Attributes
    ----------
    doors : list of Door
        What the clients ask, in the order of the scenario's doors.
    sidecars : Sidecars
        Of the call graph.
    """

    def __init__(
        self,
        scenario: Scenario,
        ports: Mapping[str, int],
        folder: Path,
        environment: Mapping[str, str],
        real: str = OURS,
    ) -> None:
        self._scenario, self._folder, self._environment = scenario, folder, environment
        self._ports, self._real = dict(ports), real
        self._by_number: dict[int, Child] = {}
        self._urls: dict[int, str] = {}
        self._stack = ExitStack()
        self.doors: list[Door] = []
        self.sidecars = Sidecars(scenario, ports, folder / "classes.pickle", folder, environment)

    def __enter__(self) -> Proxies:
        classes, topology = self._folder / "classes.pickle", self._scenario.topology
        try:
            if self._real != OURS:
                self._start_peer()
                return self
            write_classes(classes)
            self._stack.enter_context(self.sidecars)
            self._ports |= self.sidecars.ingress  # who asks such a replica asks its sidecar
            for number in topology.backwards:
                self._start(number, classes)
        except BaseException:
            self._stack.close()
            raise
        self.doors = [Door(self._urls[number], self._target(number)) for number in topology.doors]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, number: int, classes: Path) -> None:
        """Start one proxy; its upstreams already run, and their ports are known."""
        settings, name = self._scenario.chain[number], self._scenario.proxies[number]
        file = self._folder / f"{name}.toml"
        write_settings(named(with_addresses(settings, self._ports), name), file)
        command = [sys.executable, "-m", "loadtests.run.proxy_child", str(classes), str(file)]
        options = ["--seed", str(self._scenario.hop(number).seed), "--until-eof"]
        said = "the proxy" if len(self._scenario.chain) == 1 else name
        child = self._stack.enter_context(Child(said, command + options, self._environment))
        self._by_number[number] = child
        ready = child.expect(READY_S)
        self._urls[number], self._ports[name] = ready["url"], ready["port"]

    def _target(self, number: int) -> str:
        chain = self._scenario.chain
        asked = None if chain[number].route else asked_by_forward(number, chain)
        return "" if asked is None else f"127.0.0.1:{self._ports[self._scenario.proxies[asked]]}"

    @property
    def _children(self) -> list[Child]:
        """In the order of the file."""
        return [self._by_number[number] for number in sorted(self._by_number)]

    @property
    def _all(self) -> list[Child]:
        """With the sidecars."""
        return [*self._children, *self.sidecars.children]

    def _start_peer(self) -> None:
        """Start a peer in the place of the only proxy."""
        peer, port = PEERS[self._real], free_port()
        check_obeyed(peer, self._scenario, "scenario")
        settings = with_addresses(self._scenario.chain[0], self._ports)
        sizes = sizes_of(self._scenario)() if settings.caching else ()
        folder = Path(self._stack.enter_context(TemporaryDirectory(prefix=f"{peer.name}-", dir=self._folder)))
        order = Order(settings, sizes, folder, port)
        for name, text in peer.files(order).items():
            (folder / name).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "loadtests.run.peer_child", str(port)]
        command += peer.command(program_of(peer), order)
        child = self._stack.enter_context(Child(peer.title, command, self._environment, folder))
        self._by_number[0] = child
        self.doors = [Door(child.expect(READY_S)["url"], "")]

    def cpu_seconds(self) -> list[float]:
        """CPU seconds of each proxy, in the order of the file; 0 if it has ended."""
        return [child.cpu_seconds() for child in self._children]

    def check_policies(self) -> None:
        """Raise `PolicyFault` if an own policy has erred in a proxy or sidecar."""
        for child in self._all:
            if fault := child.line_from(OWN_POLICY):
                raise PolicyFault("", "", f"{child.name}: {fault}")

    def ended(self) -> str:
        """The name and the exit of a proxy or sidecar that ended; empty if all run."""
        gone = next((child for child in self._all if not child.alive), None)
        return "" if gone is None else str(gone.failure("ended")).splitlines()[0].rstrip(":")
