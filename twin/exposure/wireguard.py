"""WireGuard's user-space program as a second VPN, where ``wireguard-go`` and ``wg`` are installed.

Its device has the same addresses and routes as that of the small VPN. ``setpriv`` makes the kernel end the
programs with this process. Each puts a socket into a folder of the system; its name holds our process id, and
a later run removes those of processes that are gone.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from twin.exposure.namespaces import Namespace, NamespaceError
from twin.exposure.topology import Internet
from twin.exposure.tunnel import set_addresses
from twin.exposure.vocabulary import Observer

COMMANDS = ("wireguard-go", "wg", "setpriv")
_SOCKETS = Path("/var/run/wireguard")
_PREFIX = "ptx"
_PORT = 51820
_SECONDS = 5.0


def missing() -> list[str]:
    """The commands that are not installed."""
    return [command for command in COMMANDS if shutil.which(command) is None]


def remove_leftovers() -> None:
    """Remove the sockets of earlier runs whose process is gone."""
    for path in _SOCKETS.glob(f"{_PREFIX}*.sock"):
        number = path.name.removeprefix(_PREFIX).partition(".")[0].rstrip("abcdefghijklmnopqrstuvwxyz")
        if number.isdigit() and not Path(f"/proc/{number}").exists():
            with contextlib.suppress(OSError):
                path.unlink()


class WireGuard:
    """As `twin.exposure.tunnel.Tunnel`; its encryption cannot be switched off."""

    def __init__(self, internet: Internet, *, ipv6: bool = False) -> None:
        remove_leftovers()
        # Both ends have a name of their own, because their sockets lie in one folder.
        self._names = [f"{_PREFIX}{os.getpid()}{side}" for side in "cp"]
        keys = [_key_pair() for _ in self._names]
        self._programs: list[subprocess.Popen[bytes]] = []
        spaces = (internet.client, internet.provider)
        try:
            for space, name in zip(spaces, self._names, strict=True):
                self._programs.append(_start(space, name))
            for name, program in zip(self._names, self._programs, strict=True):
                _wait_for_socket(name, program)
            entry = internet.addresses[Observer.ENTRY].v4
            provider = _peer(keys[1][1], "0.0.0.0/0, ::/0") + f"Endpoint = {entry}:{_PORT}\n"
            client = _peer(keys[0][1], f"{internet.pool.v4}/32, {internet.pool.v6}/128")
            own = [f"[Interface]\nPrivateKey = {private}\n" for private, _ in keys]
            _configure(spaces[0], self._names[0], own[0] + provider)
            _configure(spaces[1], self._names[1], f"{own[1]}ListenPort = {_PORT}\n{client}")
            for space, name in zip(spaces, self._names, strict=True):
                space.ip([f"link set {name} name wg"])
            set_addresses(internet, "wg", ipv6=ipv6)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End both programs; the kernel removes their devices."""
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            try:
                program.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait(_SECONDS)
        for name in self._names:
            (_SOCKETS / f"{name}.sock").unlink(missing_ok=True)


def _peer(public: str, allowed: str) -> str:
    return f"[Peer]\nPublicKey = {public}\nAllowedIPs = {allowed}\n"


def _key_pair() -> tuple[str, str]:
    private = X25519PrivateKey.generate()
    raw = private.private_bytes(
        serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode(), base64.b64encode(public).decode()


def _start(space: Namespace, name: str) -> subprocess.Popen[bytes]:
    with space.entered():
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "wireguard-go", "--foreground", name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process, which ends its children
        )  # fmt: skip


def _wait_for_socket(name: str, program: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _SECONDS
    while not (_SOCKETS / f"{name}.sock").exists():
        if program.poll() is not None or time.monotonic() > until:
            raise NamespaceError("wireguard-go does not start")
        time.sleep(0.01)


def _configure(space: Namespace, name: str, text: str) -> None:
    with space.entered():
        done = subprocess.run(
            ["wg", "setconf", name, "/dev/stdin"], input=text, text=True, capture_output=True,
            timeout=_SECONDS, check=False,
        )  # fmt: skip
    if done.returncode:
        raise NamespaceError(f"wg: {(done.stderr.strip().splitlines() or ['failed'])[0]}")
