"""HTTPRoute documents in YAML files, and the place of each value in them."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from policies.bad_input import BadInput, validate
from policies.registry import nearest
from policies.tokens import is_token

API = "gateway.networking.k8s.io/"
_LISTS = frozenset({"List", "HTTPRouteList"})
_NEWEST = datetime.max.replace(tzinfo=UTC)


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

    def not_expected(self, expected: str) -> BadInput:
        """The mistake that the value is not what was expected."""
        return self.wrong(f"expected {expected}, not {reprlib.repr(self.value)}")

    def child(self, key: str | int) -> Node:
        """A value below this one; its value is None if it is not there."""
        found = self.value.get(key) if isinstance(self.value, dict) else self.value[key]
        return Node(found, self.file, f"{self.key}.{key}")

    def fields(self, *known: str, tolerated: Sequence[str] = ()) -> dict[str, Node]:
        """The fields of a table that are there; raises `BadInput` for any that is not known or tolerated."""
        if not isinstance(self.value, dict):
            raise self.not_expected("a table")
        for key in self.value:
            if key not in known and key not in tolerated:
                raise self.child(key).wrong(f"cannot be obeyed{nearest(str(key), list(known))}")
        return {key: self.child(key) for key in known if self.value.get(key) is not None}

    def items(self) -> list[Node]:
        """The items of a list."""
        if not isinstance(self.value, list):
            raise self.not_expected("a list")
        return [self.child(number) for number in range(len(self.value))]

    def text(self) -> str:
        """A text without control characters, and of characters that a file can have."""
        if not isinstance(self.value, str) or not self.value:
            raise self.not_expected("a text")
        if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", self.value):
            raise self.not_expected("a text without control characters")
        return self.value

    def token(self) -> str:
        """The name of a header field or the like. RFC 9110, 5.6.2"""
        if not is_token(self.text()):
            raise self.not_expected("a name of letters, digits and !#$%&'*+-.^_`|~")
        return self.text()

    def number(self, least: int, most: int) -> int:
        """A whole number within bounds."""
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            raise self.not_expected(f"a whole number from {least} to {most}")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.not_expected("true or false")
        return self.value

    def one_of(self, *allowed: str) -> str:
        """One of several words."""
        if self.value not in allowed:
            raise self.not_expected(f"one of {', '.join(allowed)}")
        return str(self.value)

    def milliseconds(self) -> int:
        """A duration such as ``1m30s`` or ``500ms``. GEP-2257"""
        text = self.text()
        parts = re.findall(r"([0-9]{1,5})(h|ms|m|s)", text)
        if not parts or len(parts) > 4 or "".join(number + unit for number, unit in parts) != text:
            raise self.wrong(f"expected a duration such as '10s' or '500ms', not {text!r}")
        factors = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
        return sum(int(number) * factors[unit] for number, unit in parts)

    def checked(self, model: type[BaseModel], data: dict[str, Any]) -> dict[str, Any]:
        """Return `data` if it is right for a table of our settings; raises `BadInput` with this key."""
        try:
            validate(model, data, self.file)
        except BadInput as mistake:
            key = f"{mistake.key}: " if mistake.key else ""
            raise self.wrong(f"{key}{mistake.problem}") from None
        return data


class Document:
    """One HTTPRoute.

    Attributes
    ----------
    name, namespace : str
    created : datetime
        The creation time; as late as can be if none is given.
    spec : Node
    """

    def __init__(self, root: Node) -> None:
        top = root.fields("apiVersion", "kind", "metadata", "spec", tolerated=("status",))
        metadata = top.get("metadata") or Node({}, root.file, f"{root.key}.metadata")
        if not isinstance(metadata.value, dict):
            raise metadata.not_expected("a table")
        self.name = _word(metadata.child("name"), "")
        self.namespace = _word(metadata.child("namespace"), "default")
        self.created = _time(metadata.child("creationTimestamp"))
        if "spec" not in top:
            raise root.wrong("expected an HTTPRoute with 'spec'")
        self.spec = top["spec"]


def _word(node: Node, default: str) -> str:
    return default if node.value is None else node.text()


def _time(node: Node) -> datetime:
    """A time, which YAML may have read already; without a zone it is in UTC."""
    value = node.value
    if value is None:
        return _NEWEST
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        return value.astimezone(UTC) if value.tzinfo is not None else value.replace(tzinfo=UTC)
    except (ValueError, AttributeError, OverflowError):
        raise node.not_expected("a time such as '2024-01-31T12:00:00Z'") from None


def read_documents(path: Path) -> Iterator[Document]:
    """The HTTPRoutes of a file; documents of other kinds are passed over.

    Raises
    ------
    BadInput
        If the file cannot be read, is not YAML, or an HTTPRoute is malformed.
    """
    for number, data in enumerate(_flattened(_loaded(path), str(path))):
        if data is None:
            continue
        if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
            raise BadInput(str(path), f"document {number}", "expected a Kubernetes object with 'kind'")
        version = data.get("apiVersion") or API
        if data["kind"] == "HTTPRoute" and str(version).startswith(API):
            metadata = data.get("metadata")
            name = metadata.get("name") if isinstance(metadata, dict) else None
            place = name if isinstance(name, str) and name else f"document {number}"
            yield Document(Node(data, str(path), place))


def _strict_loader() -> type:
    """PyYAML's safe loader, which refuses besides what it would drop in silence."""
    import yaml  # slow to import

    class Loader(yaml.SafeLoader):
        """Refuses a key that stands twice in a table."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        line = key.start_mark.line + 1
                        raise yaml.YAMLError(f"the key {key.value!r} is there twice, in line {line}")
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

    return Loader


def _loaded(path: Path) -> list[Any]:
    """The documents of a YAML file as plain data."""
    import yaml

    try:
        return list(yaml.load_all(path.read_text(encoding="utf-8-sig"), _strict_loader()))
    except FileNotFoundError:
        raise BadInput(str(path), "", "no such file") from None
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput(str(path), "", "is not UTF-8 text, as YAML must be") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(str(path), "", f"is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise BadInput(str(path), "", "is not valid YAML: it is nested too deeply") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError):  # a tag that PyYAML cannot obey
        raise BadInput(str(path), "", "is not valid YAML: a value does not fit its tag") from None


def _flattened(found: list[Any], file: str) -> Iterator[Any]:
    """The documents, with the items of Lists in their place."""
    for number, data in enumerate(found):
        if isinstance(data, dict) and isinstance(data.get("kind"), str) and data["kind"] in _LISTS:
            items = Node(data, file, f"document {number}").child("items").items()
            yield from (item.value for item in items)
        else:
            yield data
