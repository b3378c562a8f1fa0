"""A sweep on a Dask cluster: a real scheduler and two worker processes on this machine."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from policies.bad_input import BadInput
from policies.eviction import eviction_policies
from policies.eviction.lru import Lru
from twin.sweeps import runners
from twin.sweeps.runners import Cluster, SweepStopped
from twin.sweeps.sweeping import journal_of, sweep

if TYPE_CHECKING:
    from distributed import LocalCluster

VARY = {"proxy.cache.policy": ["fifo", "lru", "sieve"], "workload.users": [4, 8]}


def started(workers: int) -> LocalCluster:
    from distributed import LocalCluster  # slow to import, so not at collection

    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=True, silence_logs=50,
        host="127.0.0.1", dashboard_address="127.0.0.1:0",
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with started(2) as cluster:
        yield cluster


@pytest.fixture
def tables(caching: dict[str, Any]) -> dict[str, Any]:
    return {**caching, "compare": {}, "duration": "1s", "warmup": "0s"}


def test_a_cluster_finds_what_this_machine_finds(
    cluster: LocalCluster, tables: dict[str, Any], tmp_path: Path
) -> None:
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    alone = sweep(tables, VARY, replications=2, jobs=1, out=here)
    found = sweep(tables, VARY, replications=2, scheduler=cluster.scheduler_address, out=there)
    pd.testing.assert_frame_equal(found, alone, check_exact=True)
    assert here.read_bytes() == there.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here.csv", "there.csv"]


class SaysWhere(Lru):
    """A policy as one from a notebook, whose error says which process it ran in."""

    def _evict(self, now: float) -> object:
        raise RuntimeError(str(os.getpid()))


def test_a_cells_error_is_recorded_and_both_workers_work(
    cluster: LocalCluster, tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(eviction_policies._classes, "says_where", SaysWhere)
    monkeypatch.setattr(SaysWhere, "__module__", "__main__")  # sent by value
    vary = {"proxy.cache.policy": ["says_where", "lru"]}
    table = sweep(tables, vary, replications=6, scheduler=cluster.scheduler_address)
    failed = table[table["proxy.cache.policy"] == "says_where"]["error"]
    workers = {f"SaysWhere._evict: raised RuntimeError: {worker.pid}" for worker in cluster.workers.values()}
    assert set(failed.str.replace(r"^.*py:\d+: ", "", regex=True)) == workers and len(workers) == 2
    assert (table[table["proxy.cache.policy"] == "lru"]["error"] == "").all()


def test_a_scheduler_that_dies_stops_the_sweep_which_goes_on_later(
    cluster: LocalCluster, tables: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "t.csv"
    with started(1) as mortal:

        class EndsTheCluster:
            """A reporter that closes the cluster after the third cell."""

            def step(self, name: str, total: float, unit: str = "") -> EndsTheCluster:
                self.count = 0
                return self

            def __enter__(self) -> Any:
                return self.advance

            def __exit__(self, *_: object) -> None:
                return

            def note(self, text: str) -> None:
                return

            def advance(self, amount: float) -> None:
                self.count += amount
                if self.count == 3:
                    mortal.close()

        with pytest.raises(SweepStopped, match=r"the scheduler at tcp://\S+ is gone"):
            sweep(
                {**tables, "duration": "4s"}, VARY, replications=4, scheduler=mortal.scheduler_address,
                out=out, reporter=EndsTheCluster(),
            )  # fmt: skip
    finished = journal_of(out).read_bytes().count(b"\n") - 1
    assert 3 <= finished < 24 and not out.exists()
    table = sweep(
        {**tables, "duration": "4s"}, VARY, replications=4, scheduler=cluster.scheduler_address, out=out
    )
    assert len(table) == 24 and (table["error"] == "").all()


# -- schedulers that are none --------------------------------------------------------------------


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def complaint(address: str, tables: dict[str, Any], out: Path) -> str:
    with pytest.raises(BadInput) as caught:
        sweep(tables, VARY, scheduler=address, out=out)
    assert not out.exists() and not journal_of(out).exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nonsense", "--scheduler: nonsense: cannot be reached: missing port number in address 'nonsense'"),
        ("http://127.0.0.1:{port}", "--scheduler: http://127.0.0.1:{port}: cannot be reached: unknown"),
        ("127.0.0.1:{closed}", "--scheduler: 127.0.0.1:{closed}: cannot be reached: [Errno 111] Conn"),
    ],
)  # fmt: skip
def test_a_scheduler_that_cannot_be_reached_is_one_line(
    address: str, said: str, tables: dict[str, Any], tmp_path: Path, listener: socket.socket
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        ports = {"port": listener.getsockname()[1], "closed": nobody.getsockname()[1]}
        found = complaint(address.format(**ports), tables, tmp_path / "t.csv")
    assert found.startswith(said.format(**ports)) and "\n" not in found


def test_a_server_that_says_nothing_is_not_waited_for(
    tables: dict[str, Any], tmp_path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "SECONDS_TO_CONNECT", 0.3)
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    assert complaint(address, tables, tmp_path / "t.csv") == (
        f"--scheduler: {address}: cannot be reached: no answer"
    )


def test_a_server_of_another_kind_is_told_apart(
    tables: dict[str, Any], tmp_path: Path, listener: socket.socket
) -> None:
    def greet() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    server = threading.Thread(target=greet)
    server.start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    try:
        said = complaint(address, tables, tmp_path / "t.csv")
    finally:
        server.join(10)
    assert said == f"--scheduler: {address}: is not a Dask scheduler"


def test_a_scheduler_without_workers_is_one_line(
    tables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runners, "SECONDS_TO_CONNECT", 5.0)
    with started(0) as empty:
        said = complaint(empty.scheduler_address, tables, tmp_path / "t.csv")
    assert said == f"--scheduler: {empty.scheduler_address}: has no workers"


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(
        BadInput, match="needs the package distributed; install proxytwin with its 'cluster' extra"
    ):
        Cluster("127.0.0.1:1").__enter__()
