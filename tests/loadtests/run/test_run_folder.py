"""Temporary folders: gone with their owner, or by the next one if it was killed; living ones stay."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loadtests.run.run_folder import PREFIX, RunFolder, remove_abandoned

ROOT = Path(__file__).parents[3]
OWNER = """
from loadtests.run.run_folder import RunFolder
folder = RunFolder()
(folder.path / "records.npz").write_text("much")
print(folder.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def _own_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@contextmanager
def owner(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a folder, and where that is."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_a_folder_of_a_killed_process_is_removed_by_the_next_one(tmp_path: Path) -> None:
    with owner(tmp_path) as (process, left):
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert (left / "records.npz").exists()
    mine = RunFolder()
    assert list(tmp_path.iterdir()) == [mine.path]
    mine.close()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with owner(tmp_path) as (process, theirs):
        mine, other = RunFolder(), RunFolder()
        assert set(tmp_path.iterdir()) == {theirs, mine.path, other.path}
        assert (theirs / "records.npz").exists()
        process.communicate("go on\n", timeout=30)
        assert not theirs.exists()
    mine.close()
    other.close()


def test_nothing_of_another_user_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{PREFIX}theirs").mkdir()
    me = os.getuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: me + 1)
        remove_abandoned()
    assert (tmp_path / f"{PREFIX}theirs").exists()
    remove_abandoned()
    assert list(tmp_path.iterdir()) == []


def test_a_link_with_such_a_name_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "precious")
    (tmp_path / f"{PREFIX}file").write_text("no folder")
    remove_abandoned()
    assert len(list(tmp_path.iterdir())) == 3
