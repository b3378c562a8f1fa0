"""Controls for lesson 7: the order of rules, and a busy service beside two others.

The widgets have no logic. They call functions that are tested over all their positions.
"""

from __future__ import annotations

import time

import ipywidgets as widgets

from lessons.ingress.rules import REQUESTS, RULES, explained, figure_of_rules, in_order, rule_of
from lessons.ingress.shared_door import (
    BUSY_MS,
    CART_MS,
    RATE_RPS,
    RATES,
    SERVICES,
    figure_of_door,
    simulated_door,
)
from lessons.kit.explorer import Drawn, Explorer, slider, wide

AS_WRITTEN = "as in the file"


class RulesExplorer(Explorer):
    """Controls for the rule that comes first, and for a request; a figure of rules against requests.

    Attributes
    ----------
    first, request : widgets
    """

    def __init__(self) -> None:
        orders = {AS_WRITTEN: (), **{f"{name} first": (name,) for name in RULES if name != in_order()[0]}}
        self.first = widgets.Dropdown(options=orders, description="order of the rules", **wide())
        places = {request.written: place for place, request in enumerate(REQUESTS)}
        self.request = widgets.Dropdown(options=places, description="look at", **wide())
        super().__init__([self.first, self.request])

    def draw(self) -> Drawn:
        """Which rule takes which request, and why for the chosen one."""
        first, place = self.first.value, self.request.value
        taken = ", ".join(f"{request.written} by {rule_of(request, first)}" for request in REQUESTS)
        why = "; ".join(explained(REQUESTS[place], first).lines())
        said = f"Requests, and the rules that take them: {taken}. About the highlighted one: {why}"
        return Drawn(figure_of_rules(first, place), said)


class DoorExplorer(Explorer):
    """Sliders for the work at the cart and the rate at the door; a figure of response times.

    Parameters
    ----------
    cart_ms, rate : int
        Initial values.

    Attributes
    ----------
    cart, rate : widgets
    """

    def __init__(self, cart_ms: int, rate: int) -> None:
        self.cart = slider(cart_ms, CART_MS, "work at the cart, ms")
        self.rate = slider(rate, RATES, "requests per second")
        super().__init__([self.cart, self.rate])

    def draw(self) -> Drawn:
        """The mean response times of all services."""
        started = time.perf_counter()
        found = simulated_door(self.cart.value, self.rate.value)
        figure = figure_of_door(self.cart.value, self.rate.value)
        means = ", ".join(f"{name} {found.mean_ms[name]:.1f} ms" for name in SERVICES)
        note = f"simulated and drawn in {time.perf_counter() - started:.2f} s"
        return Drawn(figure, f"Mean response times: {means}", note)


def explore_rules() -> RulesExplorer:
    """Controls for the order of rules, as a `RulesExplorer`."""
    return RulesExplorer()


def explore_door(cart_ms: int = BUSY_MS, rate: int = RATE_RPS) -> DoorExplorer:
    """Sliders for a busy service beside two others, as a `DoorExplorer`."""
    return DoorExplorer(cart_ms, rate)
