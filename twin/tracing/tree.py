"""The tree of a request: who asked whom, when each began, and where clocks contradict each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from policies.bad_input import BadInput
from twin.tracing.spans import Span, traced

EXACT = 0.001
"""Seconds to which a log tells when a request ended: less is no contradiction between two clocks."""


@dataclass(eq=False)
class Node:
    """A span, the depth at which it hangs, and what it asked, in the order in which that began."""

    span: Span
    depth: int = 0
    children: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """One request on its way through all proxies.

    Parameters
    ----------
    trace : str
        Its trace-id.
    nodes : list of Node
        All spans, each behind the one that asked it.
    start : float
        When the first one began, in seconds since 1970.
    seconds : float
        Until the end of the last one.
    notes : list of str
        What the logs cannot tell, or contradict: one line each.
    """

    trace: str
    nodes: list[Node]
    start: float
    seconds: float
    notes: list[str]

    @property
    def first(self) -> Span:
        """The span that began it, as far as the logs show."""
        return self.nodes[0].span

    def offset(self, span: Span) -> float:
        """Seconds from the begin of the request to that of a span."""
        return max(span.start - self.start, 0.0)


def requests_in(spans: Iterable[Span]) -> list[Request]:
    """The requests of all traces, the slowest first."""
    found = [_request(trace, parts) for trace, parts in traced(spans).items()]
    return sorted(found, key=lambda request: (-request.seconds, request.trace))


def request_by_id(requests: Iterable[Request], prefix: str) -> Request:
    """The request whose trace-id begins with `prefix`; raises `BadInput` if not exactly one does."""
    found = [request for request in requests if request.trace.startswith(prefix.lower())]
    if len(found) > 1:
        problem = f"{len(found)} traces begin with it: expected more of the trace-id"
        raise BadInput("--request", prefix, problem)
    if not found:
        raise BadInput("--request", prefix, "no trace in these logs begins with it")
    return found[0]


def _request(trace: str, spans: list[Span]) -> Request:
    by_id: dict[str, Node] = {}
    for span in spans:
        by_id.setdefault(span.span, Node(span))
    twice = len(spans) - len(by_id)
    lines = "1 line names" if twice == 1 else f"{twice} lines name"
    notes = [f"{lines} a span that another line has: is a log here twice?"] if twice else []
    roots = []
    for node in by_id.values():
        parent = by_id.get(node.span.parent)
        (roots if parent is None or parent is node else parent.children).append(node)
    roots = sorted(roots, key=_began)
    nodes = _in_order(roots)
    for node in set(by_id.values()) - set(nodes):  # broken logs: each names itself as its own ancestor
        nodes += _in_order([node], nodes)
    unknown = [root.span for root in roots if root.span.parent]
    if len(roots) > 1 and unknown:
        names = ", ".join(dict.fromkeys(span.proxy for span in unknown))
        notes.append(f"{names}: asked by a span that is in none of these logs")
    notes += [note for node in nodes for note in _contradictions(node)]
    start = min(node.span.start for node in nodes)
    end = max(node.span.start + node.span.seconds for node in nodes)
    return Request(trace, nodes, start, end - start, notes)


def _began(node: Node) -> tuple[float, float]:
    """When a span began; of two at once, the longer one asked the other."""
    return node.span.start, -node.span.seconds


def _in_order(roots: list[Node], known: Iterable[Node] = ()) -> list[Node]:
    """All nodes below some roots, each behind the one that asked it, with their depths."""
    seen = {id(node) for node in known}
    nodes: list[Node] = []
    waiting = list(reversed(roots))
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        nodes.append(node)
        node.children = sorted((child for child in node.children if id(child) not in seen), key=_began)
        for child in node.children:
            child.depth = node.depth + 1
        waiting += reversed(node.children)
    return nodes


def _contradictions(node: Node) -> list[str]:
    """Children that seem to begin before what asked them."""
    notes = []
    for child in node.children:
        early = node.span.start - child.span.start
        if early > EXACT:
            notes.append(
                f"{child.span.who}: seems to begin {early * 1000:.1f} ms before {node.span.who}, which asked "
                "it: their clocks differ, so compare durations, not starts"
            )
    return notes
