"""Commands about a proxy's file: serve, check and explain."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
OneLine = Callable[[str], str]


def test_explain_takes_the_name_of_a_caller_where_callers_have_names(
    run: Run, one_line: OneLine, proxy_file: Path
) -> None:
    code, _, err = run("explain", proxy_file, "GET", "/api/1", "--caller", "front")
    assert code == 2
    assert "--caller: front: no client proves its name" in one_line(err)
    text = proxy_file.read_text().replace('/api/*"', '/api/*", caller = "front"')
    proxy_file.write_text('identity = { folder = "certs", name = "api" }\n' + text)
    assert "service api" in run("explain", proxy_file, "GET", "/api/1", "--caller", "front")[1]
    assert "no route takes it" in run("explain", proxy_file, "GET", "/api/1", "--caller", "cart")[1]


def test_a_port_that_is_in_use_is_one_line(one_line: OneLine, run: Run, proxy_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        proxy_file.write_text(proxy_file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        code, out, err = run("serve", proxy_file)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{proxy_file}: listen: port {port} is in use")


# The whole text of a file, or what of a good one is replaced (nothing: added to); and what is said of it.
BROKEN_PROXIES: dict[str, tuple[str | tuple[str, str], str]] = {
    "toml": ("listen = ", "is not valid TOML"),
    "key": (("respond", "respnd"), "route.0.respnd: unknown key (did you mean 'respond'?)"),
    "policy": (("", "balance = 'p2d'"), "service.api.balance: unknown balancing policy 'p2d'"),
    "service": (('to = "api"', 'to = "apy"'), "unknown service 'apy' (did you mean 'api'?)"),
    "duration": (("", "[limits]\nidle_timeout = 'never'"), "limits.idle_timeout: expected a duration"),
    "count": (("", "[limits]\nthreads = -4"), "limits.threads: "),
    "address": (("127.0.0.1:9", "127.0.0.1"), "service.api.upstreams.0"),
    "log": (("", "[log]\nfile = '/nowhere/access.log'"), "log.file: "),
    "listen": (("127.0.0.1:0", "8080"), "listen: expected 'host:port'"),
}


@pytest.mark.parametrize("command", [["serve"], ["check"]])
@pytest.mark.parametrize("kind", BROKEN_PROXIES)
def test_a_proxys_file_with_a_mistake_is_one_line(
    one_line: OneLine, run: Run, proxy_file: Path, command: Sequence[str], kind: str
) -> None:
    mistake, expected = BROKEN_PROXIES[kind]
    good = proxy_file.read_text()
    if isinstance(mistake, str):
        proxy_file.write_text(mistake)
    else:
        old, new = mistake
        proxy_file.write_text(good.replace(old, new) if old else good + new)
    code, out, err = run(*command, proxy_file)
    assert (code, out) == (2, "")
    assert one_line(err).startswith(f"{proxy_file}")
    assert expected in err


@pytest.mark.parametrize("command", [["serve"], ["check"], ["explain", "GET", "/"]])
def test_a_proxys_file_that_is_not_there_is_one_line(one_line: OneLine, run: Run, command: list[str]) -> None:
    code, out, err = run(command[0], "nothing.toml", *command[1:])
    assert (code, out) == (2, "")
    assert one_line(err) == "nothing.toml: no such file"


def test_check_says_ok_for_a_good_file(run: Run, proxy_file: Path) -> None:
    assert run("check", proxy_file) == (0, f"{proxy_file}: ok\n", "")


def test_check_tells_every_finding(run: Run, proxy_file: Path) -> None:
    proxy_file.write_text('[[route]]\nrespond = 200\n[[route]]\nrespond = 404\n[log]\nfile = "/nowhere/x"\n')
    code, out, err = run("check", proxy_file)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"proxytwin: {proxy_file}: log.file: there is no folder '/nowhere'",
        f"proxytwin: warning: {proxy_file}: route.1: is never reached: route.0 takes everything",
    ]


NEVER = """
listen = "127.0.0.1:0"
route = [
  { when = { host = "a.test:8080" }, respond = 200 },
  { when = { path = "api/*" }, respond = 200 },
  { when = { method = "get" }, respond = 200 },
]
"""
WARNED = [
    "route.0.when.host: a host is compared without its port: write 'a.test'",
    "route.1.when.path: every path begins with a slash: write '/api/*'",
    "route.2.when.method: methods are in capitals (RFC 9110, 9.1): write 'GET'",
]


def test_a_file_with_warnings_alone_is_in_order(run: Run, proxy_file: Path) -> None:
    proxy_file.write_text(NEVER)
    code, out, err = run("check", proxy_file)
    assert (code, out) == (0, f"{proxy_file}: ok, with 3 warnings\n")
    assert err.splitlines() == [f"proxytwin: warning: {proxy_file}: {line}" for line in WARNED]


def test_explain_names_the_rule_that_takes_a_request_and_why_others_do_not(
    run: Run, proxy_file: Path
) -> None:
    code, out, err = run("explain", proxy_file, "GET", "http://shop.test/api/orders")
    assert (code, err) == (0, "")
    first, second, *_ = out.splitlines()
    assert first.startswith("route.0: no")
    assert second.startswith("route.1: yes")
    assert "service api" in out
    assert "route.0: yes" in run("explain", proxy_file, "GET", "/secret/key")[1]
    assert "403" in run("explain", proxy_file, "GET", "/secret/key")[1]
    assert "404" in run("explain", proxy_file, "GET", "/other")[1]


def test_explain_heeds_fields_and_the_clients_address(run: Run, proxy_file: Path) -> None:
    proxy_file.write_text(
        '[[route]]\nwhen = { header = { X-Beta = "1" } }\nrespond = 201\n'
        '[[route]]\nwhen = { client = "203.0.113.0/24" }\nrespond = 202\n'
        "[[route]]\nrespond = 204\n"
    )
    assert "route.2: yes" in run("explain", proxy_file, "GET", "/")[1]
    assert "route.0: yes" in run("explain", proxy_file, "GET", "/", "-H", "X-Beta: 1")[1]
    assert "route.1: yes" in run("explain", proxy_file, "GET", "/", "--client", "203.0.113.9")[1]


def test_explain_says_what_the_cache_makes_of_an_answer(
    one_line: OneLine, run: Run, proxy_file: Path, tmp_path: Path
) -> None:
    proxy_file.write_text('[[route]]\nto = "a"\ncache = true\n[service.a]\nupstreams = "127.0.0.1:1"\n')
    file = tmp_path / "answer.txt"
    file.write_text("HTTP/1.1 200 OK\nCache-Control: max-age=60\n\nhello")
    code, out, err = run("explain", proxy_file, "GET", "/", "--answer", file, "--after", "1m")
    assert (code, err) == (0, "")
    assert "fresh: 60 s, by max-age in Cache-Control (RFC 9111, 5.2.2.1)" in out
    assert "after 60 s: fetched anew, for it is stale by 0 s" in out
    for wrong in (
        ["--answer", tmp_path / "none"],
        ["--answer", proxy_file],
        ["--answer", file, "--after", "x"],
    ):
        code, out, err = run("explain", proxy_file, "GET", "/", *wrong)
        assert (code, out) == (2, "")
        one_line(err)


def test_explain_takes_the_time_when_an_answer_came(
    one_line: OneLine, run: Run, proxy_file: Path, tmp_path: Path
) -> None:
    proxy_file.write_text('[[route]]\nto = "a"\ncache = true\n[service.a]\nupstreams = "127.0.0.1:1"\n')
    file = tmp_path / "answer.txt"
    date = "Sun, 06 Nov 1994 08:49:37 GMT"
    file.write_text(f"HTTP/1.1 200 OK\nDate: {date}\nCache-Control: max-age=60\nContent-Length: 0\n\n")
    command = ["explain", proxy_file, "GET", "/", "--answer", file]
    assert "stored: no, stale" in run(*command)[1]
    for came in ("date", date, "1994-11-06T08:49:37Z", "19941106T094937+0100", "784111777", "784111777.0"):
        code, out, err = run(*command, "--received", came)
        assert (code, err) == (0, "")
        assert "age: 0 s when it came" in out
    assert "age: 30 s when it came, by its Date" in run(*command, "--received", "784111807")[1]
    for wrong in ("yesterday", "1994-11-06T08:49:37", "1994-11-06", "", "1e9", "-1", "nan", "9" * 12):
        code, out, err = run(*command, "--received", wrong)
        assert (code, out) == (2, "")
        assert one_line(err).startswith("--received: ")


def test_explain_reads_what_it_is_given_where_nothing_is_cached(
    one_line: OneLine, run: Run, proxy_file: Path
) -> None:
    answer = ("--answer", proxy_file)
    code, out, err = run("explain", proxy_file, "GET", "/", "--after", "x", *answer)
    assert (code, out) == (2, "")
    assert one_line(err).startswith("--after: x: ")
    code, out, err = run("explain", proxy_file, "GET", "/", "--after", "1s")
    assert (code, out) == (2, "")
    assert one_line(err) == "--after: has no effect without --answer; expected both or none of them"
    code, out, err = run("explain", proxy_file, "GET", "/", "--answer", proxy_file)
    assert (code, out) == (2, "")
    assert "expected a status line and fields as 'curl -i'" in one_line(err)


def test_header_fields_of_one_name_are_joined(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "match.toml"
    file.write_text(
        """listen = "127.0.0.1:0"
        route = [{ when = { header = { accept = "a, b" } }, respond = 403 }, { respond = 404 }]"""
    )
    both = ("-H", "Accept: a", "-H", "accept: b")
    assert "403" in run("explain", file, "GET", "/", *both)[1]
    assert "403" not in run("explain", file, "GET", "/", *both[:2])[1]


@pytest.mark.parametrize(
    "wrong",
    [
        ["GET", "/", "-H", "nonsense"],
        ["GET", "/", "-H", ": nameless"],
        ["GET", "no url"],
        ["G T", "/"],
        ["GET", "/", "--client", "nobody"],
    ],
)
def test_explain_refuses_what_is_no_request(
    one_line: OneLine, run: Run, proxy_file: Path, wrong: list[str]
) -> None:
    code, out, err = run("explain", proxy_file, *wrong)
    assert (code, out) == (2, "")
    one_line(err)
