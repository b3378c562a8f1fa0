"""The simulation runs on every system; what needs the real twin says so in one line.

`without.py` hides from this project's modules what Windows or macOS do not have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MODELS = "11_proxy_or_vpn"
"""The lesson that shows its model where nothing can be measured."""
EVERYWHERE = ("policies", "scenarios", "simulator", "realproxy", "twin", "lessons", "loadtests/run")
PROGRAMS = {"realproxy.__main__", "twin.__main__"}

IMPORT_ALL = """
import importlib, json, sys, traceback
failed = {}
for module in json.loads(sys.argv[1]):
    try:
        importlib.import_module(module)
    except Exception:
        failed[module] = traceback.format_exc().splitlines()[-1]
print(json.dumps(failed))
"""
RUN_COMMANDS = """
import contextlib, io, json, sys
from twin.cli import main

found = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["proxytwin", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    found.append([code, out.getvalue(), err.getvalue()])
sys.__stdout__.write(json.dumps(found))
sys.__stdout__.flush()
"""
RUN_CELLS = """
import contextlib, io, json, sys
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell

shell, found = InteractiveShell.instance(), {}
for path in json.loads(sys.argv[1]):
    shell.reset(new_session=False)
    found[Path(path).stem] = cells = []
    for cell in json.loads(Path(path).read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            result = shell.run_cell("".join(cell["source"]))
        error = result.error_before_exec or result.error_in_exec
        shown = shown.getvalue().splitlines()[-1:] if type(error).__name__ == "NeedsLinux" else []
        cells.append([cell["metadata"].get("tags", []), type(error).__name__, str(error), shown])
print(json.dumps(found))
"""
RUN_PROXY = """
import contextlib, io
from realproxy.__main__ import main

with contextlib.redirect_stderr(io.StringIO()) as messages:
    code = main(["proxy.toml"])
print(code, messages.getvalue(), end="")
"""
LOSE_AN_INTERRUPTION = """
import threading
from twin.cli.interruption import hear_at_end, hear_at_start, hear_in_command

class Interrupted:
    def __del__(self):
        raise KeyboardInterrupt

hear_at_start()
hear_in_command()
arrived = "no"
Interrupted()
try:
    for _ in range(400):
        threading.Event().wait(0.05)  # Python handles a signal without a system call at its next step
except KeyboardInterrupt:
    arrived = "yes"
hear_at_end()
print(arrived)
"""
"""Python reports an exception of a finalizer, and goes on; the command line raises the interruption again."""


def run_without(system: str, program: str, folder: Path, *arguments: str) -> str:
    """What a program prints on another system."""
    file = folder / "program.py"
    file.write_text(program, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(HERE / "without.py"), system, str(file), *arguments],
        capture_output=True, text=True, timeout=110, check=False, cwd=folder,
        env={**os.environ, "IPYTHONDIR": str(folder), "MPLCONFIGDIR": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def every_module() -> list[str]:
    files = [path.relative_to(ROOT) for folder in EVERYWHERE for path in (ROOT / folder).rglob("*.py")]
    names = {".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in files}
    return sorted(names - PROGRAMS)


@pytest.mark.parametrize("system", ["windows", "macos", "crude"])
def test_every_module_can_be_imported(system: str, tmp_path: Path) -> None:
    modules = every_module()
    assert len(modules) > 200
    assert json.loads(run_without(system, IMPORT_ALL, tmp_path, json.dumps(modules))) == {}


@pytest.fixture(scope="module", params=["windows", "macos"])
def commands(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What each command does on a system: its exit status, its output, its messages."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "trace.csv").write_text("time_s,object,size_bytes\n0,a,10\n1,b,10\n2,a,10\n", encoding="utf-8")
    (folder / "proxy.toml").write_text(
        f"""
        listen = "127.0.0.1:0"
        route = [{{ to = "web", cache = true }}]
        service = {{ web = {{ upstreams = ["127.0.0.1:9001"] }} }}
        cache = {{ disk = {{ folder = "{folder.as_posix()}/disk", capacity = "1MiB" }} }}
        log = {{ file = "{folder.as_posix()}/access.log" }}
        """,
        encoding="utf-8",
    )
    short = ["--set", "duration=2s", "--set", "warmup=0s"]
    grid = ["--vary", "proxy.cache.capacity=64KiB,256KiB", "--set", "compare={}"]
    asked = {
        "simulate": ["slow-server", *short, "--replications", "2", "--jobs", "2", "--json", "found.json"],
        "sweep": ["small-cache", *short, *grid, "--jobs", "2", "--out", "sweep.csv", "--plot", "sweep.png"],
        "curve": ["trace.csv", "--policy", "lru,sieve", "--capacity", "20,50%", "--plot", "curve.png"],
        "check": ["proxy.toml"],
        "explain": ["proxy.toml", "GET", "http://shop.test/api"],
        "confirm": ["slow-server"],
        "loadtest": ["slow-server"],
        "serve": ["proxy.toml"],
    }
    listed = json.dumps([[name, *arguments] for name, arguments in asked.items()])
    found = json.loads(run_without(request.param, RUN_COMMANDS, folder, listed))
    return folder, dict(zip(asked, found, strict=True))


@pytest.mark.parametrize("command", ["simulate", "sweep", "curve", "check", "explain"])
def test_a_command_without_the_real_twin_works(commands: Any, command: str) -> None:
    code, output, messages = commands[1][command]
    assert code == 0 and output and not messages, messages


def test_such_commands_write_whole_files_and_leave_nothing_else(commands: Any) -> None:
    folder, _ = commands
    written = {path.name for path in folder.iterdir()}
    assert {"found.json", "sweep.csv", "sweep.png", "curve.png"} <= written
    assert not [name for name in written if "journal" in name or name.startswith(".proxytwin")]
    assert len((folder / "sweep.csv").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("command", ["confirm", "loadtest", "serve"])
def test_a_command_with_the_real_twin_says_in_one_line_what_it_needs(commands: Any, command: str) -> None:
    code, output, messages = commands[1][command]
    assert (code, output) == (2, "")
    assert messages.count("\n") == 1
    for word in ("proxytwin: the real proxy needs Linux", "WSL 2", "container", "no epoll"):
        assert word in messages


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252"])
def test_what_the_encoding_of_a_pipe_lacks_is_replaced(encoding: str, tmp_path: Path) -> None:
    short = ["slow-server", "--set", "duration=1s", "--set", "warmup=0s", "--replications", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "twin", "simulate", *short],
        capture_output=True, timeout=110, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert ("±" in done.stdout.decode(encoding)) == (encoding != "ascii")


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_the_program_of_the_proxy_says_it_too(system: str, tmp_path: Path) -> None:
    (tmp_path / "proxy.toml").write_text("route = [{ respond = 204 }]", encoding="utf-8")
    assert run_without(system, RUN_PROXY, tmp_path).startswith("2 the real proxy needs Linux: run this on")


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_an_interruption_that_python_has_lost_comes_again(system: str, tmp_path: Path) -> None:
    assert run_without(system, LOSE_AN_INTERRUPTION, tmp_path) == "yes\n"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[list[str], str, str, list[str]]]]:
    """Of every code cell of every lesson on Windows: its tags, its error, and the last line that it shows."""
    folder = tmp_path_factory.mktemp("lessons")
    return json.loads(run_without("windows", RUN_CELLS, folder, json.dumps([*map(str, LESSONS)])))


def test_the_lesson_that_models_what_it_cannot_measure_runs_to_its_end(cells: Any) -> None:
    assert {error for _, error, _, _ in cells[MODELS]} == {"NoneType"}


@pytest.mark.parametrize("lesson", [path.stem for path in LESSONS if path.stem != MODELS])
def test_a_lesson_simulates_and_stops_at_the_real_twin_with_one_line(cells: Any, lesson: str) -> None:
    errors = [error for _, error, _, _ in cells[lesson]]
    first = errors.index("NeedsLinux")
    assert errors[:first] == ["NoneType"] * first and first >= 5
    assert "confirm" in cells[lesson][first][0]
    for _, error, said, shown in cells[lesson]:
        if error == "NeedsLinux":
            assert shown == [f"{said}. Leave out the cells that use this result."]
    assert [error for tags, error, _, _ in cells[lesson] if "exercise" in tags] == ["NoneType"]
