"""What an experiment is: its file, its random workload, and the records that it yields.

Both twins start from here, so that both see the same requests and answer in the same form.
"""

from scenarios.loading import Variant, load_scenario, parse_scenario, shipped_scenarios
from scenarios.records import Records, Summary
from scenarios.schema import Scenario
from scenarios.workload import Request, Workload

__all__ = [
    "Records", "Request", "Scenario", "Summary", "Variant", "Workload",
    "load_scenario", "parse_scenario", "shipped_scenarios",
]  # fmt: skip
