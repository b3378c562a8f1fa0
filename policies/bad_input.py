"""Reports a user's mistake in one line: the file, the key, the problem and what was expected."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from policies.file_kinds import EMPTY, kind_of_content
from policies.suggestion import nearest

Model = TypeVar("Model", bound=BaseModel)

_IN_TOML = {
    "model_type": "expected a table",
    "dict_type": "expected a table",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "too_short": "expected at least one item",
}
"""Pydantic's error types in the words of TOML."""


class BadInput(ValueError):
    """Input from a user that cannot be used.

    Parameters
    ----------
    where : str
        The file, or another name for the source, such as ``"--set"``.
    key : str
        The dotted key, or an empty string for the whole file.
    problem : str
        What is wrong and what was expected.
    """

    def __init__(self, where: str, key: str, problem: str) -> None:
        self.where, self.key, self.problem = where, key, problem
        message = ": ".join(part for part in (where, key, problem) if part)
        super().__init__(" ".join(message.splitlines()))

    def __reduce__(self) -> tuple[type[BadInput], tuple[str, str, str]]:
        return BadInput, (self.where, self.key, self.problem)


def read_toml(path: str | Path, expected: str = "a TOML file") -> dict[str, Any]:
    """The tables of a TOML file; `expected` says in an error what the file should be.

    Raises
    ------
    BadInput
        If the file is missing, unreadable or not TOML; it says what the file is, if that can be seen.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise BadInput(str(path), "", "no such file") from None
    except OSError as error:
        raise BadInput(str(path), "", f"cannot be read: {error.strerror}; expected {expected}") from None
    kind = kind_of_content(content, Path(path).name)
    try:
        if kind == EMPTY:
            raise ValueError
        return tomllib.loads(content.decode("utf-8-sig"))  # some editors write a BOM
    except (ValueError, RecursionError) as error:  # also for too many digits and too deep nesting
        if kind is not None:
            raise BadInput(str(path), "", f"is {kind}; expected {expected}") from None
        if isinstance(error, UnicodeDecodeError):
            raise BadInput(str(path), "", "is not UTF-8 text, as TOML must be") from None
        raise BadInput(str(path), "", f"is not valid TOML: {error}") from None


def validate(model: type[Model], data: object, where: str) -> Model:
    """Build `model` from plain data.

    Raises
    ------
    BadInput
        For the first key that is wrong. For an unknown key, it suggests the nearest known one.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise explain(error, model, where) from None


def explain(error: ValidationError, model: type[BaseModel], where: str) -> BadInput:
    """The first error that pydantic found, as one line; unknown keys come first."""
    findings = error.errors(include_url=False)
    finding = next((f for f in findings if f["type"] == "extra_forbidden"), findings[0])
    path = [part for part in finding["loc"] if not _is_union_tag(part)]
    key = ".".join(str(part) for part in path)
    if finding["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        return BadInput(where, key, f"unknown key{nearest(str(path[-1]), known)}")
    if finding["type"] == "missing":
        return BadInput(where, key, "is missing")
    if finding["type"] in ("value_error", "assertion_error"):
        return BadInput(where, key, finding["msg"].removeprefix("Value error, "))
    message = _IN_TOML.get(finding["type"]) or f"{finding['msg'][0].lower()}{finding['msg'][1:]}"
    if isinstance(finding["input"], (str, int, float)):
        shown = repr(finding["input"])
        message += f", not {shown if len(shown) <= 80 else shown[:77] + '...'}"
    return BadInput(where, key, message)


def _is_union_tag(part: int | str) -> bool:
    return isinstance(part, str) and "[" in part


def _known_keys(model: type[BaseModel], path: list[int | str]) -> list[str]:
    """The fields of the model that `path` leads to; none if it leads nowhere."""
    here: Any = model
    names_item = False
    for part in path:
        if names_item or isinstance(part, int):
            names_item = False
            continue
        field = getattr(here, "model_fields", {}).get(part)
        if field is None:
            return []
        here = _model_in(field.annotation)
        inner = (field.annotation, *get_args(field.annotation))
        names_item = any(get_origin(kind) is dict for kind in inner)
    return list(getattr(here, "model_fields", {}))


def _model_in(annotation: Any) -> Any:
    """The first model class inside an annotation such as ``dict[str, Service] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
