"""Confront the twins: calibrate, run both on the same requests, compare, and say what came true.

- `confirm`: the main job. Read `confirm.procedure` first.
- `sweeps`: grids of simulations, and hit ratio curves.
- `plots` and `output`: figures, and the files that commands write.
- `cli`: the command line, above all of these.
- `progress`: how a long job reports what it does; its caller decides how to show that.

Imports go up this order: `progress` and `output`, `plots`, `confirm` and `sweeps`, `cli`.
"""

from typing import Any

__all__ = ["sweep"]


def __getattr__(name: str) -> Any:
    """``from twin import sweep``, without loading pandas for all who use something else."""
    if name == "sweep":
        from twin.sweeps import sweep

        return sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
