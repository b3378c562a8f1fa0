"""One replication of a scenario: its model is built, run to the end, and recorded."""

from __future__ import annotations

from dataclasses import replace

from simpy import Environment

from policies.contract import blaming
from scenarios.schema import Scenario
from scenarios.workload import Workload
from simulator.chain import Chain
from simulator.clients import Clients
from simulator.costs import Costs
from simulator.faults import check_faults
from simulator.result import Run
from simulator.series import Queues
from simulator.service import AnswerTooLate


def simulate_once(scenario: Scenario, costs: Costs, luck: int = 0) -> Run:
    """One replication; `luck` draws other link times, and nothing else.

    A limit on answers that none of them comes near changes nothing, so nobody watches for it at first;
    if one was needed after all, or requests wait for each other for ever, everything is drawn again from
    the same seed, and watched.
    """
    check_faults(scenario)
    with blaming():
        try:
            return _replication(scenario, costs, luck, watched=False)
        except AnswerTooLate:
            return _replication(scenario, costs, luck, watched=True)


def _replication(scenario: Scenario, costs: Costs, luck: int, *, watched: bool) -> Run:
    env = Environment()
    chain = Chain(env, scenario, costs, luck, watched)
    workload = Workload(scenario)
    clients = Clients(env, workload, chain, scenario.duration)
    clients.start()
    env.run()
    if not watched and chain.calls is not None and chain.stuck:
        raise AnswerTooLate  # all threads of a sidecar wait for calls, which need one of them
    records = clients.ledger.records(
        scenario.replicas,
        closed=workload.closed,
        caching=scenario.caching,
        proxies=len(scenario.chain),
        fanout=workload.fanout,
    )
    records = replace(
        records, canary=scenario.canary, services=scenario.services, outage_end=scenario.outage_end
    )
    if chain.fetches is not None:
        records = replace(records, fetches=chain.fetches.fetches())
    if chain.calls is not None:
        records = replace(records, calls=chain.calls.records())
    steps = {name: inside.steps for name, inside in chain.inside.items()}
    return Run(records, records.summary(scenario.window), Queues(steps), chain.turned_out)
