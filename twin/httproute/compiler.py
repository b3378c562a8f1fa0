"""HTTPRoute files compiled to the settings of a proxy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from policies.bad_input import BadInput
from policies.settings import parse_settings
from twin.httproute.backends import MISSING, Backends
from twin.httproute.documents import Document, Node, read_documents
from twin.httproute.filters import Place, read_filters
from twin.httproute.matches import Match, hosts, matches

ATTEMPTS = 1
"""Retries of a rule with ``retry`` that does not say how many."""
TOO_LATE = 504
"""The status of an attempt that has exceeded ``backendRequest``."""
ENDLESS = "24h"
"""For each attempt, where HTTPRoute wants no limit: our file always has one."""
_SHORT = 60_000
"""Milliseconds that an attempt may take in our file if nothing is said."""


class Compiled(NamedTuple):
    """What came of some HTTPRoutes.

    Attributes
    ----------
    settings : dict
        Those of a proxy, as in our file.
    unused : list of str
        Backends with addresses to which no route leads.
    missing : list of str
        A line for each backendRef that leads to no address.
    """

    settings: dict[str, Any]
    unused: list[str]
    missing: list[str]


class _Ranked(NamedTuple):
    rank: tuple[Any, ...]
    route: dict[str, Any]


def compile_routes(files: Sequence[Path], addresses: Mapping[str, list[str]], listen: str) -> Compiled:
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
        For a file that cannot be read, and for anything that cannot be obeyed: the file, the key and the
        reason.
    """
    backends, port = Backends(addresses), int(listen.rpartition(":")[2])
    ranked: list[_Ranked] = []
    for file in files:
        for document in read_documents(file):
            ranked += _routes(document, backends, port)
    if not ranked:
        raise BadInput(", ".join(map(str, files)), "", "has no HTTPRoute")
    ranked.sort(key=lambda each: each.rank)
    settings = {
        "listen": listen,
        "route": [each.route for each in ranked],
        "service": backends.services,
    }
    parse_settings(settings, ", ".join(map(str, files)))
    return Compiled(settings, sorted(backends.unused), list(backends.missing))


def _routes(document: Document, backends: Backends, port: int) -> Iterable[_Ranked]:
    """The routes of a document, one for each host and match, with their places by precedence."""
    fields = document.spec.fields(
        "hostnames", "rules", tolerated=("parentRefs", "sectionName", "useDefaultGateways")
    )
    rules = [Node({}, document.spec.file, document.spec.key)]
    if "rules" in fields:
        rules = fields["rules"].items()
        if not rules:
            raise fields["rules"].wrong("expected at least one rule")
    for number, rule in enumerate(rules):
        if "rules" in fields:
            rule.fields("matches", "filters", "backendRefs", "timeouts", "retry", tolerated=("name",))
        for match in matches(rule):
            route = _route(rule, document, match, backends, port)
            for host, rank in hosts(document):
                when = {**({"host": host} if host is not None else {}), **match.when}
                age = document.created, f"{document.namespace}/{document.name}"
                place = (*rank, *match.rank, *age, number)
                yield _Ranked(place, {**({"when": when} if when else {}), **route})


def _route(rule: Node, document: Document, match: Match, backends: Backends, port: int) -> dict[str, Any]:
    """What happens to the requests of one match."""
    place = Place(match.prefix, port)
    changes, mirrors = read_filters(rule.child("filters"), place)
    limits, options = _timeouts(rule), _retry(rule)
    if "redirect" in changes:
        if rule.child("backendRefs").value:
            raise rule.wrong("a redirect and backendRefs cannot be together")
        if mirrors:
            raise mirrors[0].wrong("a mirror of requests that are redirected cannot be obeyed")
    arms = backends.arms(rule, document, options, place)
    route = _joined(changes, arms.changes, rule)
    copies = [_mirror(node, document, backends) for node in (*mirrors, *arms.mirrors)]
    if "redirect" in route:
        return {key: value for key, value in route.items() if key in ("redirect", "response", "cors")}
    if arms.to is None:
        return {key: value for key, value in route.items() if key in ("response", "cors")} | {
            "respond": int(MISSING)
        }
    kept = [copy for copy in copies if copy is not None]
    return {"to": arms.to, **route, **({"mirror": kept} if kept else {}), **limits}


def _joined(changes: dict[str, Any], own: dict[str, Any], rule: Node) -> dict[str, Any]:
    """The changes of the rule, and those of its only backend."""
    for key in own:
        if key in changes or {"redirect", "rewrite"} <= {key, *changes}:
            raise rule.wrong(f"{key}: the rule and its backend change the same")
    return {**changes, **own}


def _timeouts(rule: Node) -> dict[str, str]:
    """``timeout`` and ``try_timeout``. A limit of 0 is none, and what is not limited is not cut short."""
    node = rule.child("timeouts")
    if node.value is None:
        return {}
    fields = node.fields("request", "backendRequest")
    given = {key: each.milliseconds() for key, each in fields.items()}
    whole, attempt = given.get("request", 0), given.get("backendRequest", 0)
    if whole and attempt > whole:
        raise fields["backendRequest"].wrong("expected no more than 'request'")
    found = {}
    if whole:
        found["timeout"] = _duration(whole)
    if attempt or whole > _SHORT:
        found["try_timeout"] = _duration(attempt or whole)
    elif given and not whole:
        found["try_timeout"] = ENDLESS
    return found


def _duration(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{milliseconds}ms" if rest else f"{seconds}s"


def _retry(rule: Node) -> dict[str, Any]:
    """``retry``; an attempt that has exceeded ``backendRequest`` is repeated, too. GEP-1731"""
    node = rule.child("retry")
    if node.value is None:
        return {}
    fields = node.fields("attempts", "codes", "backoff")
    retries = fields["attempts"].number(0, 99) if "attempts" in fields else ATTEMPTS
    codes = [each.number(500, 599) for each in fields["codes"].items()] if "codes" in fields else []
    backoff = fields["backoff"].milliseconds() if "backoff" in fields else 0
    if not retries:
        return {}
    if "try_timeout" in _timeouts(rule) and TOO_LATE not in codes:
        codes.append(TOO_LATE)
    found: dict[str, Any] = {"attempts": retries + 1, "codes": codes}
    if backoff:
        found["backoff"] = _duration(backoff)
    return {"retry": found}


def _mirror(node: Node, document: Document, backends: Backends) -> dict[str, Any] | None:
    """A mirror; None if its backend is not there, for then nothing can be copied."""
    fields = node.fields("backendRef", "percent", "fraction")
    if "backendRef" not in fields:
        raise node.wrong("expected 'backendRef'")
    if {"percent", "fraction"} <= fields.keys():
        raise node.wrong("expected 'percent' or 'fraction', not both")
    share = 1.0
    if "percent" in fields:
        share = fields["percent"].number(0, 100) / 100
    if "fraction" in fields:
        parts = fields["fraction"].fields("numerator", "denominator")
        if "numerator" not in parts:
            raise fields["fraction"].wrong("expected 'numerator'")
        below = parts["denominator"].number(1, 2**31 - 1) if "denominator" in parts else 100
        share = parts["numerator"].number(0, below) / below
    if share == 0.0:
        return None
    name = backends.service(fields["backendRef"], document, {})
    if name == MISSING:
        return None
    return {"to": name} if share == 1.0 else {"to": name, "share": share}
