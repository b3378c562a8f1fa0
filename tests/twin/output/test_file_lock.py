"""A lock on a file, as Unix has it, and as Windows has it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from twin.output import file_lock


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The same file, opened twice; the first time its place is behind the first two bytes."""
    path = tmp_path / "file"
    path.write_bytes(b"content")
    opened = [os.open(path, os.O_RDWR) for _ in range(2)]
    os.lseek(opened[0], 2, os.SEEK_SET)
    yield opened[0], opened[1]
    for fd in opened:
        os.close(fd)


class Msvcrt(SimpleNamespace):
    """The function of Windows, whose lock is on bytes behind the present place."""

    LK_NBLCK = 2

    def locking(self, fd: int, mode: int, count: int) -> None:
        place = os.lseek(fd, 0, os.SEEK_CUR)
        assert (mode, count) == (self.LK_NBLCK, 1)
        assert place > 2**31
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(13, "Permission denied") from None


@pytest.mark.parametrize("system", ["unix", "windows"])
def test_a_second_lock_is_refused(system: str, two: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    if system == "windows":
        monkeypatch.setattr(file_lock, "fcntl", None)
        monkeypatch.setattr(file_lock, "msvcrt", Msvcrt())
    file_lock.lock_file(two[0])
    with pytest.raises(BlockingIOError):
        file_lock.lock_file(two[1])
    assert os.read(two[0], 3) == b"nte"
    assert os.read(two[1], 3) == b"con"


def test_a_system_with_neither_locks_nothing(two: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_lock, "fcntl", None)
    for fd in two:
        file_lock.lock_file(fd)
