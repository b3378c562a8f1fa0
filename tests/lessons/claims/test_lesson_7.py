"""What lesson 7 says, and what the rules, the formulas and the simulator compute."""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lessons.ingress import REQUESTS, RULES, door_runs, mean_ms, requests_of, simulated_door, times_ms
from lessons.ingress.exercise import _CASES, _most
from lessons.ingress.front_door import behind_tls
from lessons.ingress.rules import in_order, rule_of, would_match
from lessons.ingress.shared_door import BUSY_MS, QUIET_MS, RATE_RPS, SHARES, SLOTS
from scenarios import Scenario, load_scenario
from simulator import Costs, simulate

ROOT = Path(__file__).parents[3]


@functools.cache
def scenario(variant: int = 1) -> Scenario:
    return door_runs().variants[variant].scenario


def cart_ms(variant: int) -> float:
    return 1e3 * scenario(variant).backend["cart"].service_time.mean


def rate() -> float:
    return scenario().workload.rate or 0.0


@functools.cache
def long_mean(service: str, work_ms: float) -> float:
    return simulated_door(work_ms, RATE_RPS, duration_s=60).mean_ms[service]


def busy_slots() -> float:
    return rate() * SHARES["cart"] * cart_ms(1) / 1e3


def changed_by(first: str) -> int:
    return sum(rule_of(one) != rule_of(one, [first]) for one in REQUESTS)


def missed() -> int:
    """Requests that rule 0 takes, although a later rule was written for them, apart from `beta`."""
    later = ("pictures", "moved")
    return sum(rule_of(one) == "api" and any(would_match(name, one) for name in later) for one in REQUESTS)


@functools.cache
def crowd() -> Scenario:
    wide = {f"backend.{name}.concurrency": 64 for name in SHARES}
    return load_scenario(
        "one-door", {"workload.rate": "4500/s", **wide, "duration": "2s", "compare": {}}
    ).scenario


def everybody_waits() -> bool:
    """The door's queue is long, grows, and holds up every service."""
    run = simulate(crowd()).runs[0]
    times = times_ms(run.records.within(crowd().window))
    first, second = (run.queues["proxy"].mean(part) for part in ((0.4, 1.2), (1.2, 2.0)))
    return times["shop"] > 3 * mean_ms(900, 15, 64) and times["pictures"] > 30 and second > 1.5 * first


def row(number: int) -> list[str]:
    return tls()[number]


@functools.cache
def tls() -> list[list[str]]:
    return behind_tls().rows


CLAIMS: dict[str, Callable[[], Sequence[Any] | bool]] = {
    "Seven requests arrive": lambda: [len(REQUESTS)],
    "| 1 | `http": lambda: [1],
    "| 2 | `http": lambda: [2],
    "| 3 | `http": lambda: [3],
    "| 4 | `http": lambda: [4],
    "| 5 | `http": lambda: [5],
    "| 6 | `http": lambda: [6],
    "| 7 | `http": lambda: [7],
    "Another door gets 300 requests per second at random moments. It sends 40 % to the shop (two replicas), "
    "30 % to the cart and 30 % to the pictures": lambda: [
        rate(), 100 * SHARES["shop"], scenario().backend["shop"].replicas, 100 * SHARES["cart"],
        100 * SHARES["pictures"],
    ],
    "Each replica works on up to 8 requests at once.": lambda: [
        *{backend.concurrency for backend in scenario().backend.values()},
    ],
    "A request at the cart takes 15 ms of work on average. One day the cart becomes four times as slow: "
    "60 ms.": lambda: [cart_ms(0), cart_ms(1) / cart_ms(0), cart_ms(1)],
    "how many of the seven requests does rule 0": lambda: [len(REQUESTS), in_order().index("api")],
    "requests of rule 0": lambda: [in_order().index("api")],
    "In the order of the file, `beta` gets nothing at all.": lambda: requests_of("beta") == 0,
    "Put `moved` first. Which one request changes": lambda: changed_by("moved") == 1,
    "Rule 0 takes five of the seven requests. Most people miss two of them": lambda: [
        0, requests_of("api"), len(REQUESTS), missed(),
    ],
    "The shop does not notice the slow cart.": lambda: bool(
        abs(long_mean("shop", BUSY_MS) / long_mean("shop", QUIET_MS) - 1) < 0.01
    ),
    "quick cart: 90 per second, 15 ms, 8 slots": lambda: [rate() * SHARES["cart"], cart_ms(0), SLOTS],
    "slow cart: 90 per second, 60 ms, 8 slots": lambda: [rate() * SHARES["cart"], cart_ms(1), SLOTS],
    "shop: 60 per second at each replica, 15 ms": lambda: [rate() * SHARES["shop"] / 2, QUIET_MS],
    "The slow cart needs four times the work, and its mean grows a little more than four times": lambda: [
        cart_ms(1) / cart_ms(0), (4.0, long_mean("cart", BUSY_MS) / long_mean("cart", QUIET_MS)),
    ],
    "5.4 of its 8 slots are busy on average": lambda: [busy_slots(), SLOTS],
    "With 0.3 ms it is busy for": lambda: [1e3 * Costs().miss_cpu],
    "four real backends": lambda: [len(scenario().replicas)],
    "four small servers": lambda: [len({rule["to"] for rule in RULES.values() if "to" in rule})],
    "starts two real doors": lambda: [2],
    "The door answers **421 Misdirected Request**": lambda: [int(row(2)[3])],
    "on a 421 they open a new one": lambda: [int(row(2)[3])],
    "4,500 requests per second come for two seconds": lambda: [crowd().workload.rate or 0, crowd().duration],
    "the formula says that the shop needs 15 ms.": lambda: [mean_ms(900, 15, 64)],
    "needs 0.3 ms of its one core for a request, and half of that for a hit": lambda: [
        1e3 * Costs().miss_cpu, Costs().hit_cpu / Costs().miss_cpu,
    ],
    "shop, 4,500 requests per second": lambda: [crowd().workload.rate or 0],
    "Now everybody waits at the door": everybody_waits,
    "With 30 % of the requests for a cart that needs 60 ms in 8 slots, the door may get 356 requests per": (
        lambda: [100 * _CASES[0][0], 1e3 * _CASES[0][2], _CASES[0][1], _most(*_CASES[0])]
    ),
}  # fmt: skip

OTHERS: dict[str, tuple[str, ...]] = {
    "counted in this very text": ("**predict** three numbers",),
    "held below": ("This takes less than half a minute",),
    "about the world": ("One service that sends large files",),
    "a name": ("**Little's law for the whole door.**", "requests inside the door, by Little's law"),
    "a step of an argument": ("The door gets `1 / share` times as much.",),
}
REASONS = [piece for pieces in OTHERS.values() for piece in pieces]


@pytest.mark.parametrize("said", CLAIMS)
def test_a_claim_is_what_is_computed(said: str, against_text: Callable[..., None]) -> None:
    against_text(7, said, CLAIMS[said]())


def test_each_number_and_comparison_in_the_text_is_a_claim(uncovered: Callable[..., list[str]]) -> None:
    assert uncovered(7, CLAIMS, REASONS) == []


def test_each_exception_is_in_the_text(unknown: Callable[..., list[str]]) -> None:
    assert unknown(7, REASONS) == []


def test_the_runs_of_the_confirmation_take_less_than_half_a_minute(
    against_text: Callable[..., None], planned_s: Callable[[int], float]
) -> None:
    against_text(7, "This takes less than half a minute", [((planned_s(7) + 9) / 60, 0.5)])


def test_the_text_shows_the_rules_and_the_requests_that_the_code_has() -> None:
    cells = json.loads((ROOT / "notebooks" / "07_ingress.ipynb").read_text(encoding="utf-8"))["cells"]
    said = "\n".join("".join(cell["source"]) for cell in cells)
    (rules,) = re.findall(r"```toml\n(.*?)```", said, re.DOTALL)
    assert tomllib.loads(rules)["route"] == list(RULES.values())
    assert re.findall(r"# rule (\d), \"(.*)\"", rules) == [
        (str(place), name) for place, name in enumerate(RULES)
    ]
    asked = re.findall(r"^\| \d \| `(\S+)`(?:, with the field `(\S+): (\S+)`)? \|$", said, re.MULTILINE)
    assert asked == [
        (one.url, *(next(iter(one.fields.items())) if one.fields else ("", ""))) for one in REQUESTS
    ]
