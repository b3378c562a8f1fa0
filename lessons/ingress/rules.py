"""Which rule takes a request: the rules of a small shop in any order, asked through `proxytwin explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lessons.kit.display import table
from policies.settings import ProxySettings, parse_settings
from realproxy.control.explain import Explanation, explain
from twin.plots.style import INK, NEUTRAL, PREDICTED, STYLE

RULES: dict[str, dict[str, Any]] = {
    "api": {"when": {"prefix": "/api"}, "to": "api", "rewrite": {"strip": "/api"}},
    "beta": {
        "when": {"prefix": "/api", "header": {"X-Beta": "1"}},
        "to": "beta",
        "request": {"set": {"X-Env": "beta"}},
    },
    "pictures": {"when": {"path": "*.png"}, "to": "pictures", "response": {"remove": ["Server"]}},
    "moved": {
        "when": {"host": "old.test"},
        "redirect": {"scheme": "https", "host": "shop.test", "status": 308},
    },
    "all else": {"to": "shop"},
}
"""The rules in the order of the file, by name. Each but `moved` leads to the service that its `to` names."""
SERVICES = ("api", "beta", "pictures", "shop")


@dataclass(frozen=True)
class Asked:
    """One request.

    Attributes
    ----------
    url : str
    fields : dict of str to str
        Its header fields.
    """

    url: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def written(self) -> str:
        """The request in one short line."""
        fields = "".join(f" + {name}: {value}" for name, value in self.fields.items())
        return self.url.removeprefix("http://") + fields


REQUESTS = (
    Asked("http://shop.test/api/cart"),
    Asked("http://shop.test/api/cart", {"X-Beta": "1"}),
    Asked("http://shop.test/apis"),
    Asked("http://shop.test/x/../api/cart"),
    Asked("http://shop.test/api/logo.png"),
    Asked("http://shop.test/logo.png?size=2"),
    Asked("http://old.test/api/cart"),
)
"""The requests of the lesson."""


def door(first: Sequence[str] = (), upstreams: Mapping[str, str] | None = None) -> ProxySettings:
    """The settings of the shop's proxy.

    Parameters
    ----------
    first : sequence of str
        Names of rules that go before the others.
    upstreams : mapping of str to str, optional
        The address of each service.
    """
    addresses = upstreams or {name: f"127.0.0.1:{9001 + place}" for place, name in enumerate(SERVICES)}
    return parse_settings(
        {
            "listen": "127.0.0.1:0" if upstreams else "127.0.0.1:8080",
            "route": [RULES[name] for name in in_order(first)],
            "service": {name: {"upstreams": [addresses[name]]} for name in SERVICES},
        },
        "the lesson's proxy.toml",
    )


def in_order(first: Sequence[str] = ()) -> list[str]:
    """The names of all rules: those of `first`, then the others as in the file."""
    return [*first, *(name for name in RULES if name not in first)]


def explained(request: Asked, first: Sequence[str] = ()) -> Explanation:
    """What ``proxytwin explain`` says about a request."""
    return explain(door(first), "GET", request.url, request.fields)


def rule_of(request: Asked, first: Sequence[str] = ()) -> str:
    """The name of the rule that takes a request."""
    number = explained(request, first).route
    assert number is not None
    return in_order(first)[number]


def requests_of(rule: str, first: Sequence[str] = ()) -> int:
    """How many of `REQUESTS` a rule takes."""
    return sum(rule_of(request, first) == rule for request in REQUESTS)


def would_match(rule: str, request: Asked) -> bool:
    """Whether a rule takes a request if it is the first."""
    return rule_of(request, [rule]) == rule


class explain_request:  # noqa: N801 - reads as a function in a lesson
    """The lines of ``proxytwin explain`` about one request; a notebook shows them as a table.

    Parameters
    ----------
    request : Asked
    first : sequence of str
        Names of rules that go before the others.
    """

    def __init__(self, request: Asked, first: Sequence[str] = ()) -> None:
        self._lines = explained(request, first).lines()

    def _repr_html_(self) -> str:
        rows = [list(line.partition(": ")[::2]) for line in self._lines]
        return table(["part", "what it does, and why"], rows).replace("text-align:right", "text-align:left")

    def __repr__(self) -> str:
        return "\n".join(self._lines)


def figure_of_rules(first: Sequence[str] = (), chosen: int = 0) -> Figure:
    """Rules against requests: which rule takes a request, which later ones would match, and why.

    Parameters
    ----------
    first : sequence of str
        Names of rules that go before the others.
    chosen : int
        The place of the highlighted request in `REQUESTS`.
    """
    order = in_order(first)
    with mpl.rc_context(STYLE | {"figure.constrained_layout.use": False}):
        figure = Figure(figsize=(8.5, 5.4))
        figure.subplots_adjust(left=0.29, right=0.985, top=0.86, bottom=0.32)
        panel = figure.subplots()
        panel.axhspan(chosen - 0.45, chosen + 0.45, color=NEUTRAL, alpha=0.12, lw=0)
        _draw_marks(panel, order, first)
        panel.set_xticks(range(len(order)), [f"{place}: {name}" for place, name in enumerate(order)])
        panel.set_yticks(range(len(REQUESTS)), [request.written for request in REQUESTS])
        panel.set(xlim=(-0.5, len(order) - 0.5), ylim=(len(REQUESTS) - 0.5, -0.5))
        panel.xaxis.set_ticks_position("top")
        panel.tick_params(length=0, labelsize=8.5)
        panel.legend(
            loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=2, title="rules from left to right",
            fontsize=8.5,
        )  # fmt: skip
        lines = explained(REQUESTS[chosen], first).lines()
        figure.text(0.29, 0.295, "\n".join(lines), va="top", family="monospace", fontsize=8, linespacing=1.35)
    return figure


def _draw_marks(panel: Axes, order: Sequence[str], first: Sequence[str]) -> None:
    takes, matches = [], []
    for row, request in enumerate(REQUESTS):
        taken = order.index(rule_of(request, first))
        takes.append((taken, row))
        later = (place for place in range(taken + 1, len(order)) if would_match(order[place], request))
        matches += [(place, row) for place in later]
    panel.plot(*zip(*takes, strict=True), "o", color=PREDICTED, ms=11, label="takes the request")
    panel.plot(
        *zip(*matches, strict=True), "o", mfc="white", mec=INK, ms=8, mew=1.2, color=INK,
        label="would match, but is later",
    )  # fmt: skip
