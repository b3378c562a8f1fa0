"""Injected faults in the model: those that take time or end a request. The others need real bytes."""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence

from simpy import Environment, Event

from policies.bad_input import BadInput
from policies.reverse.faults import delay_of, struck_by
from policies.settings.faults import Error, Fault, Latency
from scenarios.schema import Scenario
from simulator.routes import Reply

ONLY_REAL = ("bandwidth", "half")
"""Kinds that change the bytes of a response; the model has no bytes, so only the real proxy obeys them."""
RESET = Reply(0)
"""What a client gets when its connection is reset."""


def inject(
    env: Environment, faults: Sequence[Fault], rng: random.Random
) -> Generator[Event, None, Reply | None]:
    """Inject faults into a request; returns the reply that ends it, if any."""
    for fault in struck_by(faults, rng):
        if isinstance(fault, Latency):
            yield env.timeout(delay_of(fault, rng))
        elif isinstance(fault, Error):
            return Reply(fault.status)
        else:
            return RESET
    return None


def check_faults(scenario: Scenario) -> None:
    """Raise `BadInput` for faults that are not modelled, and those of proxies behind other proxies."""
    topology = scenario.topology
    behind = {number for led in topology.leads for number in led}
    for position, (name, proxy) in enumerate(zip(scenario.proxies, scenario.chain, strict=True)):
        for number, route in enumerate(proxy.route):
            for place, fault in enumerate(route.fault):
                key = f"{name}.route.{number}.fault.{place}"
                if fault.kind in ONLY_REAL:
                    raise BadInput(
                        "scenario", key, f"{fault.kind!r} is not modelled; only the real proxy injects it"
                    )
                if position in behind:
                    raise BadInput("scenario", key, "only a proxy with no proxy in front may inject faults")
