"""The limit of open files, for processes with many connections."""

from __future__ import annotations


def allow_many_descriptors() -> None:
    """Raise this process's limit of open files to the highest allowed value; the usual limit is 1,024."""
    import resource  # Windows has none, but can import this module

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
