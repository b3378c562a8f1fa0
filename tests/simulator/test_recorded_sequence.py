"""One recorded sequence of starts, failures and finishes decides the same in the model as in the policies.

`tests/realproxy/upstream/test_recorded_sequence.py` drives the real proxy through the same one.
"""

from __future__ import annotations

from collections.abc import Iterator

from simpy import Environment, Event

from scenarios import parse_scenario
from scenarios.workload import Request
from simulator.backend import Replica
from simulator.processes import Life
from simulator.service import Service, UpstreamSide
from tests.policies.resilience.recorded_sequence import EVENTS, NAME, SEED, SERVICE, UPSTREAMS, decisions


def test_the_model_decides_as_the_policies_do() -> None:
    data = {
        "title": "recorded", "seed": SEED, "duration": "20s", "workload": {"rate": "1/s"},
        "backend": {"origin": {"replicas": UPSTREAMS, "concurrency": 10_000}},
        "proxy": {
            "route": [{"to": NAME}], "service": {NAME: {**SERVICE, "upstreams": "origin"}},
            "limits": {"answer_timeout": "1h"},
        },
    }  # fmt: skip
    env = Environment()
    replicas = [Replica(env, 10_000) for _ in range(UPSTREAMS)]
    service = Service(env, NAME, parse_scenario(data).scenario, UpstreamSide(replicas), 0.0)
    assert service.resilience is not None
    began = {event.request: event.at for event in EVENTS if not event.status}
    ended = {event.request: event for event in EVENTS if event.status}
    failing = {round(event.at, 9) for event in ended.values() if event.status >= 500}
    for replica in replicas:
        replica.own_error = lambda: round(env.now, 9) in failing
    decided: dict[int, int] = {}

    def ask(number: int) -> Iterator[Event]:
        assert service.resilience is not None
        request = Request(0.0, 0, 0, (ended[number].at - env.now,), "client")
        asked = service.resilience.ask(request, env.now)
        reply = yield from asked
        decided[number] = reply.upstream if reply.upstream >= 0 else -reply.status

    def start() -> Iterator[Event]:
        for number in sorted(began, key=began.__getitem__):
            yield env.timeout(began[number] - env.now)
            Life(ask(number))

    Life(start())
    env.run()
    assert decided == {event.request: decision for event, decision in decisions()}
    assert len(decided) == len(EVENTS) / 2
    assert {-503, *range(UPSTREAMS)} == set(decided.values())
