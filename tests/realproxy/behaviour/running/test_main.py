"""``python -m realproxy``: says when it is ready, ends when told, says what is wrong in one line."""

import os
import signal
import subprocess
import sys

import pytest

from realproxy.__main__ import main

SERVE = 'route = [{ respond = 204 }]\nlimits = { drain = "2s" }\n'


def test_it_says_where_it_is_and_ends_at_the_end_of_its_input(child, wire):
    proxy = child(SERVE)
    assert proxy.ready == {
        "url": f"http://127.0.0.1:{proxy.port}",
        "port": proxy.port,
        "pid": proxy.process.pid,
    }
    assert wire(proxy).ask().status == 204
    proxy.close()
    assert proxy.process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(child, wire, number):
    proxy = child(SERVE)
    wire(proxy).ask()
    proxy.process.send_signal(number)
    out, err = proxy.process.communicate(timeout=30)
    assert (out, err, proxy.process.returncode) == ("", "", 0)


def test_a_second_signal_does_not_wait(child, wire, origin):
    import threading

    arrived = threading.Event()

    def never(asked):
        arrived.set()
        asked.reader.read(1)

    server = origin(never)
    proxy = child(
        f'route = [{{ to = "web" }}]\n'
        f'service.web.upstreams = "{server.address}"\nlimits = {{ drain = "1m" }}\n'
    )
    client = wire(proxy)
    wire(proxy).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert arrived.wait(30)
    proxy.process.send_signal(signal.SIGTERM)
    assert client.ended()  # it has begun to stop
    proxy.process.send_signal(signal.SIGTERM)
    assert proxy.process.wait(30) == -signal.SIGTERM


def test_the_ready_line_can_go_elsewhere(tmp_path):
    file = tmp_path / "proxy.toml"
    file.write_text(SERVE, encoding="utf-8")
    read, write = os.pipe()
    command = [sys.executable, "-m", "realproxy", str(file), "--until-eof", "--ready-fd", str(write)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[write]
    ) as process:
        os.close(write)
        with os.fdopen(read) as ready:
            assert '"url"' in ready.readline()
        assert process.communicate(timeout=30)[0] == b""


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (None, "no such file"),
        ("route = [", "is not valid TOML"),
        ("rout = []", "rout: unknown key (did you mean 'route'?)"),
        ('listen = "1.2.3.4:1"\nroute = [{ respond = 204 }]', "listen: cannot listen on 1.2.3.4:1"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path, capfd, toml, message):
    file = tmp_path / "proxy.toml"
    if toml is not None:
        file.write_text(toml, encoding="utf-8")
    assert main([str(file)]) == 2
    out, err = capfd.readouterr()
    assert err.startswith(f"{file}: ")
    assert message in err
    assert err.count("\n") == 1
    assert out == ""


def test_a_process_with_bad_input_says_one_line_and_exits_with_2(tmp_path):
    file = tmp_path / "proxy.toml"
    file.write_text("rout = []", encoding="utf-8")
    command = [sys.executable, "-m", "realproxy", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{file}: rout: unknown key (did you mean 'route'?)\n"
