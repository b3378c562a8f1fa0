"""Room for many connections in one process."""

from __future__ import annotations

import resource


def allow_many_descriptors() -> None:
    """Raise this process's limit of open files to what the system allows; shells set it to 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
