"""Whether a peer is installed, and new enough."""

from __future__ import annotations

import os
import shutil
import subprocess

from loadtests.peers.base import Peer, version_in
from policies.bad_input import BadInput

_OF_ROOT = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where Debian puts daemons; not on the PATH of every user."""
_ANSWER_S = 10.0


def program_of(peer: Peer) -> str:
    """The path of its command; raises `BadInput` with one line if it is missing or too old."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_OF_ROOT])
    found = shutil.which(peer.program, path=path)
    if found is None:
        raise BadInput("--real", peer.name, f"is not installed; expected Debian's package {peer.package}")
    try:
        told = subprocess.run(
            [found, peer.ask_version], capture_output=True, text=True, timeout=_ANSWER_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise BadInput("--real", peer.name, f"{found} cannot be run: {problem}") from None
    version = version_in(told.stdout + told.stderr)
    if version < peer.least:
        least, seen = (".".join(map(str, numbers)) for numbers in (peer.least, version))
        expected = f"expected {least} or newer, Debian's package {peer.package}"
        raise BadInput("--real", peer.name, f"{found} is version {seen or 'unknown'}; {expected}")
    return found
