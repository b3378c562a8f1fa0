"""What an ingress or a canary has in its file and what does nothing there; rules as in `without_effect`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from policies.reverse.never_met import network_problem
from policies.reverse.rewrite import has_prefix
from policies.reverse.split import Split
from policies.settings.ingress import HeaderChanges, Redirect, Rewrite
from policies.settings.routes import Route

Problem = tuple[str, str]


def ingress_problems(route: Route) -> Iterator[Problem]:
    """What has no effect in the keys of one route, with the key below the route."""
    for number, network in enumerate(route.allow):
        if problem := network_problem(network):
            yield f"allow.{number}", problem
    for key in ("rewrite", "redirect"):
        change = getattr(route, key)
        if change is not None and (problem := _never_stripped(change, route)):
            yield f"{key}.strip", problem
    yield from (
        (key, problem) for key in ("request", "response") if (problem := changes_nothing(getattr(route, key)))
    )
    if route.cors is not None:
        if not route.cors.origins:
            yield "cors.origins", "no page of any other origin may use the route"
        if route.cors.credentials and "*" in route.cors.expose:
            yield "cors.expose", "with 'credentials', browsers take '*' for a name: write the names"
    yield from _canary(route)


def changes_nothing(changes: HeaderChanges | None) -> str | None:
    """What to say of a table of changes without a change; None if there is a change, or no table."""
    empty = changes is not None and not (changes.set or changes.add or changes.remove)
    return "changes nothing" if empty else None


def _never_stripped(change: Rewrite | Redirect, route: Route) -> str | None:
    """Why no path that the route takes begins with `strip`; None if one may."""
    strip, prefix = unquote(change.strip or ""), route.when.prefix
    if prefix is None or has_prefix(prefix, strip) or has_prefix(strip, prefix):
        return None
    return f"no path that this route takes begins with it: each begins with {prefix!r}"


def _canary(route: Route) -> Iterator[Problem]:
    canary = route.canary
    if canary is None or not isinstance(route.to, dict):
        return
    share = Split(route.to).share(canary.watch)
    if share in (0.0, 1.0):
        yield "canary.watch", f"gets {share:.0%} of the requests, so that there is nothing to compare"
    given = canary.model_fields_set
    if not canary.steps:
        for key in sorted(given & {"beta", "acceptable"}):
            yield f"canary.{key}", "only 'steps' need it"
    for number, step in enumerate(canary.steps):
        if step <= share:
            yield f"canary.steps.{number}", f"the canary begins with {share:.2%} of the requests"
    sticks = route.sticky is not None and not route.sticky.startswith("canary-cookie:")
    if "users" in given and not sticks:
        yield "canary.users", "only where 'sticky' keeps users with an arm"
