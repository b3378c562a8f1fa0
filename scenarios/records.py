"""The results of a run, simulated or real: one row per request, and a summary."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scenarios.call_records import CallRecords
from scenarios.fetches import Fetches
from scenarios.recovery import recovery_time
from scenarios.rollback import rollback_time
from scenarios.shares import figures_by_service
from scenarios.summary import Summary

if TYPE_CHECKING:
    import pandas as pd

NO_UPSTREAM = -1
"""`upstream` of a request without a backend's response: a hit, or an error of the proxy."""

_DTYPES: dict[str, type[np.generic]] = {
    "user": np.int32, "seq": np.int32, "object": np.int64, "due": np.float64, "sent": np.float64,
    "done": np.float64, "status": np.int16, "cache": np.int8, "upstream": np.int16, "size": np.int64,
}  # fmt: skip

_Columns = dict[str, Any]
"""Arrays by their names in `_DTYPES`."""
_Row = tuple[object, ...]

_ROW = struct.Struct("=iiqdddhbhq")
"""One row as bytes, in the types of `_DTYPES`."""


@dataclass(frozen=True)
class Records:
    """One row per request, in columns of equal length.

    Attributes
    ----------
    user, seq : ndarray of int
        Number of the user, and of the request in the user's stream.
    object, size : ndarray of int
        Number of the object, and bytes of the body received.
    due, sent, done : ndarray of float
        Seconds since the start of the run: when the request should have been sent, when it was sent,
        and when the last byte of the response arrived.
    status : ndarray of int
        HTTP status; 0 without a response.
    cache : ndarray of int
        Which cache answered: 1 for that of the first proxy in the file, 2 for that of the second, and so
        on; 0 for none.
    upstream : ndarray of int
        Which of `upstreams` answered, or `NO_UPSTREAM`.
    upstreams : list of str
        Names of the replicas.
    closed : bool
        Whether response time counts from `sent` (closed load) or from `due` (open load: a late load
        generator hides nothing, so there is no coordinated omission).
    caching : bool
        Whether there was a cache.
    fetches : Fetches or None
        What reached the backends, if there was a cache; including background fetches.
    proxies : int
        Number of proxies.
    fanout : int
        Number of consecutive rows of one user that form one request of a client; see `whole`.
    canary : tuple of int
        Which of `upstreams` are those of a watched canary; empty without one.
    services : mapping of str to tuple of int
        Which of `upstreams` are those of each service; empty for a single service.
    calls : CallRecords or None
        The calls between backends, if there are any.
    outage_end : float or None
        When the last outage of a server ended, in seconds.
    """

    user: NDArray[np.int32]
    seq: NDArray[np.int32]
    object: NDArray[np.int64]
    due: NDArray[np.float64]
    sent: NDArray[np.float64]
    done: NDArray[np.float64]
    status: NDArray[np.int16]
    cache: NDArray[np.int8]
    upstream: NDArray[np.int16]
    size: NDArray[np.int64]
    upstreams: list[str] = field(default_factory=list)
    closed: bool = True
    caching: bool = False
    fetches: Fetches | None = None
    proxies: int = 1
    fanout: int = 1
    canary: tuple[int, ...] = ()
    services: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    calls: CallRecords | None = None
    outage_end: float | None = None

    @classmethod
    def from_rows(
        cls,
        rows: Sequence[_Row],
        upstreams: list[str],
        *,
        closed: bool,
        caching: bool,
        proxies: int = 1,
        fanout: int = 1,
    ) -> Records:
        """Records from rows: ``user, seq, object, due, sent, done, status, cache, upstream, size``."""
        columns = zip(*rows, strict=True) if rows else [()] * len(_DTYPES)
        arrays: _Columns = {
            name: np.array(column, dtype=dtype)
            for (name, dtype), column in zip(_DTYPES.items(), columns, strict=True)
        }
        return cls(
            **arrays, upstreams=upstreams, closed=closed, caching=caching, proxies=proxies, fanout=fanout
        )

    def __len__(self) -> int:
        return len(self.sent)

    @property
    def hit(self) -> NDArray[np.bool_]:
        """Whether any cache answered."""
        return self.cache > 0

    @property
    def response(self) -> NDArray[np.float64]:
        """Response time of each request in seconds."""
        return self.done - (self.sent if self.closed else self.due)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Records:
        """The rows of a mask or index."""
        arrays = {name: getattr(self, name)[rows] for name in _DTYPES}
        return replace(self, **arrays)

    def whole(self) -> Records:
        """The clients' requests: one row for every `fanout` rows, which ends with the slowest of them.

        The columns are those of the slowest part, except for the sizes, which are added, and the status:
        the highest of all parts, or 0 if a part had no response.
        """
        if self.fanout == 1:
            return self
        order = np.lexsort((self.done, self.seq // self.fanout, self.user))
        client = self.select(order)
        number = client.seq // self.fanout
        first = np.flatnonzero(np.diff(client.user, prepend=-1) | np.diff(number, prepend=-1))
        if not len(first):
            return replace(client, fanout=1)
        last = np.append(first[1:], len(client)) - 1
        worst = np.maximum.reduceat(client.status, first)
        status = np.where(np.minimum.reduceat(client.status, first) == 0, 0, worst).astype(np.int16)
        size, sent = np.add.reduceat(client.size, first), np.minimum.reduceat(client.sent, first)
        answers = replace(
            client.select(last), seq=number[last], sent=sent, size=size, status=status, fanout=1
        )
        return answers.select(np.argsort(answers.done, kind="stable"))

    def within(self, window: tuple[float, float]) -> Records:
        """The requests that were due within `window` (seconds; the end is excluded)."""
        rows = self.select((self.due >= window[0]) & (self.due < window[1]))
        return rows if self.fetches is None else replace(rows, fetches=self.fetches.within(window))

    def summary(self, window: tuple[float, float]) -> Summary:
        """The figures of the requests that were due in `window`; NaN without requests.

        Throughput and response times are those of the clients' requests, see `whole`.
        """
        inside = (self.due >= window[0]) & (self.due < window[1])
        whole = self.whole()
        in_time = (whole.done >= window[0]) & (whole.done < window[1])
        answers = int(np.count_nonzero(in_time & (whole.status != 0)))
        ms = whole.response[(whole.due >= window[0]) & (whole.due < window[1])] * 1e3
        p50, p95, p99 = np.percentile(ms, [50, 95, 99]).tolist() if len(ms) else [float("nan")] * 3
        failed = (self.status >= 500) | (self.status == 0)
        fetches = self.fetches
        rollback = self._rollback() if self.canary else None
        recovery = self._recovery(whole)
        return Summary(
            throughput_rps=answers / (window[1] - window[0]),
            mean_ms=_mean(ms),
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            hit_ratio=_mean(self.hit[inside]) if self.caching else None,
            error_ratio=_mean(failed[inside]),
            upstream_share=_share(self.upstream[inside], self.upstreams),
            requests=int(np.count_nonzero(inside)),
            fetch_rps=None if fetches is None else len(fetches.within(window)) / (window[1] - window[0]),
            fetches_per_expiry=None if fetches is None else fetches.per_expiry(window),
            cache_share=self._cache_share(inside),
            rollback_s=rollback,
            rollback_ratio=float(rollback is not None) if self.canary else None,
            services=figures_by_service(self.upstream[inside], failed[inside], self.services),
            calls={} if self.calls is None else self.calls.figures(window),
            recovery_s=recovery,
            recovery_ratio=None if self.outage_end is None else float(recovery is not None),
        )

    def _recovery(self, whole: Records) -> float | None:
        if self.outage_end is None:
            return None
        good = (whole.status > 0) & (whole.status < 500) & (whole.status != 429)
        return recovery_time(whole.due, good, self.outage_end)

    def _rollback(self) -> float | None:
        is_canary = np.isin(self.upstream, self.canary)
        if not is_canary.any():  # it has never answered: the proxy's own errors stand for it
            is_canary = (self.upstream == NO_UPSTREAM) & (self.status >= 500)
        return rollback_time(self.sent, is_canary)

    def _cache_share(self, rows: NDArray[np.bool_]) -> dict[str, float]:
        if self.proxies == 1 or not self.caching:
            return {}
        return {f"proxy.{n}": _mean(self.cache[rows] == n + 1) for n in range(self.proxies)}

    def upstream_share(self) -> dict[str, float]:
        """Share of each replica in the requests that reached a replica."""
        return _share(self.upstream, self.upstreams)

    def to_frame(self) -> pd.DataFrame:
        """A table with one row per request and times in seconds, for pandas and plots."""
        import pandas as pd  # slow to import, and load generators do not need it

        frame = pd.DataFrame({name: getattr(self, name) for name in _DTYPES})
        frame["hit"] = self.hit
        frame["response"] = self.response
        return frame

    def save(self, path: Path) -> None:
        """Write all columns to an ``.npz`` file."""
        arrays = {name: getattr(self, name) for name in _DTYPES}
        if (kept := self.fetches) is not None:
            arrays["fetches"] = np.stack((kept.object, kept.begin, kept.end))
        if (made := self.calls) is not None:
            arrays["calls"] = np.stack((made.service, made.depth, made.begin, made.end, made.status))
        np.savez(
            path,
            **arrays,
            called=np.array(() if self.calls is None else self.calls.services, dtype=np.str_),
            upstreams=np.array(self.upstreams, dtype=np.str_),
            about=[self.closed, self.caching, self.proxies, self.fanout],
            canary=np.array(self.canary, dtype=np.int64),
            services=np.array(json.dumps(dict(self.services))),
            outage_end=np.array(math.nan if self.outage_end is None else self.outage_end),
        )

    @classmethod
    def load(cls, path: Path) -> Records:
        """Read a file of `save`."""
        with np.load(path) as file:
            closed, caching, proxies, fanout = file["about"].tolist()
            arrays = {name: file[name] for name in _DTYPES}
            fetches = Fetches.from_rows(file["fetches"].T) if "fetches" in file else None
            calls = None
            if "calls" in file:
                calls = CallRecords.from_columns(file["calls"].T, file["called"].tolist())
            upstreams, canary = file["upstreams"].tolist(), tuple(file["canary"].tolist())
            services = {name: tuple(those) for name, those in json.loads(file["services"].item()).items()}
            ended = float(file["outage_end"])
        return cls(
            **arrays,
            upstreams=upstreams,
            closed=bool(closed),
            caching=bool(caching),
            fetches=fetches,
            proxies=proxies,
            fanout=fanout,
            canary=canary,
            services=services,
            calls=calls,
            outage_end=None if math.isnan(ended) else ended,
        )


class Ledger:
    """Collects rows one by one and keeps them in columns, in 53 bytes each.

    Rows are tuples in the order of `Records.from_rows`.
    """

    _BLOCK = 4096 * _ROW.size

    def __init__(self) -> None:
        self._packed = bytearray()
        self._blocks: dict[str, list[NDArray[np.generic]]] = {name: [] for name in _DTYPES}

    def append(self, row: _Row) -> None:
        """Add a row."""
        self._packed += _ROW.pack(*row)
        if len(self._packed) == self._BLOCK:
            self._split()

    def _split(self) -> None:
        rows = np.frombuffer(self._packed, dtype=list(_DTYPES.items()))
        for name, blocks in self._blocks.items():
            blocks.append(rows[name].copy())
        self._packed = bytearray()

    def records(
        self, upstreams: list[str], *, closed: bool, caching: bool, proxies: int = 1, fanout: int = 1
    ) -> Records:
        """All rows as records; the ledger is empty afterwards."""
        self._split()
        arrays: _Columns = {name: np.concatenate(self._blocks.pop(name)) for name in _DTYPES}
        self._blocks = {name: [] for name in _DTYPES}
        return Records(
            **arrays, upstreams=upstreams, closed=closed, caching=caching, proxies=proxies, fanout=fanout
        )


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _share(upstream: NDArray[np.int16], upstreams: list[str]) -> dict[str, float]:
    reached = upstream[upstream != NO_UPSTREAM]
    counts = np.bincount(reached, minlength=len(upstreams)) / max(len(reached), 1)
    return dict(zip(upstreams, counts.tolist(), strict=True))


def pool(runs: Sequence[Records]) -> Records:
    """The rows of several runs as one `Records`; for distributions, not for throughput."""
    arrays: _Columns = {name: np.concatenate([getattr(run, name) for run in runs]) for name in _DTYPES}
    return replace(runs[0], **arrays)
