"""Tables of sweeps and hit ratio curves in the terminal."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pandas as pd

from policies.bad_input import BadInput
from policies.registry import nearest
from policies.units import format_size
from twin.output.sheet import HEADS, UNITS, Sheet
from twin.plots.style import TITLES

MOST_ROWS = 40
"""Settings in a terminal; a file gets all of them."""
_FETCHES = ("fetch_rps", "fetches_per_expiry")
_NOTED = 0.1
"""If fetches differ from misses by more than this share, they are shown."""
_FORMS = {"hit_ratio": ".4f", "error_ratio": ".4f", "fetch_rps": ".3g", "fetches_per_expiry": ".3g"}


def check_metric(metric: str, option: str) -> None:
    """Raise `BadInput`, with the nearest known name, if a sweep has no such metric."""
    if metric not in TITLES:
        raise BadInput(option, metric, f"unknown figure{nearest(metric, list(TITLES))}")


def varied_keys(sweep: pd.DataFrame) -> list[str]:
    """The columns with the varied keys: those before ``replication``."""
    columns = list(sweep.columns)
    return columns[: columns.index("replication")]


def sweep_table(sweep: pd.DataFrame, title: str, most: int | None = MOST_ROWS) -> Sheet:
    """The metrics of each setting, averaged over its replications; at most `most` rows."""
    keys = varied_keys(sweep)
    shown = [name for name in TITLES if name in sweep and sweep[name].notna().any()]
    shown = [name for name in shown if name != "error_ratio" or sweep[name].any()]
    shown = [name for name in shown if name not in _FETCHES or _beyond_hits(sweep)]
    groups = sweep.groupby(keys[0] if len(keys) == 1 else keys, sort=False)
    left = 0 if most is None else max(groups.ngroups - most, 0)
    more = f"and {left} more settings, which --out keeps; " if left else ""
    sheet = Sheet(title, short_names(keys), [HEADS[name] for name in shown], more + UNITS)
    for values, rows in islice(groups, most):
        setting = [str(value) for value in (values if isinstance(values, tuple) else (values,))]
        sheet.add(setting, [_shown(rows[name].mean(), _FORMS.get(name, ".1f")) for name in shown])
    return sheet


def _beyond_hits(sweep: pd.DataFrame) -> bool:
    """Whether fetches say more than the hit ratio: each miss is one fetch, and there are no others."""
    if not {*_FETCHES, "hit_ratio"} <= set(sweep):
        return False
    misses = (1 - sweep["hit_ratio"]) * sweep["throughput_rps"]
    apart = (sweep["fetch_rps"] - misses).abs() > _NOTED * sweep["fetch_rps"]
    return bool((apart | (sweep["fetches_per_expiry"] > 1 + _NOTED)).any())


def short_names(keys: list[str]) -> list[str]:
    """The last parts of dotted keys: as few parts as make the names different.

    Examples
    --------
    >>> short_names(["workload.users", "backend.web.replicas", "backend.api.replicas"])
    ['users', 'web.replicas', 'api.replicas']
    """
    parts = [key.split(".") for key in keys]

    def ending(part: list[str], length: int) -> str:
        return ".".join(part[-length:])

    return [
        next(
            (
                ending(part, length)
                for length in range(1, len(part))
                if sum(ending(other, length) == ending(part, length) for other in parts) == 1
            ),
            ".".join(part),
        )
        for part in parts
    ]


def curve_table(curves: pd.DataFrame, title: str) -> Sheet:
    """Hit ratio and byte hit ratio by capacity and policy, with their errors if the trace was sampled."""
    capacities = sorted(curves["capacity_bytes"].unique())
    sheet = Sheet(title, ["policy"], [format_size(size) for size in capacities], "byte hit ratio below")
    found = curves.set_index(["policy", "capacity_bytes"])
    for policy in curves["policy"].drop_duplicates():
        rows = [found.loc[(policy, capacity)] for capacity in capacities]
        sheet.add([policy], [_ratio(row, "hit_ratio") for row in rows])
        sheet.add([""], [_ratio(row, "byte_hit_ratio") for row in rows], continues=True)
    return sheet


def _ratio(row: pd.Series[float], name: str) -> str:
    error = row[f"{name}_error"]
    band = " ±?" if np.isnan(error) else f" ±{error:.4f}" if error else ""
    return f"{row[name]:.4f}{band}"


def curve_conditions(curves: pd.DataFrame) -> str:
    """What the ratios of a curve assume, and a simulation need not: one line."""
    overhead = format_size(curves["overhead_bytes"].iloc[0])
    return f"overhead {overhead} an object; all requests count, fetches take no time, and nothing expires"


def _shown(value: float, form: str) -> str:
    return "-" if np.isnan(value) else f"{value:{form}}"
