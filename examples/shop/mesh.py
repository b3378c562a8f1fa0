"""Starts the shop: its services, then their sidecars from the store towards the front, then the door.

One thread starts and stops everything. `Mesh` owns the processes and their folder. Each process also ends
when this one does, for whatever reason, because its standard input ends then.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from loadtests.run.processes import Child
from loadtests.run.proxy_files import write_settings
from policies.settings import parse_settings

REPLICAS = {"store": 1, "catalogue": 2, "cart": 1, "front": 1}
"""How many of each service, callees first."""
ASKS = {"front": ("cart", "catalogue"), "catalogue": ("store",)}
"""Who asks whom."""
RETRY = {"attempts": 2, "budget": 0.2}
READY_S = 30.0


class Place(NamedTuple):
    """Where a proxy of the shop can be found.

    Attributes
    ----------
    name : str
        Such as ``catalogue/1``.
    url, admin, forward : str
        Of its reverse side, of its live page, and of its forward side; the last is empty without one.
    log : str
        File of its access log.
    """

    name: str
    url: str
    admin: str
    forward: str
    log: str


class Mesh:
    """The running shop. A context manager: at its end, no process and no file is left.

    Attributes
    ----------
    door : Place
        What customers ask.
    sidecars : dict of str to Place
    children : dict of str to Child
        All processes, by a name such as ``cart/0`` or ``sidecar of cart/0``.
    folder : path
        Settings and access logs of the proxies.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.sidecars: dict[str, Place] = {}
        self.children: dict[str, Child] = {}

    def __enter__(self) -> Mesh:
        try:
            self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="shop-")))
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        replicas = [f"{service}/{number}" for service, count in REPLICAS.items() for number in range(count)]
        for name in replicas:
            self._child(name, ["-m", "examples.shop.service", name.partition("/")[0]])
        ports = {name: int(self.children[name].expect(READY_S)["port"]) for name in replicas}
        for name in replicas:
            self.sidecars[name] = self._proxy(f"sidecar of {name}", self._sidecar(name, ports[name]))
            if forward := self.sidecars[name].forward:
                self.children[name].send({"sidecar": forward})
                self.children[name].expect(READY_S)
        front = {"upstreams": self._addresses("front"), "retry": RETRY}
        self.door = self._proxy(
            "door", {"route": [{"to": "front", "timeout": "2s"}], "service": {"front": front}}
        )

    def _sidecar(self, name: str, port: int) -> dict[str, Any]:
        """The settings of one sidecar; those of the services that it leads to run already."""
        callees = ASKS.get(name.partition("/")[0], ())
        services: dict[str, Any] = {
            callee: {"upstreams": self._addresses(callee), "balance": "least_requests", "retry": RETRY}
            for callee in callees
        }
        services["inbound"] = {"upstreams": [f"127.0.0.1:{port}"]}
        settings: dict[str, Any] = {"route": [{"to": "inbound"}], "service": services}
        if callees:
            settings["forward"] = {"listen": "127.0.0.1:0", "services": "only", "protocols": ["http"]}
        return settings

    def _addresses(self, service: str) -> list[str]:
        """Host and port of the sidecars of all replicas of a service."""
        those = (place for name, place in self.sidecars.items() if name.partition("/")[0] == service)
        return [place.url.removeprefix("http://") for place in those]

    def _proxy(self, name: str, settings: dict[str, Any]) -> Place:
        file, log = (self.folder / f"{name.replace('/', '-')}{end}" for end in (".toml", ".log"))
        more = {"admin": "127.0.0.1:0", "log": {"file": str(log), "format": "json"}}
        write_settings(parse_settings({**settings, **more}), file)
        ready = self._child(name, ["-m", "realproxy", str(file), "--until-eof"]).expect(READY_S)
        return Place(name, ready["url"], ready["admin"], ready.get("forward", ""), str(log))

    def _child(self, name: str, arguments: list[str]) -> Child:
        child = self._stack.enter_context(Child(name, [sys.executable, *arguments]))
        self.children[name] = child
        return child
