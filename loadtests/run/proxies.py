"""The real proxies of a run, one process each, started from the backends towards the clients."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from loadtests.free_port import free_port
from loadtests.peers.base import Order
from loadtests.peers.installed import program_of
from loadtests.peers.registry import OURS, PEERS, check_obeyed, sizes_of
from loadtests.run.processes import Child
from loadtests.run.proxy_files import with_addresses, write_classes, write_settings
from policies.contract import PolicyFault
from realproxy.runtime.isolation import OWN_POLICY
from scenarios.schema import Scenario

READY_S = 30.0
"""How long a process may take to start."""


class Proxies:
    """A scenario's proxies in a row. A context manager: at its end, no process is left.

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
    url : str
        Of the one that the clients ask.
    target : str
        Host and port that clients tell a forward proxy to ask: the second one's; else empty.
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
        self._children: list[Child] = []
        self._stack = ExitStack()
        self.url = self.target = ""

    def __enter__(self) -> Proxies:
        classes = self._folder / "classes.pickle"
        try:
            if self._real != OURS:
                self._start_peer()
                return self
            write_classes(classes)
            for number in reversed(range(len(self._scenario.chain))):
                self._start(number, classes)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, number: int, classes: Path) -> None:
        """Start one proxy; its upstreams already run, and their ports are known."""
        settings, name = self._scenario.chain[number], self._scenario.proxies[number]
        file = self._folder / f"{name}.toml"
        write_settings(with_addresses(settings, self._ports), file)
        command = [sys.executable, "-m", "loadtests.run.proxy_child", str(classes), str(file)]
        options = ["--seed", str(self._scenario.hop(number).seed), "--until-eof"]
        said = "the proxy" if len(self._scenario.chain) == 1 else name
        child = self._stack.enter_context(Child(said, command + options, self._environment))
        self._children.insert(0, child)
        ready = child.expect(READY_S)
        self.url, self._ports[name] = ready["url"], ready["port"]
        if number == 0 and not settings.route:
            self.target = f"127.0.0.1:{self._ports[self._scenario.proxies[1]]}"

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
        self._children.append(child)
        self.url = child.expect(READY_S)["url"]

    def cpu_seconds(self) -> list[float]:
        """CPU seconds of each proxy, from the clients' side; 0 if it has ended."""
        return [child.cpu_seconds() for child in self._children]

    def check_policies(self) -> None:
        """Raise `PolicyFault` if an own policy has erred in a proxy."""
        for child in self._children:
            if fault := child.line_from(OWN_POLICY):
                raise PolicyFault("", "", f"{child.name}: {fault}")

    def ended(self) -> str:
        """The name and the exit of a proxy that ended; empty if all run."""
        gone = next((child for child in self._children if not child.alive), None)
        return "" if gone is None else str(gone.failure("ended")).splitlines()[0].rstrip(":")
