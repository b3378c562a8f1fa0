"""The peers by name, and which of them a user asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loadtests.peers.base import Peer
from loadtests.peers.haproxy import Haproxy
from loadtests.peers.installed import program_of
from loadtests.peers.nginx import Nginx
from loadtests.peers.squid import Squid
from loadtests.peers.varnish import Varnish
from policies.bad_input import BadInput
from policies.registry import nearest
from scenarios.schema import Scenario
from scenarios.workload import Workload

OURS = "proxytwin"
"""The name of our own proxy in ``--real``."""
PEERS: dict[str, Peer] = {peer.name: peer for peer in (Nginx(), Haproxy(), Squid(), Varnish())}


def read_real(text: str) -> list[str]:
    """The names in ``--real``, such as ``proxytwin,nginx``; raises `BadInput`."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [OURS, *PEERS]
    if not names:
        raise BadInput("--real", "", f"expected at least one of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise BadInput("--real", name, f"expected one of {', '.join(known)}{nearest(name, known)}")
        if names.count(name) > 1:
            raise BadInput("--real", name, "is given twice; expected each proxy once")
    return names


def check_peers(names: Sequence[str], scenarios: Sequence[Scenario], where: str) -> None:
    """Raise `BadInput` if a peer is not installed, is too old, or cannot obey one of the scenarios."""
    for name in names:
        if name == OURS:
            continue
        program_of(PEERS[name])
        for scenario in scenarios:
            check_obeyed(PEERS[name], scenario, where)


def check_obeyed(peer: Peer, scenario: Scenario, where: str) -> None:
    """Raise `BadInput` for the first key of a scenario that a peer cannot obey."""
    for key, problem in peer.problems(scenario, sizes_of(scenario)):
        raise BadInput(where, key, problem)


def sizes_of(scenario: Scenario) -> Callable[[], Sequence[int]]:
    """A function that returns the sizes of a scenario's objects; only caches need them."""
    return Workload(scenario).sizes.tolist if scenario.caching else tuple


def titled(name: str) -> str:
    """How tables name a real twin."""
    return PEERS[name].title if name in PEERS else name
