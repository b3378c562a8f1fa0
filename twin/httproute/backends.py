"""The backends of HTTPRoutes as our services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from policies.settings.routes import is_status
from twin.httproute.documents import Document, Node
from twin.httproute.filters import Place, read_filters

MISSING = "500"
"""The arm for the share of a backend that is not there."""
_REFERENCE = ("group", "kind", "name", "namespace", "port")


class Arms(NamedTuple):
    """Where the requests of a rule go.

    Attributes
    ----------
    to : str or dict or None
        As in our file; None if there is no backend that can answer.
    changes : dict
        What a single backend's filters ask for, beside the changes of header fields.
    mirrors : list of Node
        Those of a single backend.
    """

    to: str | dict[str, float] | None
    changes: dict[str, Any]
    mirrors: list[Node]


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
    unused : set of str
        Names in `addresses` that no backendRef has led to yet.
    missing : dict of str to None
        A line for each backendRef that leads to no address, in order: the file, the key and the name.
    """

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        self._addresses = addresses
        self.services: dict[str, dict[str, Any]] = {}
        self.unused = set(addresses)
        self.missing: dict[str, None] = {}

    def service(self, node: Node, document: Document, options: Mapping[str, Any]) -> str:
        """The service of a reference; `MISSING` if no address is known for it."""
        name = self._named(node, document)
        if name is None:
            self.missing[str(node.wrong(f"no --backend for {node.value['name']!r}"))] = None
            return MISSING
        wanted = {"upstreams": self._addresses[name], **options}
        base = name.rpartition("/")[2]
        number = 1
        while True:
            ours = base if number == 1 and not is_status(base) else f"{base}-{number}"
            if self.services.setdefault(ours, wanted) == wanted:
                return ours
            number += 1

    def _named(self, node: Node, document: Document) -> str | None:
        """The name in `addresses` that a reference leads to; None if there is none."""
        table = node.fields("name", tolerated=(*_REFERENCE, "weight", "filters"))
        if "name" not in table:
            raise node.wrong("expected 'name'")
        group, kind = node.value.get("group") or "", node.value.get("kind") or "Service"
        name, namespace = table["name"].text(), node.value.get("namespace") or document.namespace
        found = next((each for each in (f"{namespace}/{name}", name) if each in self._addresses), None)
        if (group, kind) != ("", "Service") or found is None:
            return None
        self.unused.discard(found)
        return found

    def arms(self, rule: Node, document: Document, options: Mapping[str, Any], place: Place) -> Arms:
        """Where the requests of a rule go; `options` are for each of its services."""
        references = rule.child("backendRefs")
        nodes = references.items() if references.value is not None else []
        arms: dict[str, float] = {}
        changes: dict[str, Any] = {}
        mirrors: list[Node] = []
        for node in nodes:
            fields = node.fields("weight", "filters", tolerated=_REFERENCE)
            weight = fields["weight"].number(0, 1_000_000) if "weight" in fields else 1
            asked, copies = read_filters(node.child("filters"), place)
            own = {key: asked.pop(key) for key in ("request", "response") if key in asked}
            if len(nodes) == 1:
                changes, mirrors = asked, copies
            elif asked or copies:
                what = "mirror" if copies else next(iter(asked))
                raise fields["filters"].wrong(f"a {what} for one backend of several cannot be obeyed")
            self._named(node, document)
            if weight:
                name = self.service(node, document, {**options, **own})
                arms[name] = arms.get(name, 0.0) + weight
        if not arms.keys() - {MISSING}:
            return Arms(None, changes, mirrors)
        return Arms(next(iter(arms)) if len(arms) == 1 else arms, changes, mirrors)
