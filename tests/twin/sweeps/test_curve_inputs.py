"""``proxytwin curve`` on trace files as people have them: reported cases and their neighbours."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from scenarios.traces import FORMATS
from twin.cli.commands.tables import FORMAT_NAMES
from twin.sweeps.curve import curves_of

Run = Callable[..., tuple[int, str, str]]
HEAD = "time_s,object,size_bytes\n"
TEXT = HEAD + "0,a,10\n1,b,10\n2,a,10\n"
VHOST = (
    '{}.test:443 192.0.2.1 - - [07/Sep/2023:15:58:{:02} +0200] "GET / HTTP/2.0" 200 360 "-" "curl/7.74.0"\n'
)


@pytest.fixture
def run(run: Run) -> Run:
    """`run(…)` of this command is (exit status, standard output, standard error)."""
    return partial(run, "curve")


def hit_ratio(path: Path | list[Path], capacity: str = "100%", **options: object) -> float:
    return float(curves_of(path, ["lru"], [capacity], **options).table["hit_ratio"][0])  # type: ignore[arg-type]


def test_two_sites_of_one_log_are_two_objects(tmp_path: Path) -> None:
    """Case 05."""
    path = tmp_path / "vhost.log"
    path.write_text(VHOST.format("shop", 36) + VHOST.format("blog", 37))
    assert hit_ratio(path) == 0
    path.write_text(VHOST.format("shop", 36) + VHOST.format("blog", 37) + VHOST.format("shop", 38))
    assert hit_ratio(path) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "content", [TEXT.replace("\n", "\r").encode(), gzip.compress(TEXT.encode())], ids=["Mac", "gzip"]
)
def test_a_csv_file_may_have_mac_line_ends_or_be_packed(tmp_path: Path, content: bytes) -> None:
    """Case 08."""
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert hit_ratio(path) == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["/dev/stdin", "-"])
@pytest.mark.parametrize("options", [[], ["--format", "combined"]])
def test_a_trace_may_come_from_a_pipe(tmp_path: Path, name: str, options: list[str]) -> None:
    """Case 09: through a pipe of the shell, by both names of standard input."""
    log = "".join(VHOST.format(site, second) for second, site in enumerate(["shop", "blog", "shop"]))
    command = [sys.executable, "-m", "twin", "curve", name, "--policy", "lru", "--capacity", "100%", *options]
    done = subprocess.run(
        command,
        input=log,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "COLUMNS": "200"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.3333" in done.stdout


@pytest.mark.parametrize(
    "head", ["time_s, object, size_bytes", "Time_s,Object,Size_Bytes", "time_s\tobject\tsize_bytes"]
)
def test_a_head_line_may_be_written_as_people_do(tmp_path: Path, head: str) -> None:
    """Case 10."""
    path = tmp_path / "t.csv"
    separator = "\t" if "\t" in head else ", " if ", " in head else ","
    path.write_text(
        TEXT.replace("time_s,object,size_bytes", head).replace(",", separator)
        if separator == "\t"
        else head + "\n" + TEXT.partition("\n")[2].replace(",", separator)
    )
    assert hit_ratio(path) == pytest.approx(1 / 3)


def test_a_public_trace_is_recognised_and_its_writes_are_told(run: Run, tmp_path: Path) -> None:
    """Case 10: Twitter's cache trace, without a head line."""
    path = tmp_path / "twitter.csv"
    path.write_text(
        "0,q:q:1:8W,17,213,4,get,0\n0,y,27,27,5,get,0\n0,q:q:1:8W,17,213,6,get,0\n1,z,17,0,4,set,3600\n"
    )
    status, shown, said = run(path, "--policy=lru", "--capacity=100%")
    assert status == 0 and "0.3333" in shown
    assert said == f"proxytwin: {path}: left out 1 lines that are no read of an object with a body: set 1\n"


def test_an_object_that_outgrew_the_cache_is_a_miss(run: Run, tmp_path: Path) -> None:
    """Case 15: what the note says is what the curve does."""
    path = tmp_path / "resize.csv"
    path.write_text(HEAD + "1,a,10\n2,a,20\n3,a,5\n4,b,7\n5,a,100\n6,b,7\n")
    status, _, said = run(path, "--policy=lru,sieve,fifo,s3_fifo", "--capacity=17B")
    assert status == 0
    assert said.splitlines() == [
        "proxytwin: 50.00% of the objects come back with another size: a request counts with its own size, "
        "and a stored "
        "object keeps the size that it was stored with (a scenario keeps each object's first size)",
        "proxytwin: capacity 17B: 33.33% of the requests are for larger objects, which are not stored",
    ]
    table = curves_of(path, ["lru", "sieve", "fifo", "s3_fifo"], ["17B"]).table
    assert table["hit_ratio"].tolist() == pytest.approx([1 / 6] * 4), "only the second request for b"
    assert table["byte_hit_ratio"].tolist() == pytest.approx([7 / 149] * 4)


def test_an_object_without_bytes_takes_one(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "0,a,0\n1,b,0\n2,c,0\n3,a,0\n4,d,1\n5,d,1\n")
    assert hit_ratio(path, "2B") == pytest.approx(1 / 6)
    assert hit_ratio(path, "9B") == pytest.approx(2 / 6)


def test_a_rotated_and_packed_log_is_recognised_by_its_content(tmp_path: Path) -> None:
    """Case 17, and all rotated files as one trace, named newest first as a shell lists them."""
    newest, older = tmp_path / "access.log", tmp_path / "access.log.2.gz"
    newest.write_text(VHOST.format("shop", 50) + VHOST.format("blog", 51))
    older.write_bytes(gzip.compress((VHOST.format("shop", 10) + VHOST.format("shop", 11)).encode()))
    assert hit_ratio(older) == pytest.approx(1 / 2)
    assert hit_ratio([newest, older]) == pytest.approx(2 / 4)


def test_columns_and_format_are_options(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("5,0,a,10\n5,1,b,10\n5,2,a,10\n")
    status, shown, said = run(path, "--columns=object=3,size=4,time=2", "--policy=lru", "--capacity=100%")
    assert (status, said) == (0, "") and "0.3333" in shown
    assert run(path, "--columns=objct=3")[2].startswith("proxytwin: columns: objct=3: unknown role 'objct'")
    assert run(path, "--format=cvs")[2].startswith(
        "proxytwin: format: cvs: unknown format of a trace (did you mean 'csv'?)"
    )
    status, _, said = run(path)
    assert status == 2 and said.count("\n") == 1 and "say --format NAME: csv, txt, oracleGeneral" in said


def test_times_that_fall_do_not_matter_to_a_curve(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(HEAD + "5,a,10\n1,b,10\n3,a,10\n")
    table = curves_of(path, ["all"], ["100%"]).table
    assert table["hit_ratio"].tolist() == pytest.approx([1 / 3] * len(table))


def test_the_help_names_all_formats(run: Run) -> None:
    assert sorted(FORMAT_NAMES.replace(";", ",").split(", ")) == sorted(FORMATS)
    shown = "".join(run("--help")[1].split())
    assert all(name in shown.replace("│", "") for name in ("oracleGeneral", "twitter", "--columns"))
