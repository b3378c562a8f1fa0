"""A proxy that runs already, before backends that run already (``proxytwin backends``).

Nothing is started or ended here. Whether the proxy leads to these backends is found by asking both.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import uuid
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from loadtests.run.proxies import Door, Proxies
from policies.bad_input import BadInput
from scenarios.schema import Scenario

BACKENDS_PORT = 9001
"""Of the first backend; the others follow."""
_ANSWER_S = 5.0
_OF_A_RUN = ("fail", "slow_during")
"""Keys of backends whose times count from the start of a run, which backends that run already do not know."""
_BY_CHANCE = ("jitter", "hiccup", "errors")


class Target:
    """Where it is, and where its backends are.

    Parameters
    ----------
    url : str
        Of the proxy, such as ``http://127.0.0.1:8080``.
    port : int
        Of the first backend on this machine.
    """

    def __init__(self, url: str, port: int = BACKENDS_PORT) -> None:
        self.url, self._port = url.strip().rstrip("/"), port
        parts = urlsplit(self.url)
        with contextlib.suppress(ValueError):
            if parts.scheme == "http" and parts.hostname and not parts.query and not parts.fragment:
                self._host, self._at, self._path = parts.hostname, parts.port or 80, parts.path
                return
        raise BadInput("--target", url, "expected an address such as http://127.0.0.1:8080")

    def ports(self, scenario: Scenario) -> dict[str, int]:
        """The port of each replica, in the scenario's order."""
        return {name: self._port + place for place, name in enumerate(scenario.replicas)}

    def proxies(self, scenario: Scenario) -> RunningProxy:
        """What stands for the proxies of a run; each run has other paths, so that no cache knows them."""
        prefix = f"/{uuid.uuid4().hex[:12]}" if scenario.caching else ""
        return RunningProxy(scenario, self.url + prefix)

    def check(self, scenario: Scenario, where: str) -> None:
        """Raise `BadInput` if the scenario needs a run's own backends, or the proxy leads elsewhere."""
        check_standing(scenario, where, by_chance=True)
        if scenario.sidecars:
            raise BadInput(where, "backend", "--target has no sidecars; expected no calls")
        if len(scenario.chain) > 1:
            raise BadInput(where, "proxy.1", "--target is one proxy; expected no chain")
        before = self._counts(scenario)
        told = self._ask()
        if told not in scenario.replicas:
            shown = f"from {told!r}" if told else "without the field Proxytwin-Upstream"
            raise BadInput("--target", self.url, f"does not lead to our backends: its answer is {shown}")
        if self._counts(scenario)[told] == before[told]:
            raise BadInput(
                "--target", self.url, f"leads to another {told} than the one at port {self._port} on"
            )

    def _counts(self, scenario: Scenario) -> dict[str, float]:
        """Requests so far of each replica, asked directly."""
        counts = {}
        for name, port in self.ports(scenario).items():
            told = None
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                told = json.loads(_get("127.0.0.1", port, "/-/stats")[1])
            if not isinstance(told, dict) or told.get("upstream") != name:
                expected = f"expected 'proxytwin backends SCENARIO --port {self._port}' to run"
                raise BadInput("--target", self.url, f"no backend {name} at 127.0.0.1:{port}: {expected}")
            counts[name] = told["requests"]
        return counts

    def _ask(self) -> str:
        """The name of the backend that answers a request through the proxy; empty if none does."""
        path = f"{self._path}/{uuid.uuid4().hex}/objects/0"
        try:
            return _get(self._host, self._at, path)[0]
        except (OSError, http.client.HTTPException) as problem:
            raise BadInput("--target", self.url, f"no proxy answers there: {problem}") from None


def check_standing(scenario: Scenario, where: str, *, by_chance: bool = False) -> None:
    """Raise `BadInput` for a key that backends which know of no run cannot obey.

    With `by_chance`, keys whose random numbers begin anew with each run, too.
    """
    for name, backend in scenario.backend.items():
        for key in (*_OF_A_RUN, *(_BY_CHANCE if by_chance else ())):
            if getattr(backend, key):
                problem = "its times and chances belong to a run, and these backends run already"
                raise BadInput(where, f"backend.{name}.{key}", f"{problem}; expected no such key")


class RunningProxy(Proxies):
    """Stands for the proxies of a run: nothing is started, and no CPU time can be read."""

    def __init__(self, scenario: Scenario, url: str) -> None:
        super().__init__(scenario, {}, Path(), {})
        self.doors = [Door(url, "")]

    def __enter__(self) -> RunningProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def cpu_seconds(self) -> list[float]:
        """Unknown: nothing."""
        return [0.0]


def _get(host: str, port: int, path: str) -> tuple[str, bytes]:
    """The field Proxytwin-Upstream and the body of an answer."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.getheader("Proxytwin-Upstream", ""), answer.read()
