"""Confront the twins: calibrate, run both on the same requests, compare, and say what came true."""

from typing import Any

__all__ = ["sweep"]


def __getattr__(name: str) -> Any:
    """``from twin import sweep``, without loading pandas for all who use something else."""
    if name == "sweep":
        from twin.sweeps import sweep

        return sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
