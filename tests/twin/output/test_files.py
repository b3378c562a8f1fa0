"""Files are written whole or not at all, and what cannot be written is known in one line."""

from __future__ import annotations

import json
import math
import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bad_input import BadInput
from twin.output.files import check_writable, write_json, write_whole


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A file system on which longer files cannot be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def without_permission(folder: Path) -> Iterator[None]:
    """No new file can be created in `folder`; root runs as the user nobody meanwhile."""
    folder.chmod(0o555)
    if os.getuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o755)


# -- writing -------------------------------------------------------------------------------------


def test_a_file_holds_what_was_written_and_may_be_read_by_all(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_whole(file, "größer\n")
    assert file.read_bytes() == "größer\n".encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_could_not_be_written_is_as_it_was_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("before")
    with (
        files_of_at_most(4096),
        pytest.raises(BadInput, match=r"page.html: cannot be written: File too large"),
    ):
        write_whole(file, "x" * 100_000)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_an_unexpected_failure_leaves_nothing_behind_either(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "page.html", "a lone surrogate: \ud800")
    assert not list(tmp_path.iterdir())


def test_a_reader_never_sees_half_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    texts = {"a" * 200_000, "b" * 300_000}
    write_whole(file, min(texts))
    done = threading.Event()
    seen: set[str] = set()

    def read() -> None:
        seen.add(file.read_text())
        while not done.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(20):
            for text in texts:
                write_whole(file, text)
    finally:
        done.set()
        reader.join(60)
    assert seen
    assert seen <= texts


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as mistake:
        write_whole(tmp_path / "no" / "page.html", "x")
    assert str(mistake.value) == f"{tmp_path}/no/page.html: cannot be written: No such file or directory"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "folder" / "target.json", tmp_path / "link.json"
    target.parent.mkdir()
    target.write_text("before")
    link.symlink_to(target)
    write_whole(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()
    check_writable(pipe, "--json")
    write_whole(pipe, "{}")
    reader.join(60)
    assert received == ["{}"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_full_device_is_one_line() -> None:
    with pytest.raises(BadInput, match=r"^/dev/full: cannot be written: No space left on device$"):
        write_whole(Path("/dev/full"), "x")


# -- JSON ----------------------------------------------------------------------------------------


def test_what_json_lacks_becomes_null(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    write_json(file, {"a": math.nan, "b": [math.inf, (-math.inf, 1.5)], 3: np.float64("nan"), "ü": None})
    text = file.read_text()
    assert json.loads(text) == {"a": None, "b": [None, [None, 1.5]], "3": None, "ü": None}
    assert "NaN" not in text
    assert "ü" in text


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(data=plain)
def test_plain_data_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    file = tmp_path_factory.getbasetemp() / "plain.json"
    write_json(file, data)
    assert json.loads(file.read_text(encoding="utf-8")) == data


# -- checking beforehand -------------------------------------------------------------------------


def test_folders_are_made_and_no_trace_of_the_check_is_left(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "out.json", "--json")
    assert not list((tmp_path / "a" / "b").iterdir())


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    file.write_text("before")
    check_writable(file, "--json")
    assert file.read_text() == "before"


def test_nothing_is_checked_if_nothing_will_be_written() -> None:
    check_writable(None, "--json")


def test_devices_may_be_named() -> None:
    check_writable(Path("/dev/null"), "--json")


def refused(path: Path) -> str:
    with pytest.raises(BadInput) as mistake:
        check_writable(path, "--json")
    line = str(mistake.value)
    assert line.startswith(f"--json: {path}: ")
    assert len(line.splitlines()) == 1
    return line.removeprefix(f"--json: {path}: ")


def test_a_folder_is_no_file_name(tmp_path: Path) -> None:
    assert refused(tmp_path) == "is a folder; expected a file name"


def test_a_folder_cannot_be_made_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file" / "out.json") == "cannot create its folder: File exists"
    assert refused(tmp_path / "file" / "a" / "out.json") == "cannot create its folder: Not a directory"


def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    with without_permission(tmp_path):
        assert refused(tmp_path / "out.json").endswith(": Permission denied")
        assert refused(tmp_path / "new" / "out.json").endswith(": Permission denied")
    file = tmp_path / "there.json"
    file.write_text("before")
    file.chmod(0o666)
    with without_permission(tmp_path):
        assert refused(file).endswith(": Permission denied")
    assert file.read_text() == "before"


def test_a_folder_that_takes_no_files_is_refused() -> None:
    assert refused(Path("/proc/out.json")).startswith("cannot be written: ")


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / ("x" * 300)) == "cannot be written: File name too long"


def test_a_name_as_long_as_can_be_is_written(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 255)
    check_writable(file, "--json")
    write_whole(file, "{}")
    assert file.read_text() == "{}"
