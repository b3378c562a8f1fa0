"""HTTPRoute files compiled to the settings of a proxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from policies.bad_input import BadInput
from policies.settings import parse_settings
from twin.httproute.backends import MISSING, Backends
from twin.httproute.documents import Document, Node, read_documents
from twin.httproute.filters import read_filters
from twin.httproute.matches import Match, hosts, matches

ATTEMPTS = 1
"""Retries of a rule with ``retry`` that does not say how many."""


class _Ranked(NamedTuple):
    rank: tuple[Any, ...]
    route: dict[str, Any]


def compile_routes(files: Sequence[Path], addresses: Mapping[str, list[str]], listen: str) -> dict[str, Any]:
    """The settings of a proxy that answers as the HTTPRoutes in some files demand.

    Parameters
    ----------
    files : sequence of Path
        YAML, each with one or more documents.
    addresses : mapping of str to list of str
        ``host:port`` of the backends by name.
    listen : str
        ``host:port`` of the proxy.

    Raises
    ------
    BadInput
        For a file that cannot be read, and for anything that cannot be obeyed: the file, the key and the reason.
    """
    backends = Backends(addresses)
    ranked: list[_Ranked] = []
    count = 0
    for file in files:
        for document in read_documents(file):
            count += 1
            ranked += _routes(document, backends)
    if not count:
        raise BadInput(", ".join(map(str, files)), "", "has no HTTPRoute")
    ranked.sort(key=lambda each: each.rank)
    settings: dict[str, Any] = {"listen": listen, "route": [each.route for each in ranked]}
    if not ranked:
        raise BadInput(", ".join(map(str, files)), "", "has no rule")
    settings["service"] = backends.services
    parse_settings(settings, ", ".join(map(str, files)))
    return settings


def _routes(document: Document, backends: Backends) -> Iterable[_Ranked]:
    """The routes of a document, one for each host and match, with their places by precedence."""
    fields = document.spec.fields(
        "hostnames", "rules", tolerated=("parentRefs", "sectionName", "useDefaultGateways")
    )
    rules = (
        fields["rules"].items() if "rules" in fields else [Node({}, document.spec.file, document.spec.key)]
    )
    for number, rule in enumerate(rules):
        if "rules" in fields:
            rule.fields("matches", "filters", "backendRefs", "timeouts", "retry", tolerated=("name",))
        for match in matches(rule):
            route = _route(rule, document, match, backends)
            for host, rank in hosts(document):
                when = {**({"host": host} if host is not None else {}), **match.when}
                place = (
                    *rank,
                    *match.rank,
                    document.created or "~",
                    document.namespace,
                    document.name,
                    number,
                )
                yield _Ranked(place, {**({"when": when} if when else {}), **route})


def _route(rule: Node, document: Document, match: Match, backends: Backends) -> dict[str, Any]:
    """What happens to the requests of one match."""
    changes, mirrors = read_filters(rule.child("filters"), match.prefix)
    limits, options = _timeouts(rule), _retry(rule)
    to, own = backends.arms(rule, document, options)
    route: dict[str, Any] = _joined(changes, own, rule)
    if "redirect" in route:
        return {key: value for key, value in route.items() if key in ("redirect", "response", "cors")}
    if to is None:
        return {key: value for key, value in route.items() if key in ("response", "cors")} | {
            "respond": int(MISSING)
        }
    copies = [_mirror(node, document, backends) for node in mirrors]
    kept = [copy for copy in copies if copy is not None]
    return {"to": to, **route, **({"mirror": kept} if kept else {}), **limits}


def _joined(changes: dict[str, Any], own: dict[str, Any], rule: Node) -> dict[str, Any]:
    """The changes of the rule, and those of its only backend."""
    for key, value in own.items():
        if key not in changes:
            changes[key] = value
        elif key in ("request", "response"):
            for part, names in value.items():
                before = changes[key].get(part)
                changes[key][part] = names if before is None else (
                    {**before, **names} if isinstance(names, dict) else [*before, *names]
                )  # fmt: skip
        else:
            raise rule.wrong(f"{key} is asked for by the rule and by its backend")
    return changes


def _timeouts(rule: Node) -> dict[str, str]:
    node = rule.child("timeouts")
    if node.value is None:
        return {}
    found = {}
    for ours, theirs in (("timeout", "request"), ("try_timeout", "backendRequest")):
        each = node.fields("request", "backendRequest").get(theirs)
        seconds = each.seconds() if each is not None else None
        if seconds is not None:
            found[ours] = f"{seconds:g}s"
    return found


def _retry(rule: Node) -> dict[str, Any]:
    node = rule.child("retry")
    if node.value is None:
        return {}
    fields = node.fields("attempts", "codes", "backoff")
    retries = fields["attempts"].number(0, 99) if "attempts" in fields else ATTEMPTS
    if not retries:
        return {}
    found: dict[str, Any] = {"attempts": retries + 1, "codes": []}
    if "codes" in fields:
        found["codes"] = [each.number(500, 599) for each in fields["codes"].items()]
    backoff = fields["backoff"].seconds() if "backoff" in fields else None
    if backoff:
        found["backoff"] = f"{backoff:g}s"
    return {"retry": found}


def _mirror(node: Node, document: Document, backends: Backends) -> dict[str, Any] | None:
    """A mirror; None if its backend is not there, for then nothing can be copied."""
    fields = node.fields("backendRef", "percent", "fraction")
    if "backendRef" not in fields:
        raise node.wrong("expected 'backendRef'")
    name = backends.service(fields["backendRef"], document, {})
    share = 1.0
    if "percent" in fields:
        share = fields["percent"].number(0, 100) / 100
    if "fraction" in fields:
        parts = fields["fraction"].fields("numerator", "denominator")
        if "numerator" not in parts:
            raise fields["fraction"].wrong("expected 'numerator'")
        below = parts["denominator"].number(1, 2**31) if "denominator" in parts else 100
        share = parts["numerator"].number(0, below) / below
    if name == MISSING or share == 0.0:
        return None
    return {"to": name} if share == 1.0 else {"to": name, "share": share}
