"""Tables lose no column and cut no value, however narrow the terminal is; a pipe has no width."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from twin.output.sheet import Sheet

WIDTHS = (20, 40, 60, 80, 100, 200)
WORD = st.text("abcxyz_", min_size=1, max_size=12)
NAME = st.lists(WORD, min_size=1, max_size=6).map(" ".join)
FIGURE = st.one_of(
    st.floats(0, 1e6).map("{:.1f}".format),
    st.floats(-1, 1).map("{:+.1%}".format),
    st.sampled_from(["–", "±0.1"]),
)


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """A table of any size; with `sides`, rows come in pairs."""
    sides = draw(st.booleans())
    names = [f"n{number}" for number in range(draw(st.integers(1, 3)) + sides)]
    figures = [f"f{number}\n{draw(WORD)}" for number in range(draw(st.integers(1, 9)))]
    sheet = Sheet(draw(NAME), names, figures, draw(NAME), sides)
    for number in range(draw(st.integers(1, 5)) * (1 + sides)):
        cells = [draw(NAME) for _ in names[: len(names) - sides]] + [draw(WORD)] * sides
        sheet.add(cells, [draw(FIGURE) for _ in figures], continues=sides and number % 2 == 1)
    return sheet


def shown(sheet: Sheet, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(sheet)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def words(text: str) -> Counter[str]:
    return Counter(re.split(r"[\s│┃:]+", text))


@given(sheets(), st.sampled_from(WIDTHS))
def test_every_value_is_shown_whole_at_every_width(sheet: Sheet, width: int) -> None:
    text = shown(sheet, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    found = words(text)
    figures = Counter(cell.plain for row in sheet._rows for cell in row.figures)
    assert all(found[figure] >= count for figure, count in figures.items())
    texts = [sheet.title, sheet.caption, *(name.plain for row in sheet._rows for name in row.names)]
    assert set(" ".join([*texts, *sheet.figures]).split()) <= set(found)


@given(sheets())
def test_without_a_width_there_are_columns_with_one_line_for_each_row(sheet: Sheet) -> None:
    text = shown(sheet, 100_000)
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert len(lines) == len(sheet._rows)
    for line, row in zip(lines, sheet._rows, strict=True):
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        assert cells == [cell.plain for cell in (*row.names, *row.figures)]


def test_a_word_that_is_longer_than_the_line_is_broken_and_not_cut() -> None:
    sheet = Sheet("t", ["variant"], ["req/s"])
    sheet.add(["x" * 90], ["1" * 50])
    text = shown(sheet, 20)
    assert max(map(len, text.splitlines())) <= 20
    assert (text.count("x"), text.count("1")) == (90, 50)


def test_a_block_has_the_sides_as_headings() -> None:
    sheet = Sheet("t", ["variant", ""], ["req/s", "mean", "p99"], sides=True)
    sheet.add(["p2c", "predicted"], ["304.8", "34.8", "158.5"])
    sheet.add(["confirmed", "measured"], ["305.1", "34.9", "160.5"], continues=True)
    assert shown(sheet, 28).splitlines() == [
        "t", "", "p2c confirmed", "      predicted measured", "req/s     304.8    305.1",
        "mean       34.8     34.9", "p99       158.5    160.5",
    ]  # fmt: skip
    assert "req/s predicted: 304.8" in shown(sheet, 23)


COMMANDS = {
    "simulate": ("simulate", "small-cache", "--replications", "2"),
    "sweep": ("sweep", "small-cache", "--jobs", "1", "--vary", "proxy.cache.policy=lru,sieve",
              "--vary", "proxy.cache.capacity=64KiB,1MiB"),
    "curve": ("curve", "trace.csv", "--capacity", "1KiB,2KiB,4KiB,8KiB,16KiB,32KiB", "--policy", "lru,sieve"),
}  # fmt: skip


def output_of(command: str, folder: Path, columns: int | None) -> str:
    """What a command writes into a pipe, or into a terminal with so many columns."""
    rows = "".join(f"{n},o{n * n % 31},900\n" for n in range(99))
    (folder / "trace.csv").write_text("time_s,object,size_bytes\n" + rows)
    short = () if command == "curve" else ("--set", "duration=1s", "--set", "workload.users=5")
    arguments = [sys.executable, "-m", "twin", *COMMANDS[command], *short]
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"} | {"TERM": "dumb"}
    if columns is None:
        done = subprocess.run(
            arguments, cwd=folder, env=environment, capture_output=True, timeout=60, check=True
        )
        return done.stdout.decode()
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as reader:
        with open(theirs, "wb", buffering=0) as writer:
            size = ["stty", "cols", str(columns), "rows", "50"]
            subprocess.run(size, stdin=writer, check=True, timeout=60)
            process = subprocess.Popen(
                arguments, cwd=folder, env=environment, stdout=writer, stderr=subprocess.DEVNULL
            )
        read = b""
        try:
            while block := reader.read(65536):
                read += block
        except OSError:  # the last writer of a terminal has closed it
            pass
        assert process.wait(60) == 0
    return read.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_show_the_same_figures_in_a_pipe_and_in_a_narrow_terminal(
    command: str, tmp_path: Path
) -> None:
    whole = output_of(command, tmp_path, None)
    rows = [line for line in whole.splitlines() if line.startswith("│")]
    figures = Counter(re.findall(r"[±\d.]+%?", "\n".join(rows)))
    assert len(figures) > 4
    for columns in (24, 60):
        text = output_of(command, tmp_path, columns)
        assert max(map(len, text.splitlines())) <= columns
        found = Counter(re.findall(r"[±\d.]+%?", text))
        missing = {one for one in figures if found[one] < 1}
        assert not missing, (columns, text)
