"""Network namespaces without names: nothing can be left behind.

A namespace here is one open file. It lives as long as this process holds that file, a socket in it, or a
child process inside it. So the kernel removes it with all its devices when this process ends, however it
ends; there is no name under /run/netns, and nothing to clean up later (namespaces(7)).

Threads: the kernel keeps a network namespace for each thread. `Namespace.entered` moves the calling thread,
and only that one. Sockets stay where they were opened; a process and a thread start where their parent is.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_SECONDS = 20.0


class NamespaceError(RuntimeError):
    """The system refused a namespace, a device or an address; the text is one line."""


def _call(name: str, *arguments: int) -> None:
    """Call a function of the C library; Python has these only from 3.12 on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise NamespaceError(f"{name}: {os.strerror(ctypes.get_errno())}")


class Namespace:
    """A network namespace of its own, with the loopback device up.

    Parameters
    ----------
    name : str
        For messages only.

    Raises `NamespaceError` if the system allows none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _call("unshare", _CLONE_NEWNET)
            try:
                self._file = os.open(_OWN, os.O_RDONLY)
            finally:
                _call("setns", home, _CLONE_NEWNET)
        finally:
            os.close(home)

    @property
    def path(self) -> str:
        """The open file, by which the command ``ip`` finds the namespace."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Run the body of a ``with`` statement in this namespace; the calling thread then goes back."""
        home = os.open(_OWN, os.O_RDONLY)
        try:
            _call("setns", self._file, _CLONE_NEWNET)
            yield
        finally:
            _call("setns", home, _CLONE_NEWNET)
            os.close(home)

    def ip(self, lines: Sequence[str]) -> None:
        """Run a batch of ``ip`` commands inside; raises `NamespaceError` with the first complaint."""
        with self.entered():
            done = subprocess.run(
                ["ip", "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, text=True,
                timeout=_SECONDS, check=False,
            )  # fmt: skip
        if done.returncode:
            complaint = (done.stderr.strip().splitlines() or ["failed"])[0]
            raise NamespaceError(f"ip in namespace {self.name}: {complaint}")

    def forward_packets(self) -> None:
        """Make it a router for IPv4 and IPv6."""
        with self.entered():
            try:
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
                Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
            except OSError as error:
                raise NamespaceError(f"namespace {self.name} cannot forward: {error.strerror}") from None

    def close(self) -> None:
        """Let go of it; the kernel removes it with its last socket."""
        os.close(self._file)
