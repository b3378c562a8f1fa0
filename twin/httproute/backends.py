"""The backends of HTTPRoutes as our services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.httproute.documents import Document, Node
from twin.httproute.filters import read_filters

MISSING = "500"
"""The arm for the share of a backend that is not there."""


class Backends:
    """Gives services to backendRefs, a service of its own for each set of options.

    Parameters
    ----------
    addresses : mapping of str to list of str
        ``host:port`` of each backend, by the name of its Kubernetes Service, or by ``namespace/name``.

    Attributes
    ----------
    services : dict
        As in our file, by name.
    """

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        self._addresses = addresses
        self.services: dict[str, dict[str, Any]] = {}

    def service(self, node: Node, document: Document, options: Mapping[str, Any]) -> str:
        """The service of a reference; `MISSING` if no address is known for it."""
        group, kind = str(node.value.get("group") or ""), str(node.value.get("kind") or "Service")
        name = node.child("name").text()
        namespace = str(node.value.get("namespace") or document.namespace)
        addresses = self._addresses.get(f"{namespace}/{name}") or self._addresses.get(name)
        if (group, kind) != ("", "Service") or not addresses:
            return MISSING
        wanted = {"upstreams": addresses, **options}
        number = 1
        while True:
            ours = name if number == 1 else f"{name}-{number}"
            if self.services.setdefault(ours, wanted) == wanted:
                return ours
            number += 1

    def arms(
        self, rule: Node, document: Document, options: Mapping[str, Any]
    ) -> tuple[str | dict[str, float] | None, dict[str, Any]]:
        """``to`` for a rule, None if it has no backend that can answer; and what a single backend changes."""
        references = rule.child("backendRefs")
        nodes = references.items() if references.value else []
        arms: dict[str, float] = {}
        changes: dict[str, Any] = {}
        for node in nodes:
            fields = node.fields(
                "weight", "filters", tolerated=("group", "kind", "name", "namespace", "port")
            )
            weight = fields["weight"].number(0, 1_000_000) if "weight" in fields else 1
            own = self._own_changes(fields.get("filters"))
            if own and len(nodes) == 1:
                changes, own = own, {}
            if extra := sorted(own.keys() - {"request", "response"}):
                raise fields["filters"].wrong(f"{extra[0]} for one backend of several cannot be obeyed")
            name = self.service(node, document, {**options, **own})
            arms[name] = arms.get(name, 0) + weight
        if not any(arms.values()):
            return None, changes
        used = {name: weight for name, weight in arms.items() if weight}
        if used.keys() == {MISSING}:
            return None, changes
        return next(iter(used)) if len(used) == 1 else {
            name: float(each) for name, each in used.items()
        }, changes

    def _own_changes(self, node: Node | None) -> dict[str, Any]:
        if node is None:
            return {}
        found, mirrors = read_filters(node, None)
        if mirrors:
            raise mirrors[0].wrong("a mirror for one backend cannot be obeyed")
        return found
