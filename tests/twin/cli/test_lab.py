"""`proxytwin lab`: JupyterLab gets its options, and a student's copies are never overwritten."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.free_port import free_port
from policies.bad_input import BadInput
from twin.cli.commands import lab as module
from twin.cli.lesson_copies import update_copies

ROOT = Path(__file__).parents[3]
SHIPPED = {path.name: path for path in (ROOT / "notebooks").glob("*.ipynb")}
FAKE = "import json, sys; print(json.dumps(sys.argv[1:]))"
LIMIT_S = 60.0


def write(path: Path, text: str, output: str = "") -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    cell = {"cell_type": "code", "source": text, "outputs": outputs, "metadata": {}}
    path.write_text(json.dumps({"cells": [cell]}), encoding="utf-8")


def text_of(path: Path) -> str:
    return json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]


@pytest.fixture
def lesson(tmp_path: Path) -> Path:
    """A lesson of the repository; its copies are in the folder ``mine`` beside it."""
    path = tmp_path / "01_lesson.ipynb"
    write(path, "first edition")
    update_copies([path], tmp_path / "mine")
    return path


def copies(lesson: Path) -> dict[str, str]:
    return {path.name: text_of(path) for path in (lesson.parent / "mine").glob("*.ipynb")}


def update(lesson: Path, **options: Any) -> list[str]:
    return update_copies([lesson], lesson.parent / "mine", **options).lines()


def test_an_edited_copy_stays_and_nothing_is_said_until_there_is_a_new_edition(lesson: Path) -> None:
    write(lesson.parent / "mine" / lesson.name, "guess = 3")
    assert update(lesson) == []
    assert copies(lesson) == {"01_lesson.ipynb": "guess = 3"}

    write(lesson, "second edition")
    assert update(lesson) == ["new editions beside the lessons that you have edited: 01_lesson.new.ipynb"]
    assert copies(lesson) == {"01_lesson.ipynb": "guess = 3", "01_lesson.new.ipynb": "second edition"}
    assert update(lesson) == [], "it is told once"


def test_a_copy_that_was_only_run_becomes_the_new_edition(lesson: Path) -> None:
    write(lesson.parent / "mine" / lesson.name, "first edition", output="61.2 ms")
    assert update(lesson) == []
    write(lesson, "second edition")
    assert update(lesson) == ["replaced by a new edition: 01_lesson.ipynb"]
    assert copies(lesson) == {"01_lesson.ipynb": "second edition"}


def test_a_new_edition_that_was_edited_stays_too(lesson: Path) -> None:
    mine = lesson.parent / "mine"
    write(mine / lesson.name, "guess = 3")
    write(lesson, "second edition")
    update(lesson)
    write(mine / "01_lesson.new.ipynb", "guess = 4")
    write(lesson, "third edition")
    assert update(lesson) == ["new editions beside the lessons that you have edited: 01_lesson.new-2.ipynb"]
    assert sorted(copies(lesson).values()) == ["guess = 3", "guess = 4", "third edition"]


def test_fresh_begins_anew_and_puts_aside_what_was_edited(lesson: Path) -> None:
    mine = lesson.parent / "mine"
    for number, text in enumerate(("guess = 3", "guess = 4")):
        write(mine / lesson.name, text)
        aside = "01_lesson.mine.ipynb" if number == 0 else "01_lesson.mine-2.ipynb"
        assert update(lesson, fresh=True) == [f"your former lessons: {aside}"]
    assert sorted(copies(lesson).values()) == ["first edition", "guess = 3", "guess = 4"]
    assert update(lesson, fresh=True) == []


@pytest.mark.parametrize("record", ["", "[]", '{"01_lesson.ipynb": 3}', "\xff"])
def test_without_its_record_every_other_text_counts_as_edited(lesson: Path, record: str) -> None:
    mine = lesson.parent / "mine"
    (mine / ".editions.json").write_bytes(record.encode("latin-1"))
    write(lesson, "second edition")
    update(lesson)
    assert copies(lesson) == {"01_lesson.ipynb": "first edition", "01_lesson.new.ipynb": "second edition"}


def test_a_copy_that_is_no_notebook_any_more_stays(lesson: Path) -> None:
    broken = lesson.parent / "mine" / lesson.name
    broken.write_text("half a noteb", encoding="utf-8")
    write(lesson, "second edition")
    update(lesson)
    assert broken.read_text(encoding="utf-8") == "half a noteb"


@given(
    steps=st.lists(st.sampled_from(["edit", "run", "edit new", "delete", "edition", "fresh"]), max_size=12)
)
def test_whatever_happens_no_text_of_the_student_is_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("lessons")
    lesson, mine = folder / "01_lesson.ipynb", folder / "mine"
    copy, beside = mine / lesson.name, mine / "01_lesson.new.ipynb"
    write(lesson, "edition 0")
    update(lesson)
    written: set[str] = set()
    for number, step in enumerate(steps):
        target = beside if step == "edit new" and beside.exists() else copy
        if step in ("edit", "edit new"):
            written.discard(text_of(target))
            write(target, f"guess = {number}")
            written.add(f"guess = {number}")
        elif step == "run":
            write(copy, text_of(copy), output="61.2 ms")
        elif step == "delete":
            written.discard(text_of(copy))
            copy.unlink()
        elif step == "edition":
            write(lesson, f"edition {number + 1}")
        update(lesson, fresh=step == "fresh")
        present = set(copies(lesson).values())
        assert written <= present
        assert copy.exists()
        if step in ("edition", "fresh"):
            assert text_of(lesson) in present


def test_a_folder_that_cannot_be_used_is_told(lesson: Path) -> None:
    with pytest.raises(BadInput, match=r"^lab: .*01_lesson\.ipynb: cannot be used: .*proxytwin lab FOLDER$"):
        update_copies([lesson], lesson)


def run_lab(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a JupyterLab that only says what it was started with."""
    package = home / "fake" / "jupyterlab"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(FAKE, encoding="utf-8")
    path = os.pathsep.join([str(package.parent), str(ROOT)])
    return subprocess.run(
        [sys.executable, "-m", "twin", "lab", *arguments],
        capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=home,
        env={**os.environ, "PYTHONPATH": path, "HOME": str(home)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "folder", "passed_on"),
    [
        (["--allow-root"], "proxytwin-lessons", ["--allow-root"]),
        (["mine", "--allow-root"], "mine", ["--allow-root"]),
        (
            ["--ip", "0.0.0.0", "--port=8890", "mine", "--no-browser", "--allow-root"],
            "mine",
            ["--port=8890", "--ip=0.0.0.0", "--no-browser", "--allow-root"],
        ),
        (["mine", "--", "--allow-root", "--port", "0"], "mine", ["--allow-root", "--port", "0"]),
        (
            ["--", "--ServerApp.allow_root=True", "--debug"],
            "proxytwin-lessons",
            ["--ServerApp.allow_root=True", "--debug"],
        ),
    ],
)
def test_jupyterlab_gets_the_folder_and_its_options(
    arguments: list[str], folder: str, passed_on: list[str], tmp_path: Path
) -> None:
    done = run_lab(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [f"--notebook-dir={tmp_path / folder}", *passed_on]
    assert done.stderr == f"proxytwin: your lessons are in {tmp_path / folder}\n"
    assert {path.name for path in (tmp_path / folder).glob("*.ipynb")} == SHIPPED.keys()


def test_a_pull_never_conflicts_with_an_edited_lesson(tmp_path: Path) -> None:
    run_lab(tmp_path, "mine", "--allow-root")
    first = min(SHIPPED)
    (tmp_path / "mine" / first).write_text("edited", encoding="utf-8")
    assert run_lab(tmp_path, "mine", "--allow-root").returncode == 0
    assert (tmp_path / "mine" / first).read_text(encoding="utf-8") == "edited"
    fresh = run_lab(tmp_path, "mine", "--allow-root", "--fresh")
    assert fresh.stderr.splitlines()[1].startswith("proxytwin: your former lessons: 01_")
    assert (tmp_path / "mine" / first).read_bytes() == SHIPPED[first].read_bytes()


@pytest.mark.parametrize("options", [[], ["--port=8890"]])
def test_root_is_told_in_one_line_what_is_needed(options: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(BadInput, match=r"root.*--allow-root.*container.*--ip=0\.0\.0\.0 --no-browser"):
        module._check_root(options)


@pytest.mark.parametrize("user", [1000, None])
def test_others_need_no_such_option(user: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if user is None:  # Windows
        monkeypatch.delattr(os, "geteuid")
    else:
        monkeypatch.setattr(os, "geteuid", lambda: user)
    module._check_root([])


def test_on_windows_the_command_waits_for_jupyterlab(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(module.os, "name", "nt")
    monkeypatch.setattr(module.subprocess, "call", lambda command: asked.append(command) or 3)
    with pytest.raises(module.typer.Exit) as ended:
        module._run(["python", "-m", "jupyterlab"])
    assert ended.value.exit_code == 3 and asked == [["python", "-m", "jupyterlab"]]


def test_a_real_jupyterlab_serves_the_copies(tmp_path: Path) -> None:
    port = free_port()
    folders = {f"JUPYTER_{kind}_DIR": str(tmp_path / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "twin", "lab", str(tmp_path / "mine"), f"--port={port}"]
    command += ["--ip=127.0.0.1", "--no-browser", "--allow-root", "--", "--ServerApp.token=abc"]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env={**os.environ, **folders, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    assert server.stderr is not None
    try:
        assert any(b"is running at" in line for line in server.stderr)
        listed = contents(f"http://127.0.0.1:{port}/api/contents?token=abc")
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=LIMIT_S)
    assert {entry["name"] for entry in listed} == SHIPPED.keys()


def contents(url: str) -> list[dict[str, Any]]:
    """The files that JupyterLab lists. It says that it runs a moment before it listens."""
    for _ in range(int(LIMIT_S / 0.05)):
        with (
            contextlib.suppress(urllib.error.URLError),
            urllib.request.urlopen(url, timeout=LIMIT_S) as answer,
        ):
            return json.load(answer)["content"]
        time.sleep(0.05)
    raise AssertionError("JupyterLab does not listen")
