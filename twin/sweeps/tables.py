"""Tables of sweeps and hit ratio curves in the terminal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.table import Table

from policies.bad_input import BadInput
from policies.registry import nearest
from policies.units import format_size
from twin.plots.style import TITLES

MOST_ROWS = 40
_LEFT_OUT = ("p50_ms", "fetch_rps", "fetches_per_expiry")
"""Metrics that are only in the file, so that the table fits into 80 columns."""
_FORMS = {"hit_ratio": ".4f", "error_ratio": ".4f"}
_HEADS = {name: title.replace(",", "").replace("throughput ", "") for name, title in TITLES.items()}


def check_metric(metric: str, option: str) -> None:
    """Raise `BadInput`, with the nearest known name, if a sweep has no such metric."""
    if metric not in TITLES:
        raise BadInput(option, metric, f"unknown figure{nearest(metric, list(TITLES))}")


def varied_keys(sweep: pd.DataFrame) -> list[str]:
    """The columns with the varied keys: those before ``replication``."""
    columns = list(sweep.columns)
    return columns[: columns.index("replication")]


def sweep_table(sweep: pd.DataFrame, title: str) -> Table:
    """The metrics of each setting, averaged over its replications; at most `MOST_ROWS` rows."""
    keys = varied_keys(sweep)
    shown = [name for name in TITLES if name in sweep and name not in _LEFT_OUT and sweep[name].notna().any()]
    shown = [name for name in shown if name != "error_ratio" or sweep[name].any()]
    table = Table(title=title, title_justify="left")
    for head in short_names(keys):
        table.add_column(head, overflow="fold")
    for name in shown:
        table.add_column(_HEADS[name], justify="right", no_wrap=True)
    groups = sweep.groupby(keys[0] if len(keys) == 1 else keys, sort=False)
    for number, (values, rows) in enumerate(groups):
        if number == MOST_ROWS:
            table.caption = f"and {groups.ngroups - MOST_ROWS} more"
            break
        setting = [str(value) for value in (values if isinstance(values, tuple) else (values,))]
        table.add_row(*setting, *(_shown(rows[name].mean(), _FORMS.get(name, ".1f")) for name in shown))
    return table


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


def curve_table(curves: pd.DataFrame, title: str) -> Table:
    """Hit ratio and byte hit ratio by capacity and policy, with their errors if the trace was sampled."""
    policies = list(curves["policy"].drop_duplicates())
    table = Table(title=title, title_justify="left", caption="byte hit ratio below", caption_justify="left")
    table.add_column("policy")
    capacities = sorted(curves["capacity_bytes"].unique())
    for capacity in capacities:
        table.add_column(format_size(capacity), justify="right")
    found = curves.set_index(["policy", "capacity_bytes"])
    for policy in policies:
        table.add_row(policy, *(_ratios(found.loc[(policy, capacity)]) for capacity in capacities))
    return table


def curve_conditions(curves: pd.DataFrame) -> str:
    """What the ratios of a curve assume, and a simulation need not: one line."""
    overhead = format_size(curves["overhead_bytes"].iloc[0])
    return f"overhead {overhead} an object; all requests count, fetches take no time, and nothing expires"


def _ratios(row: pd.Series[float]) -> str:
    lines = []
    for name in ("hit_ratio", "byte_hit_ratio"):
        error = row[f"{name}_error"]
        band = " ±?" if np.isnan(error) else f" ±{error:.4f}" if error else ""
        lines.append(f"{row[name]:.4f}{band}")
    return "\n".join(lines)


def _shown(value: float, form: str) -> str:
    return "-" if np.isnan(value) else f"{value:{form}}"
