"""Settings that only the simulator models; the real proxy refuses them with one line.

Without an error, a prediction with such a setting would be compared with a run without it. When the
real proxy learns to obey a key, remove the key from the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from policies.bad_input import BadInput

NOT_OBEYED_YET = ("cache.hit_lock",)
"""Dotted keys of the proxy's file; ``*`` matches any name, or any position in a list."""

NOT_YET = "not obeyed by the real proxy yet; only the simulator models it"
WHY = {
    "cache.hit_lock": (
        "only for the simulator: it stands for how long another store's lock is held; "
        "the real store holds its own as long as it takes"
    ),
}
"""More precise reasons than `NOT_YET`, by key."""


def check_obeyed(
    settings: object, where: str, keys: Iterable[str] = NOT_OBEYED_YET, prefix: str = ""
) -> list[BadInput]:
    """An error for every one of `keys` that is not at its default.

    Parameters
    ----------
    settings : pydantic model
        Such as `policies.settings.ProxySettings`.
    where : str
        Source of the settings in messages.
    keys : iterable of str
        Dotted keys.
    prefix : str
        Text before the keys in messages.
    """
    return [
        BadInput(where, prefix + ".".join(path), WHY.get(key, NOT_YET))
        for key in keys
        for path in _set_below(settings, key.split("."))
    ]


def _set_below(here: Any, parts: list[str]) -> Iterator[list[str]]:
    part, *rest = parts
    if here is None:
        return
    if part == "*":
        for name, inner in here.items() if isinstance(here, Mapping) else enumerate(here):
            yield from ([str(name), *path] for path in _set_below(inner, rest))
    elif rest:
        yield from ([part, *path] for path in _set_below(getattr(here, part), rest))
    elif getattr(here, part) != type(here).model_fields[part].get_default(call_default_factory=True):
        yield [part]
