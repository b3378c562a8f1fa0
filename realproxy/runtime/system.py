"""What the real proxy needs of the operating system: Linux. The rest of the project runs everywhere."""

from __future__ import annotations

import importlib.util
import os
import select
import signal

from policies.bad_input import BadInput

_NEEDED = {select: ("epoll",), os: ("eventfd", "memfd_create", "pidfd_open"), signal: ("SIGHUP", "SIGUSR1")}
_MODULES = ("fcntl", "resource")


class NeedsLinux(BadInput):
    """The real twin was asked for on a system where it cannot run; a notebook shows one line of it."""

    def _render_traceback_(self) -> list[str]:
        return [f"{self}. Leave out the cells that use this result."]


def epoll_events(*names: str) -> int:
    """These epoll events together; 0 where there is no epoll, so that the modules can be imported."""
    events = 0
    for name in names:
        events |= getattr(select, name, 0)
    return events


def check_system() -> None:
    """Raise `NeedsLinux` unless this system has what the real proxy and its load tests are built on."""
    missing = [name for module, names in _NEEDED.items() for name in names if not hasattr(module, name)]
    missing += [name for name in _MODULES if not _has_module(name)]
    if missing:
        raise NeedsLinux(
            "the real proxy needs Linux", "",
            "run this on Linux, in WSL 2 on Windows, or in a Linux container; "
            f"the simulation works here, too (this system has no {missing[0]})",
        )  # fmt: skip


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # something has taken its place
        return False
