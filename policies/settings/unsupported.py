"""Settings that the simulator models and the real twin does not obey: it refuses them, in one line.

Silence would be worse than an error: a prediction with retries would be held against a run without.
Whoever makes the real proxy obey a key takes it off the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from policies.bad_input import BadInput

NOT_OBEYED_YET = ("cache.hit_lock",)
"""Dotted keys of the proxy's file; ``*`` stands for any name, or any number in a list."""

NOT_YET = "not obeyed by the real proxy yet; only the simulator models it"
WHY = {
    "cache.hit_lock": (
        "only for the simulator: it stands for how long another store's lock is held; "
        "the real store holds its own as long as it takes"
    ),
}
"""Why a key is not obeyed, if there is more to say than that."""


def check_obeyed(
    settings: object, where: str, keys: Iterable[str] = NOT_OBEYED_YET, prefix: str = ""
) -> list[BadInput]:
    """A finding for each of `keys` that is set to anything but its default.

    Parameters
    ----------
    settings : pydantic model
        Such as `policies.settings.ProxySettings`.
    where : str
        What messages call the source of the settings.
    keys : iterable of str
        Dotted keys.
    prefix : str
        Stands before the keys in messages.
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
