"""HTTPRoute documents in YAML files, and the place of each value in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput
from policies.registry import nearest

API = "gateway.networking.k8s.io/"


class Node:
    """A value in a document, which knows its place for messages.

    Parameters
    ----------
    value : Any
        Plain data.
    file : str
    key : str
        The dotted key, such as ``shop.spec.rules.0``.
    """

    def __init__(self, value: Any, file: str, key: str) -> None:
        self.value, self.file, self.key = value, file, key

    def wrong(self, problem: str) -> BadInput:
        """The mistake here, to be raised."""
        return BadInput(self.file, self.key, problem)

    def child(self, key: str | int) -> Node:
        """A value below this one; its value is None if it is not there."""
        found = self.value.get(key) if isinstance(self.value, dict) else self.value[key]
        return Node(found, self.file, f"{self.key}.{key}")

    def fields(self, *known: str, tolerated: Sequence[str] = ()) -> dict[str, Node]:
        """The fields of a table that are there; raises `BadInput` for any that is neither known nor tolerated."""
        if not isinstance(self.value, dict):
            raise self.wrong("expected a table")
        for key in self.value:
            if key not in known and key not in tolerated:
                raise self.child(key).wrong(f"cannot be obeyed{nearest(str(key), list(known))}")
        return {key: self.child(key) for key in known if self.value.get(key) is not None}

    def items(self) -> list[Node]:
        """The items of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("expected a list")
        return [self.child(number) for number in range(len(self.value))]

    def text(self) -> str:
        """A text."""
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong(f"expected a text, not {self.value!r}")
        return self.value

    def number(self, least: int, most: int) -> int:
        """A whole number within bounds."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            raise self.wrong(f"expected a whole number from {least} to {most}, not {self.value!r}")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.wrong(f"expected true or false, not {self.value!r}")
        return self.value

    def one_of(self, *allowed: str) -> str:
        """One of several words."""
        if self.value not in allowed:
            raise self.wrong(f"expected one of {', '.join(allowed)}, not {self.value!r}")
        return str(self.value)

    def seconds(self) -> float | None:
        """A duration such as ``1m30s``, 500ms; None for 0, which means no limit. GEP-2257"""
        text = self.text()
        parts = re.findall(r"(\d{1,5})(h|ms|m|s)", text)
        if not parts or len(parts) > 4 or "".join(number + unit for number, unit in parts) != text:
            raise self.wrong(f"expected a duration such as '10s' or '500ms', not {text!r}")
        factors = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
        return sum(int(number) * factors[unit] for number, unit in parts) or None


class Document:
    """One HTTPRoute.

    Attributes
    ----------
    name, namespace : str
    created : str
        The creation time, or an empty text.
    spec : Node
    """

    def __init__(self, root: Node) -> None:
        top = root.fields("apiVersion", "kind", "metadata", "spec", tolerated=("status",))
        metadata = top.get("metadata") or Node({}, root.file, f"{root.key}.metadata")
        if not isinstance(metadata.value, dict):
            raise metadata.wrong("expected a table")
        self.name = str(metadata.value.get("name") or "")
        self.namespace = str(metadata.value.get("namespace") or "default")
        self.created = str(metadata.value.get("creationTimestamp") or "")
        if "spec" not in top:
            raise root.wrong("expected an HTTPRoute with 'spec'")
        self.spec = top["spec"]


def read_documents(path: Path) -> Iterator[Document]:
    """The HTTPRoutes of a file; documents of other kinds are passed over.

    Raises
    ------
    BadInput
        If the file cannot be read, is not YAML, or an HTTPRoute is malformed.
    """
    import yaml  # slow to import

    try:
        found = list(yaml.safe_load_all(path.read_text(encoding="utf-8-sig")))
    except FileNotFoundError:
        raise BadInput(str(path), "", "no such file") from None
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(str(path), "", "is not UTF-8 text, as YAML must be") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(str(path), "", f"is not valid YAML: {' '.join(str(error).split())}") from None
    for number, data in enumerate(_flattened(found)):
        if data is None:
            continue
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
            raise BadInput(str(path), f"document {number}", "expected a Kubernetes object with 'kind'")
        version = str(data.get("apiVersion") or "")
        if data["kind"] == "HTTPRoute" and (not version or version.startswith(API)):
            metadata = data.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            yield Document(Node(data, str(path), str(name or f"document {number}")))


def _flattened(found: list[Any]) -> Iterator[Any]:
    """The documents, with the items of Lists in their place."""
    for data in found:
        if isinstance(data, dict) and data.get("kind") == "List" and isinstance(data.get("items"), list):
            yield from data["items"]
        else:
            yield data
