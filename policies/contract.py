"""The contract of policies: what an own class did wrong, in one line with its name, method and place.

A registered class that is defined outside of this package is called *own*: a student's, for example. Every
command and the real proxy call `blamed` for an error that passed through such a class, so that nothing is
spent on calls that go well.
"""

from __future__ import annotations

import inspect
import operator
import reprlib
import traceback
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from policies.bad_input import BadInput

_PACKAGE = __name__.partition(".")[0]
_LISTED = 8


class PolicyFault(BadInput):
    """An own policy did not keep its contract.

    Parameters
    ----------
    where : str
        File and line, or an empty string if the code is in no file.
    key : str
        Class and method.
    problem : str
        What it returned or raised, and what was expected.
    """

    def __init__(self, where: str, key: str, problem: str) -> None:
        super().__init__(where, key, problem)
        self._message = str(self.args[0])
        self.args = where, key, problem  # SimPy raises a copy that is made of these

    def __str__(self) -> str:
        return self._message

    def __reduce__(self) -> tuple[type[PolicyFault], tuple[str, str, str]]:
        return PolicyFault, (self.where, self.key, self.problem)


def is_own(policy: type) -> bool:
    """Whether a class is defined outside of this package."""
    return policy.__module__.partition(".")[0] != _PACKAGE


def check_class(policy: Any, name: str, base: type, shipped: type | None) -> None:
    """Raise `PolicyFault` if `policy` cannot be registered as `name`.

    Parameters
    ----------
    base : type
        The base class of its family.
    shipped : type, optional
        What has the name until now.
    """
    if not isinstance(policy, type) or not issubclass(policy, base):
        said = getattr(policy, "__name__", repr(policy))
        example = f"class {said if said.isidentifier() else 'Mine'}({base.__name__}):"
        raise PolicyFault("", said, f"expected a class below {base.__name__}, as in {example!r}")
    if not is_own(policy):
        return
    place = _place(inspect.unwrap(policy.__init__)) if "__init__" in vars(policy) else ""
    if shipped is not None and not is_own(shipped):
        raise PolicyFault(
            place, policy.__name__, f"the name {name!r} belongs to {shipped.__name__}; choose another name"
        )
    if missing := sorted(getattr(policy, "__abstractmethods__", ())):
        said = f"expected a method {missing[0]}, as {base.__name__} describes it"
        raise PolicyFault(place, policy.__name__, said)
    for method, function in vars(base).items():
        own = getattr(policy, method, None)
        changed = inspect.isfunction(own) and own is not function and method != "__init__"
        if inspect.isfunction(function) and changed:
            _check_signature(policy, method, function, own)


def _check_signature(policy: type, method: str, expected: Any, own: Any) -> None:
    names = list(inspect.signature(expected).parameters)
    try:
        inspect.signature(own).bind(*names)
    except TypeError:
        said = f"expected the parameters ({', '.join(names)})"
        raise PolicyFault(_place(own), f"{policy.__name__}.{method}", said) from None


def build(policy: type[Any], needed: Collection[str], *arguments: Any, **options: Any) -> Any:
    """An instance of a policy; raises `PolicyFault` if an own class cannot be made as its base class is.

    `needed` are attributes that the base class sets.
    """
    if not is_own(policy):
        return policy(*arguments, **options)
    try:
        made = policy(*arguments, **options)
    except Exception as error:
        raise _raised(policy, "__init__", error, _own_frame(error)) from error
    if not all(hasattr(made, name) for name in needed):
        raise PolicyFault(
            _place(policy.__init__), f"{policy.__name__}.__init__", "expected a call of super().__init__"
        )
    return made


def bad_return(policy: object, method: str, value: object, expected: str) -> PolicyFault:
    """The fault of a policy whose method returned a wrong value."""
    kind = type(policy)
    function = getattr(kind, method, None)
    hint = " (is 'return' missing?)" if value is None else ""
    said = f"returned {_shown(value)}{hint}; expected {expected}"
    return PolicyFault(_place(function), f"{kind.__name__}.{method}", said)


def picked(balancer: object, value: object, available: Collection[int]) -> int:
    """What a balancer picked, as a plain number; raises `PolicyFault` if it is no available upstream."""
    if not isinstance(value, (bool, float)):
        try:
            index = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            index = -1
        if index in available:
            return index
    raise picked_wrong(balancer, value, available)


def picked_wrong(balancer: object, value: object, available: Collection[int]) -> PolicyFault:
    """The fault of a balancer that picked no available upstream."""
    listed = [str(index) for index in available]
    if len(listed) > _LISTED:
        listed = [*listed[:_LISTED], "…"]
    return bad_return(
        balancer, "pick", value, f"the index of an available upstream as an int: one of {', '.join(listed)}"
    )


def verdict(policy: object, method: str, value: object) -> bool:
    """An answer that must be yes or no; raises `PolicyFault` otherwise."""
    if value is True or value is False:
        return value
    if type(value).__name__ in ("bool", "bool_"):  # NumPy's
        return bool(value)
    raise bad_return(policy, method, value, "True or False")


def blamed(error: BaseException) -> PolicyFault | None:
    """`error` as the fault of the own policy that raised it; None if it passed through none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PolicyFault):
            return seen
        frame = _own_frame(seen)
        if frame is not None:
            policy = type(frame[0].f_locals["self"])
            return _raised(policy, frame[0].f_code.co_name, seen, frame)
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def blaming() -> Iterator[None]:
    """Raise errors of own policies as `PolicyFault`, and all others as they are."""
    try:
        yield
    except Exception as error:
        fault = blamed(error)
        if fault is None or fault is error:
            raise
        raise fault from error


BASES: list[type] = []
"""The base classes of all families."""


def _own_frame(error: BaseException) -> tuple[FrameType, int] | None:
    """The innermost frame of an own policy's method: one of its own code, or else one of its base class."""
    inherited = None
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        policy = frame.f_locals.get("self")
        if not isinstance(policy, tuple(BASES)) or not is_own(type(policy)):
            continue
        if frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
            inherited = frame, line
        else:
            found = frame, line
    return found or inherited


def _raised(
    policy: type, method: str, error: BaseException, frame: tuple[FrameType, int] | None
) -> PolicyFault:
    place = "" if frame is None else _written(frame[0].f_code, frame[1])
    said = str(error)
    return PolicyFault(
        place, f"{policy.__name__}.{method}", f"raised {type(error).__name__}" + (f": {said}" if said else "")
    )


def _place(function: Any) -> str:
    code = getattr(function, "__code__", None)
    return "" if code is None else _written(code, code.co_firstlineno)


def _written(code: CodeType, line: int) -> str:
    """File and line for a reader; a cell's file has no name that means anything."""
    file = code.co_filename
    if "ipykernel" in file:
        return f"line {line} of the cell"
    if file.startswith("<") or Path(file).parent.name == _PACKAGE or f"/{_PACKAGE}/" in file:
        return ""
    return f"{file}:{line}"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def _shown(value: object) -> str:
    """A value in short, even if its own ``__repr__`` fails."""
    return " ".join(_SHORT.repr(value).split())
