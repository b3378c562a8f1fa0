"""Locust's options for a scenario: each is obeyed, or refused in one line.

The scenario says how many users there are, when they start, and how long the run lasts. So ``-u`` and
``-t`` change the scenario, and ``-r`` is refused.
"""

from __future__ import annotations

import os
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policies.bad_input import BadInput
from scenarios.loading import load_scenario
from scenarios.overrides import read_overrides
from scenarios.schema import Scenario

_REFUSED = {
    "tags": ("--tags", "a scenario has no tags"),
    "exclude_tags": ("--exclude-tags", "a scenario has no tags"),
    "config_users": ("--config-users", "expected --set, which changes the scenario"),
    "spawn_rate": ("-r", "all users start at the same moment; expected no -r"),
}
"""Options that a replay cannot obey, and what is said of them."""
_OF_REQUESTS = (
    "workload",
    "backend",
    "link.client",
    "seed",
    "duration",
    "warmup",
    "title",
    "compare",
    "rank_by",
)
"""Keys of a scenario that are about its requests, or change nothing at all."""
_WORK = "service_time"
"""The key of a backend that its requests carry."""


@dataclass(frozen=True)
class Given:
    """What the command line says of every run.

    Attributes
    ----------
    changes : dict of str to object
        From ``--set``.
    users : int or None
        From ``-u``.
    seconds : float or None
        From ``-t``.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    users: int | None = None
    seconds: float | None = None

    def scenario(self, name: str) -> Scenario:
        """A scenario by its name or file, with these changes; raises `BadInput`."""
        changes = dict(self.changes)
        if self.seconds is not None:
            _change(changes, "duration", f"{self.seconds:g}s", "-t")
        if self.users is not None:
            if load_scenario(name, changes).scenario.workload.users is not None:
                _change(changes, "workload.users", self.users, "-u")
            elif self.users != 1:
                raise BadInput(
                    "-u", str(self.users), f"{name} has no users, but a rate or a trace; expected no -u"
                )
        return load_scenario(name, changes).scenario

    def without_effect(self) -> list[str]:
        """The keys of ``--set`` that cannot reach a proxy that already runs, or its backends."""
        return [key for key in self.changes if not _reaches(key)]


def _reaches(key: str) -> bool:
    if key.startswith("backend."):
        return key.count(".") < 2 or key.split(".")[2] == _WORK
    return key == "link" or any(f"{key}.".startswith(f"{known}.") for known in _OF_REQUESTS)


def _change(changes: dict[str, Any], key: str, value: Any, option: str) -> None:
    if changes.get(key, value) != value:
        raise BadInput(option, str(value), f"--set says {key}={changes[key]}; expected one of them")
    changes[key] = value


def read_options(options: Namespace) -> Given:
    """What Locust's options say of every run.

    Raises
    ------
    BadInput
        For an option that a replay cannot obey.
    """
    for name, (option, why) in _REFUSED.items():
        if getattr(options, name, None):
            raise BadInput(option, "", why)
    if options.records is not None:
        _check_records(Path(options.records))
    return Given(read_overrides(options.set or ()), options.num_users, options.run_time)


def _check_records(path: Path) -> None:
    if path.suffix != ".npz":
        raise BadInput("--records", str(path), "expected a name that ends in .npz")
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadInput("--records", str(path), "cannot be written")
