"""The sources of an old commit, in a temporary worktree."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rig import ROOT


@contextlib.contextmanager
def worktree(commit: str, folder: Path) -> Iterator[Path]:
    """Check out a commit in `folder`; the folder is removed at the end."""
    try:
        with undisturbed():
            git("worktree", "add", "--quiet", "--detach", str(folder), commit)
        yield folder
    finally:
        if folder.exists():
            with undisturbed():
                git("worktree", "remove", "--force", str(folder))


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM, because git cannot remove half a worktree."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def described(commit: str) -> str:
    """The commit in one line."""
    return git("log", "-1", "--format=%h %s", commit, "--")


def working_tree() -> str:
    """The commit that is checked out, and whether there are changes."""
    more = ", and changes that are not committed" if git("status", "--porcelain") else ""
    return described("HEAD") + more


def check_imports(tree: Path) -> None:
    """End the program unless Python imports the proxy of `tree` when it is started there."""
    command = [sys.executable, "-c", "import realproxy; print(realproxy.__file__)"]
    file = subprocess.run(command, cwd=tree, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    if not Path(file).resolve().is_relative_to(tree.resolve()):
        raise SystemExit(f"in {tree}, Python imports {file}")


def git(*arguments: str) -> str:
    """The output of a git command; if it fails, git prints its message and the program ends."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    except subprocess.CalledProcessError:
        raise SystemExit(2) from None
