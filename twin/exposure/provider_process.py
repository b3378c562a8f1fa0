"""The provider's program: our real proxy, in a process of its own inside the provider's namespace.

It has a process of its own because the proxy asks the system for names, and the system's name server is a
file that all threads of a process share. The process gets a private view of that file.

Standard input: a line of JSON, the task; then a line ``take`` for each report. The end of the input ends the
process, so it ends with its parent, however that ends. Standard output: ``ready``, then a line of JSON for
each report: what the proxy's TLS has decrypted or is about to encrypt since the last one, in hexadecimal.
That is what the provider can read inside its program.
"""

from __future__ import annotations

import ctypes
import json
import os
import ssl
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 0x4000, 1 << 18


def _see_instead(files: dict[str, str], folder: Path) -> None:
    """Put files in the place of the system's, for this process alone."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: Any) -> None:
        if getattr(libc, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    call("unshare", _CLONE_NEWNS)
    call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    for name, text in files.items():
        if Path(name).exists():
            own = folder / name.replace("/", "_")
            own.write_text(text)
            call("mount", str(own).encode(), str(Path(name).resolve()).encode(), None, _MS_BIND, None)


class _Listening:
    """Keeps what the server's side of TLS decrypts and encrypts; `_lock` guards it."""

    def __init__(self) -> None:
        self._lock, self._heard = threading.Lock(), list[bytes]()

    def install(self) -> None:
        """Look into all server sides of TLS of this process, which is ours."""
        from realproxy.net.tls import ServerTls

        def read(tls: ServerTls, *arguments: Any) -> Any:
            data = ssl.SSLObject.read(tls, *arguments)
            self._keep(bytes(data) if isinstance(data, (bytes, bytearray)) else b"")
            return data

        def write(tls: ServerTls, data: Any) -> int:
            self._keep(bytes(data))
            return ssl.SSLObject.write(tls, data)

        ServerTls.read = read
        ServerTls.write = write

    def _keep(self, data: bytes) -> None:
        with self._lock:
            self._heard.append(data)

    def take(self) -> list[bytes]:
        with self._lock:
            heard, self._heard = self._heard, []
        return heard


def main() -> None:
    """Serve until standard input ends."""
    task = json.loads(sys.stdin.readline())
    _see_instead(task["files"], Path(task["folder"]))
    from realproxy import Proxy

    listening = _Listening()
    listening.install()
    with ExitStack() as stack:
        for settings in task["proxies"]:
            stack.enter_context(Proxy(**settings))
        print("ready", flush=True)
        for _ in sys.stdin:
            print(json.dumps([data.hex() for data in listening.take()]), flush=True)


if __name__ == "__main__":
    main()
