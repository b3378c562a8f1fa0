"""Programs that speak no HTTP: Redis and PostgreSQL through raw TCP listeners, SSH through CONNECT.

All of them are started on loopback with data of their own in a temporary folder.
"""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loadtests.free_port import free_port
from realproxy import Forward, Limits, Proxy, Service, Tcp

SECONDS = 60.0
ROOT = os.geteuid() == 0


@contextlib.contextmanager
def running(command: list[str], port: int, user: str | None = None) -> Iterator[int]:
    """A server in the foreground, from when its port answers; as another user if the caller is root."""
    account = pwd.getpwnam(user) if user and ROOT else None
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )
    assert process.stdout is not None
    said: list[bytes] = []
    listening = threading.Thread(target=lambda: said.extend(process.stdout or ()))
    listening.start()
    try:
        end = time.monotonic() + SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, b"".join(said).decode()
                assert time.monotonic() < end, "it does not listen"
                time.sleep(0.01)
        yield port
    finally:
        process.send_signal(2)  # a fast, orderly end for each of them
        process.wait(SECONDS)
        listening.join()
        process.stdout.close()


def run(*command: str, given: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        input=given,
        capture_output=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, **environment},
    )


@pytest.fixture
def raw(serve) -> Callable[..., Proxy]:
    """A proxy with one raw TCP listener that leads to some ports."""

    def start(*ports: int) -> Proxy:
        return serve(
            tcp=[Tcp(listen="127.0.0.1:0", to="it")],
            service={"it": Service(upstreams=[f"127.0.0.1:{port}" for port in ports])},
            limits=Limits(drain="0s"),
        )

    return start


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Callable[[], int]]:
    with contextlib.ExitStack() as stack:

        def start() -> int:
            port = free_port()
            command = f"redis-server --port {port} --bind 127.0.0.1 --dir {tmp_path} --save".split()
            return stack.enter_context(running([*command, ""], port))

        yield start


def redis_cli(proxy: Proxy, *arguments: str, given: bytes = b"") -> bytes:
    done = run("redis-cli", "-p", str(proxy.tcp_ports[0]), *arguments, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("redis-server", "redis-cli")
def test_redis_cli_talks_to_a_redis(raw, redis, until):
    proxy = raw(redis())
    value = os.urandom(2_000_000).hex().encode()
    assert redis_cli(proxy, "ping") == b"PONG\n"
    assert redis_cli(proxy, "-x", "set", "large", given=value) == b"OK\n"
    assert redis_cli(proxy, "get", "large") == value + b"\n"
    many = b"".join(b"SET key:%d %d\r\n" % (number, number) for number in range(20_000))
    assert b"errors: 0, replies: 20000" in redis_cli(proxy, "--pipe", given=many)
    assert redis_cli(proxy, "dbsize") == b"20001\n"
    until(lambda: proxy.stats()["tcp"][0]["open"] == 0)
    [counts] = proxy.stats()["tcp"]
    assert counts["accepted"] == 5
    assert counts["sent"] > len(value)
    assert counts["received"] > len(value) + len(many)


@pytest.mark.needs("redis-server", "redis-cli")
def test_connections_alternate_between_two_redis_servers(raw, redis):
    ports = [redis(), redis()]
    proxy = raw(*ports)
    shown = [redis_cli(proxy, "config", "get", "port").split()[-1] for _ in range(4)]
    assert shown == [b"%d" % port for port in ports] * 2


@pytest.fixture
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL with the user `tester`; it refuses to run as root."""
    account = pwd.getpwnam("postgres") if ROOT else None
    owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    folder = Path(tempfile.mkdtemp(prefix="proxytwin-postgres-"))
    try:
        if account:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data, port = folder / "data", free_port()
        made = subprocess.run(
            ["initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "--locale=C"],
            capture_output=True, check=False, cwd=folder, timeout=SECONDS * 3, **owner,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        settings = [f"port={port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        options = [part for setting in settings for part in ("-c", setting)]
        with running(["postgres", "-D", str(data), *options], port, "postgres"):
            yield port
    finally:
        shutil.rmtree(folder)


@pytest.mark.needs("initdb", "psql")
def test_psql_talks_to_a_postgresql(raw, postgres):
    proxy = raw(postgres)

    def ask(sql: str, given: bytes = b"") -> bytes:
        address = f"host=127.0.0.1 port={proxy.tcp_ports[0]} user=tester dbname=postgres connect_timeout=30"
        done = run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, address, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert ask("select 6 * 7") == b"42\n"
    assert len(ask("select repeat('x', 3000000)")) == 3_000_001
    ask("create table numbers (n int)")
    ask("copy numbers from stdin", given=b"".join(b"%d\n" % number for number in range(50_000)))
    assert ask("select count(*), sum(n) from numbers") == b"50000|1249975000\n"
    assert proxy.stats()["tcp"][0]["failed"] == 0


CONNECT = """
import os, socket, sys, threading
proxy, target = sys.argv[1:]
sock = socket.create_connection(("127.0.0.1", int(proxy)))
sock.sendall(f"CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n".encode())
head = b""
while not head.endswith(b"\\r\\n\\r\\n"):
    head += sock.recv(1) or sys.exit("no answer")
if b" 200 " not in head.split(b"\\r\\n")[0]:
    sys.exit(head.decode())
def up():
    while data := os.read(0, 65536):
        sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := sock.recv(65536):
    os.write(1, data)
"""
"""What `nc -X connect` does, which not every system has."""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of an SSH server that lets the present user in, and the key that it asks for."""
    for name in ("host", "user"):
        made = run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name))
        assert made.returncode == 0, made.stderr
    shutil.copy(tmp_path / "user.pub", tmp_path / "authorized")
    port = free_port()
    lines = f"""
        Port {port}
        ListenAddress 127.0.0.1
        HostKey {tmp_path / "host"}
        AuthorizedKeysFile {tmp_path / "authorized"}
        PidFile none
        PermitRootLogin yes
        StrictModes no
        UsePAM no
    """
    (tmp_path / "config").write_text(lines, encoding="utf-8")
    separation = Path("/run/sshd")
    made_here = ROOT and not separation.exists()  # it wants an empty folder, that a boot would make
    if made_here:
        separation.mkdir(mode=0o755)
    try:
        program = shutil.which("sshd")
        assert program is not None
        with running([program, "-D", "-e", "-f", str(tmp_path / "config")], port):
            yield port, tmp_path / "user"
    finally:
        if made_here:
            separation.rmdir()


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
def test_ssh_goes_through_a_tunnel(serve, sshd, tmp_path, until):
    port, key = sshd
    proxy = serve(forward=Forward(private_targets=True, connect_ports=[port]))
    (tmp_path / "connect.py").write_text(CONNECT, encoding="utf-8")
    through = f"{sys.executable} {tmp_path / 'connect.py'} {proxy.port} %h:%p"
    options = [
        f"ProxyCommand={through}", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null",
        f"IdentityFile={key}", "IdentitiesOnly=yes", "LogLevel=ERROR", "BatchMode=yes",
    ]  # fmt: skip
    command = ["ssh", "-F", "none", *(part for option in options for part in ("-o", option))]
    user = pwd.getpwuid(os.geteuid()).pw_name
    payload = os.urandom(300_000)
    done = run(*command, "-p", str(port), f"{user}@127.0.0.1", "cat; echo done >&2", given=payload)
    assert (done.stdout, done.stderr) == (payload, b"done\n")
    until(lambda: proxy.stats()["answers"] == {"200": 1})
