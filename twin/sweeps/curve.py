"""Hit ratio curves from a trace file, for `proxytwin curve`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from policies.bad_input import BadInput
from policies.eviction import eviction_policies, offline_policies
from policies.registry import nearest
from policies.units import parse_size
from scenarios.mistaken_trace import check_trace
from scenarios.traces import TraceFile, notes_of
from simulator.curve import SALTS, Sample, changed_sizes, check_capacities, curve, take_samples
from twin.progress import Quiet, Reporter

DEFAULT_CAPACITIES = ("0.1%", "0.3%", "1%", "3%", "10%", "30%")
DEFAULT_POLICIES = ("fifo", "lru", "sieve", "s3_fifo")


@dataclass(frozen=True)
class Curves:
    """Hit ratio curves of a trace.

    Attributes
    ----------
    table : DataFrame
        From `simulator.curve.curve`.
    notes : list of str
        Warnings about the trace and the sample, one line each.
    """

    table: pd.DataFrame
    notes: list[str]


def curves_of(
    trace: str | Path | Sequence[str | Path],
    policies: Sequence[str] = DEFAULT_POLICIES,
    capacities: Sequence[str | int] | None = None,
    *,
    overhead: str | int = 0,
    sample: float = 1.0,
    salts: int = SALTS,
    skip_bad: bool = False,
    kind: str | None = None,
    columns: str | None = None,
    jobs: int = 1,
    reporter: Reporter | None = None,
) -> Curves:
    """Replay a trace file through eviction policies at many capacities.

    Parameters
    ----------
    trace : str or path, or a sequence of them
        A trace in one file or several; see `TraceFile`.
    policies : sequence of str
        Names of eviction policies; ``all`` means every policy that does not need to know the future.
    capacities : sequence of str or int, optional
        Sizes such as ``"64MiB"``, or shares such as ``"1%"`` of the bytes of all objects. By default those of
        `DEFAULT_CAPACITIES` that hold at least one object, or else one that holds all.
    overhead : str or int
        Bytes that each object costs beyond its size, such as ``"512B"``; as ``cache.overhead`` of a proxy.
    sample : float
        Share of the objects to replay; below 1 the table contains the resulting error.
    salts : int
        Number of samples.
    skip_bad : bool
        Skip broken lines and count them.
    kind : str, optional
        The format of the trace; by default, its content tells it.
    columns : str, optional
        Which columns of a CSV file hold what, such as ``"object=lbn,size=3,time=ts"``.
    jobs : int
        Processes; -1 for one per core.
    reporter : Reporter, optional
        Shows progress.

    Raises
    ------
    BadInput
        If the trace, a policy, a capacity or the share is wrong.
    """
    names = _policies(policies)
    _check_capacities(capacities or ())
    charged = _overhead(overhead)
    if not (math.isfinite(sample) and 0 < sample <= 1):
        raise BadInput("--sample", f"{sample:g}", "expected a share above 0 and up to 1, such as 0.01")
    if salts < 1:
        raise BadInput("--salts", str(salts), "expected at least 1")
    reporter = reporter or Quiet()
    for one in [trace] if isinstance(trace, (str, Path)) else trace:
        check_trace(one)
    file = TraceFile(trace, kind=kind, columns=columns, skip_bad=skip_bad)
    with reporter.step("read", file.stored_bytes) as advance:
        samples = take_samples(file.blocks(advance), sample, salts)
    notes = notes_of(file) + _about_sizes(samples)
    if capacities is None:
        sizes, left_out = _default_sizes(samples, charged)
        notes += left_out
    else:
        sizes = _bytes(capacities, samples)
    notes += check_capacities(samples, sizes, charged)
    with reporter.step("replay", len(names) * len(samples)) as advance:
        table = curve(
            samples, names, sizes, overhead=charged, jobs=jobs, progress=lambda *_: advance(1)
        )  # fmt: skip
    return Curves(table, notes)


def _default_sizes(samples: Sequence[Sample], overhead: int) -> tuple[list[int], list[str]]:
    """The default capacities that hold an object, and a line about those that hold none."""
    smallest = min((int(sample.sizes.min()) for sample in samples if len(sample.sizes)), default=0) + overhead
    fitting, small = [], []
    for share in DEFAULT_CAPACITIES:
        (size,) = _bytes([share], samples)
        (fitting if size >= smallest else small).append((share, size))
    if not fitting:
        fitting = [("100%", max(_bytes(["100%"], samples)[0], smallest))]
    said = [f"left out, because no object fits: {', '.join(share for share, _ in small)}"] if small else []
    return [size for _, size in fitting], said


def _policies(given: Sequence[str]) -> list[str]:
    names: list[str] = []
    for name in given:
        names += eviction_policies.names() if name == "all" else [name]
    known = [*eviction_policies.names(), *offline_policies.names()]
    for name in names:
        if name not in known:
            raise BadInput("--policy", name, f"unknown eviction policy{nearest(name, known)}")
    return list(dict.fromkeys(names))


def _overhead(text: str | int) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise BadInput("--overhead", str(text), str(error)) from None


def _share(text: str | int) -> float | None:
    """0.01 for ``"1%"``; ``None`` if the text is not a percentage."""
    if not isinstance(text, str) or not text.strip().endswith("%"):
        return None
    try:
        share = float(text.strip()[:-1]) / 100
    except ValueError:
        share = math.nan
    if not (math.isfinite(share) and share > 0):
        raise BadInput("--capacity", text, "expected a share above 0, such as 1%")
    return share


def _check_capacities(given: Sequence[str | int]) -> None:
    for text in given:
        try:
            if _share(text) is None and not parse_size(text):
                raise ValueError("expected a size above 0")
        except BadInput:
            raise
        except ValueError as error:
            raise BadInput("--capacity", str(text), str(error)) from None


def _bytes(given: Sequence[str | int], samples: Sequence[Sample]) -> list[int]:
    footprint = sum(sample.footprint for sample in samples) / len(samples)
    sizes = []
    for text in given:
        share = _share(text)
        sizes.append(parse_size(text) if share is None else max(1, round(share * footprint)))
    return sorted(set(sizes))


def _about_sizes(samples: Sequence[Sample]) -> list[str]:
    share = changed_sizes(samples)
    if not share:
        return []
    return [
        f"{share:.2%} of the objects come back with another size: a request counts with its own size, and "
        "a stored object keeps the size that it was stored with (a scenario keeps each object's first size)"
    ]
