"""Compare the twins: calibrate, run both on the same requests, and judge every prediction.

- `confirm`: the main job. Read `confirm.procedure` first.
- `sweeps`: grids of simulations, and hit ratio curves.
- `exposure`: who sees what of a visit by proxy and by VPN, measured on real packets.
- `plots` and `output`: figures, and the files that commands write.
- `cli`: the command line, above all of these.
- `progress`: how a long job reports its progress; the caller decides how to show it.

Each of these imports only from those before it: `progress` and `output`, `plots`, `confirm`, `sweeps` and
`exposure`, `cli`.
"""

from typing import Any

__all__ = ["sweep"]


def __getattr__(name: str) -> Any:
    """Load `sweep` at its first use, because it imports pandas."""
    if name == "sweep":
        from twin.sweeps import sweep

        return sweep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
