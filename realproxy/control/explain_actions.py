"""What a route does with a request beyond naming a service, in words."""

from __future__ import annotations

import random

from policies.reverse.arms import ArmChooser
from policies.reverse.redirect import leads_back, location
from policies.reverse.rewrite import new_target
from policies.reverse.routing import normal_path
from policies.reverse.split import Split
from policies.settings import ProxySettings, Route
from realproxy.http1 import RequestHead
from realproxy.proxying.route_actions import asked_origin


def arm_of(route: Route, head: RequestHead, client: str) -> str:
    """The service that a request goes to; a phrase if chance decides among several."""
    if not isinstance(route.to, dict):
        return route.services[0]
    choice = ArmChooser(route).choose(Split(route.to), client, head.fields.text, random.Random(0))
    drawn = choice.counts and (choice.user is None or choice.cookie is not None)
    return "one of its arms, by chance" if drawn else choice.arm


def explain_actions(settings: ProxySettings, route: Route, head: RequestHead) -> list[str]:
    """One line for each thing that the route does with a request."""
    return [
        *_entry_notes(route),
        *_target_notes(settings, route, head),
        *_change_notes(route),
        *_split_notes(route),
    ]


def _entry_notes(route: Route) -> list[str]:
    """Who may come in, and with what."""
    notes = []
    if route.allow:
        notes.append(f"allow: {', '.join(route.allow)}, others get 403")
    if route.auth:
        notes.append("auth: a user and a password are wanted, 401 without")
    if route.body is not None:
        notes.append(f"body: 413 above {route.body} bytes")
    if route.cors is not None:
        notes.append("cors: preflights are answered here, and never forwarded")
    return notes


def _target_notes(settings: ProxySettings, route: Route, head: RequestHead) -> list[str]:
    """Where the request goes in place of its own target."""
    notes = []
    target = head.path.decode("latin-1")
    decoded = normal_path(target)
    if route.redirect is not None:
        listens = int(settings.listen.rpartition(":")[2])
        scheme, host, port = asked_origin(head)
        where = location(route.redirect, scheme, host, port, listens, target, decoded)
        notes.append(f"redirect: {where}")
        if leads_back(where, scheme, host, port or listens, target):
            notes.append("redirect: this is the URL that was asked for, so a browser never arrives")
    if route.rewrite is not None:
        sent = new_target(route.rewrite, target, decoded)
        notes.append(
            f"rewrite: the upstream gets {sent} and Host {route.rewrite.host or head.authority.decode()}"
        )
    return notes


def _change_notes(route: Route) -> list[str]:
    """Which fields are changed, and for how long an answer is awaited."""
    notes = []
    for side in ("request", "response"):
        changes = getattr(route, side)
        if changes is not None:
            parts = [f"set {name}" for name in changes.set] + [f"add {name}" for name in changes.add]
            notes.append(f"{side}: {', '.join(parts + [f'remove {name}' for name in changes.remove])}")
    for key in ("timeout", "try_timeout"):
        if getattr(route, key) is not None:
            notes.append(f"{key}: {getattr(route, key):g} s")
    return notes


def _split_notes(route: Route) -> list[str]:
    """How requests are split, copied and watched."""
    notes = []
    if isinstance(route.to, dict):
        split = Split(route.to)
        shares = ", ".join(f"{arm} {split.share(arm):.2%}" for arm in split.arms)
        notes.append(f"split: {shares}, {f'by {route.sticky}' if route.sticky else 'by chance'}")
    if route.override is not None:
        names = [name for name in (route.override.header, route.override.cookie) if name]
        notes.append(f"override: {' or '.join(names)} may name an arm")
    notes += [
        f"mirror: a copy of {mirror.share:.0%} of what is forwarded goes to {mirror.to}"
        for mirror in route.mirror
    ]
    if route.canary is not None:
        canary = route.canary
        steps = ", ".join(f"{step:.0%}" for step in canary.steps)
        notes.append(
            f"canary: {canary.watch} is rolled back once the evidence against it reaches {1 / canary.alpha:g}"
            + (f", and goes on to {steps}" if steps else "")
        )
    return notes
