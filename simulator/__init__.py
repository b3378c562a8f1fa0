"""Twin one: a SimPy model of clients, proxies and backends. It predicts what twin two measures.

Read in the order of a request's way:

- `run`: `simulate`; its replications are spread over processes (`spreading`).
- `replication`: builds one model, runs it, and records it; `result` and `series` hold what it returns.
- `clients`: users and arrivals; `chain`: the proxies one behind the other.
- `proxy`: threads, one core, `store` (the cache) and `routes`; `workers`: several processes of a proxy.
- `service`: balancing; `resilience`: a watched request, with each `attempt`, `hedging`, and all their time
  limits (`alarms`); `backend`: a replica; `slots`: their queues.
- `splits`: the arms of a split route, and copies for a mirror.
- `processes`: how a request waits in simulated time; `costs` and `faults`: what adds to that time.

Every decision is a call of the class in `policies` that the real proxy uses; the model adds only
the time it takes. One replication runs in one thread and shares nothing with another. `curve` and
`statistics` stand beside the model: hit ratios by cache size, and intervals of averages.
"""

from simulator.costs import Costs
from simulator.result import Result, compare_paired
from simulator.run import simulate

__all__ = ["Costs", "Result", "compare_paired", "simulate"]
