"""Hit ratio curves: a trace replayed through eviction policies at many capacities.

A trace that is too long to replay is sampled by object: every request for an object counts, or
none does, so that the objects of a sample are asked for as in the whole trace. A cache of C bytes
is then modelled by one of R * C bytes that sees the share R of the objects. C. Waldspurger et al.,
"Efficient MRC construction with SHARDS", FAST 2015, and for policies other than LRU "Cache
modeling and optimization using miniature simulations", USENIX ATC 2017.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from policies.bad_input import BadInput
from policies.contract import blaming
from policies.eviction import EvictionPolicy, eviction_policies, next_uses, offline_policies
from policies.registry import Registry
from policies.units import format_size
from scenarios.traces import Block
from simulator.spreading import spread
from simulator.statistics import student_t95

SALTS = 8
"""Samples that are taken of a trace, unless told otherwise: their spread is the error."""

_ROWS = 2**17
"""Requests that are turned into Python's own numbers at a time."""

_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
"""Shifts and factors of the finaliser of splitmix64 (G. Steele et al., OOPSLA 2014)."""


class Sample(NamedTuple):
    """The requests for some or all objects of a trace.

    Attributes
    ----------
    rate : float
        Expected share of the objects that are in it; 1 is the whole trace.
    times : ndarray of float64
        Seconds, never falling.
    objects : ndarray of int64
        Which object, numbered from 0 in the order of their first requests.
    sizes : ndarray of int64
        Bytes.
    trace_requests, trace_bytes : int
        Of the whole trace.
    """

    rate: float
    times: NDArray[np.float64]
    objects: NDArray[np.int64]
    sizes: NDArray[np.int64]
    trace_requests: int
    trace_bytes: int

    @property
    def footprint(self) -> float:
        """Bytes of all objects of the trace, each counted with its first size."""
        first = np.unique(self.objects, return_index=True)[1]
        return float(self.sizes[first].sum()) / self.rate


def spatial_hash(keys: NDArray[np.uint64], salt: int) -> NDArray[np.uint64]:
    """64 bits for each key that look like chance; another salt, other bits."""
    mixed = keys + np.uint64((salt + 1) * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in _MIX:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(31))


def take_samples(blocks: Iterable[Block], rate: float = 1.0, salts: int = SALTS) -> list[Sample]:
    """Sample a trace by object, several times; only what is in a sample is kept in memory.

    Parameters
    ----------
    blocks : iterable of Block
        The trace.
    rate : float
        Share of the objects in each sample, above 0. With 1 there is one sample: the whole trace.
    salts : int
        Samples to take, each with a hash of its own.
    """
    kept: list[list[Block]] = [[] for _ in range(salts if rate < 1 else 1)]
    requests = total = 0
    bound = np.uint64(min(int(rate * 2**64), 2**64 - 1))
    for block in blocks:
        requests += len(block.times)
        total += int(block.sizes.sum(dtype=np.float64))  # no integer overflows
        for salt, parts in enumerate(kept):
            if rate < 1:
                chosen = spatial_hash(block.keys, salt) < bound
                parts.append(Block(block.times[chosen], block.keys[chosen], block.sizes[chosen]))
            else:
                parts.append(block)
    return [_joined(parts, rate, requests, total) for parts in kept]


def _joined(parts: list[Block], rate: float, requests: int, total: int) -> Sample:
    times, keys, sizes = (
        np.concatenate([part[column] for part in parts]) if parts else np.array([]) for column in range(3)
    )
    objects = pd.factorize(keys)[0].astype(np.int64)
    times = np.maximum.accumulate(times)  # the order of the trace counts; a log is written when responses end
    return Sample(rate, times, objects, sizes, requests, total)


def curve(
    samples: Sequence[Sample],
    policies: Sequence[str],
    capacities: Sequence[int],
    *,
    overhead: int = 0,
    seed: int = 1,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Hit ratio and byte hit ratio of a trace, by policy and capacity.

    Parameters
    ----------
    samples : sequence of Sample
        From `take_samples`.
    policies : sequence of str
        Names of eviction policies, offline ones too.
    capacities : sequence of int
        Bytes. Every miss is stored at once, if it fits, and nothing expires; an object without bytes
        takes one. An object that comes back with another size is a hit if it is stored and is not
        larger than the cache; see `EvictionPolicy.request`.
    overhead : int
        Bytes that each object costs beyond its size, as the setting ``cache.overhead`` of a proxy.
    seed : int
        Where the chance of policies comes from: the same as that of a scenario with this seed.
    jobs : int
        Processes to spread the work over; -1 for one per core.
    progress : callable, optional
        Called with ``(replays done, replays in all)``; one replay is a sample under a policy.

    Returns
    -------
    pandas.DataFrame
        A row per policy and capacity: ``policy``, ``capacity_bytes``, ``overhead_bytes``, ``hit_ratio``,
        ``hit_ratio_error``, ``byte_hit_ratio``, ``byte_hit_ratio_error``, ``requests`` (of the
        trace), ``sample_rate`` and ``samples``. An error is half of a 95 % confidence interval
        over the samples; 0 if the whole trace was replayed, NaN if one sample cannot tell.
    """
    for name in policies:
        _registry_of(name).check(name)
    added = eviction_policies.added()
    calls = ((added, name, capacities, sample, overhead, seed) for name in policies for sample in samples)
    found: list[NDArray[np.float64]] = []
    for ratios in spread(_replay_with, calls, jobs):
        found.append(ratios)
        if progress is not None:
            progress(len(found), len(policies) * len(samples))
    rows = []
    for number, name in enumerate(policies):
        ratios = np.array(found[number * len(samples) :][: len(samples)])  # by sample, capacity, kind
        rows += [
            _row(name, capacity, overhead, ratios[:, i], samples) for i, capacity in enumerate(capacities)
        ]
    return pd.DataFrame(rows)


def _row(
    policy: str, capacity: int, overhead: int, ratios: NDArray[np.float64], samples: Sequence[Sample]
) -> dict[str, Any]:
    (hits, bytes_hit), (hits_error, bytes_error) = ratios.mean(axis=0), _errors(ratios, samples[0].rate)
    return {
        "policy": policy,
        "capacity_bytes": capacity,
        "overhead_bytes": overhead,
        "hit_ratio": float(hits),
        "hit_ratio_error": float(hits_error),
        "byte_hit_ratio": float(bytes_hit),
        "byte_hit_ratio_error": float(bytes_error),
        "requests": samples[0].trace_requests,
        "sample_rate": samples[0].rate,
        "samples": len(samples),
    }


def _errors(ratios: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    if rate >= 1:
        return np.zeros(ratios.shape[1])
    if len(ratios) < 2:
        return np.full(ratios.shape[1], np.nan)
    return np.asarray(student_t95(len(ratios) - 1) * ratios.std(axis=0, ddof=1) / np.sqrt(len(ratios)))


def _replay_with(
    added: dict[str, type], name: str, capacities: Sequence[int], sample: Sample, overhead: int, seed: int
) -> NDArray[np.float64]:
    """`replay` in a process that may not know a notebook's own policies yet."""
    for other, policy in added.items():
        eviction_policies.register(other)(policy)
    with blaming():
        return replay(name, capacities, sample, overhead, seed)


def replay(
    name: str, capacities: Sequence[int], sample: Sample, overhead: int = 0, seed: int = 1
) -> NDArray[np.float64]:
    """Hit ratio and byte hit ratio of the trace that a sample stands for: a row per capacity."""
    caches = _caches(name, capacities, sample, seed)
    hits, hit_bytes = np.zeros(len(caches)), np.zeros(len(caches))
    numbers = np.arange(sample.objects.max(initial=-1) + 1).astype(object)
    for start in range(0, len(sample.times), _ROWS):
        rows = slice(start, start + _ROWS)
        sizes = sample.sizes[rows]
        # Python's own numbers are made once for each object and size, not for each request: a
        # dictionary finds a key faster by its identity, and there is less to keep in the CPU's cache.
        codes, different = pd.factorize(np.maximum(sizes, 1) + overhead)
        requests = (
            numbers[sample.objects[rows]].tolist(),
            different.astype(object)[codes].tolist(),
            sample.times[rows].tolist(),
        )
        for number, cache in enumerate(caches):
            hit = np.frombuffer(bytes(cache.replay(*requests)), dtype=np.bool_)
            hits[number] += np.count_nonzero(hit)
            hit_bytes[number] += sizes[hit].sum()
    requests_of_all = sample.trace_requests * sample.rate
    bytes_of_all = sample.trace_bytes * sample.rate
    return np.stack(
        [
            _corrected(hits, len(sample.times), requests_of_all),
            _corrected(hit_bytes, float(sample.sizes.sum()), bytes_of_all),
        ],
        axis=1,
    )


def _corrected(hits: NDArray[np.float64], sampled: float, expected: float) -> NDArray[np.float64]:
    """Hits as a share of what a sample of this rate holds on average (SHARDS-adj).

    A sample has too many or too few requests mostly because of some very popular objects that
    are in it or not; these are nearly always hits.
    """
    return np.clip((hits + expected - sampled) / expected, 0.0, 1.0) if expected else np.zeros_like(hits)


def _registry_of(name: str) -> Registry[EvictionPolicy]:
    return offline_policies if name in offline_policies.names() else eviction_policies


def _caches(name: str, capacities: Sequence[int], sample: Sample, seed: int) -> list[EvictionPolicy]:
    future = {}
    if name in offline_policies.names():
        future = {"next_use": next_uses(sample.objects.tolist())}
    registry = _registry_of(name)
    return [
        registry.build(name, round(capacity * sample.rate), rng=random.Random(f"{seed}/cache"), **future)
        for capacity in capacities
    ]


def changed_sizes(samples: Sequence[Sample]) -> float:
    """Share of the objects that come back with another size than at first."""
    changed = count = 0
    for sample in samples:
        first = np.zeros(sample.objects.max(initial=-1) + 1, dtype=np.int64)
        first[sample.objects[::-1]] = sample.sizes[::-1]  # reversed, because the last of equal indices counts
        changed += len(np.unique(sample.objects[sample.sizes != first[sample.objects]]))
        count += len(first)
    return changed / count if count else 0.0


_FEW = 100
"""Objects that a scaled-down cache should hold for a sample to be trusted."""


def check_capacities(samples: Sequence[Sample], capacities: Sequence[int], overhead: int = 0) -> list[str]:
    """What to know about capacities before they are believed, a line each.

    Raises
    ------
    BadInput
        If a sample is empty, or no object fits into a capacity.
    """
    sizes = np.concatenate([sample.sizes for sample in samples]) + overhead
    rate = samples[0].rate
    if not all(len(sample.sizes) for sample in samples):
        raise BadInput("--sample", f"{rate:g}", "a sample holds no object; expected a larger share")
    notes = []
    for capacity in sorted(capacities):
        shown, share = format_size(capacity), float(np.mean(sizes > capacity))
        if share == 1:
            smallest = f"the smallest requested object has {sizes.min():,} bytes"
            smallest += f", {overhead:,} of them overhead" if overhead else ""
            raise BadInput("--capacity", shown, f"no object fits; {smallest}")
        if share:
            notes.append(
                f"capacity {shown}: {share:.2%} of the requests are for larger objects, which are not stored"
            )
        if rate < 1 and (scaled := capacity * rate) < max(_FEW * sizes.mean(), np.quantile(sizes, 0.999)):
            notes.append(
                f"capacity {shown}: in a sample it is {format_size(scaled)}, which holds too few objects; "
                f"the error may be larger than shown"
            )
    return notes
