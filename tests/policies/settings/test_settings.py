"""The proxy's settings: what its file may say, and one clear line for everything else."""

import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from policies.bad_input import BadInput, read_toml, validate
from policies.settings import Limits, ProxySettings, load_settings, parse_settings

SMALL = 'route = [{ to = "web" }]\n[service.web]\nupstreams = "127.0.0.1:9001"\n'

DESIGN = r"""
listen = "127.0.0.1:8080"

[forward]
protocols = ["http", "connect"]
connect_ports = [443]
private_targets = false
cache = true

[[route]]
to = "api"
[route.when]
host = "shop.test"
path = "/api/*"
method = "GET"
header = { X-Beta = "1" }
client = "203.0.113.0/24"
[[route]]
when = { path = "/.git/*" }
respond = 403
[[route]]
to = "web"
cache = { ttl = "1h" }

[service.api]
upstreams = "127.0.0.1:9101"
[service.web]
upstreams = ["127.0.0.1:9001", { address = "127.0.0.1:9002", weight = 2 }]
balance = "p2c"

[cache]
policy = "s3_fifo"
capacity = "64MiB"

[log]
file = "access.log"
format = "json"

[limits]
connections = 10_000
head = "32KiB"
header_timeout = "10s"
idle_timeout = "60s"
drain = "10s"
"""


@pytest.fixture
def load(tmp_path: Path):
    def load_text(text: str) -> ProxySettings:
        file = tmp_path / "proxy.toml"
        file.write_text(text, encoding="utf-8")
        return load_settings(file)

    return load_text


@pytest.fixture
def complaint(tmp_path: Path, load):
    """What is said about a file, without the file's name, which always comes first."""

    def said(text: str) -> str:
        with pytest.raises(BadInput) as caught:
            load(text)
        where, line = str(tmp_path / "proxy.toml"), str(caught.value)
        assert line.startswith(f"{where}: ") and len(line.splitlines()) == 1
        assert caught.value.where == where
        return line.removeprefix(f"{where}: ")

    return said


def test_the_file_of_the_design_means_what_it_says(load) -> None:
    settings = load(DESIGN)
    first, second, third = settings.route
    assert (first.to, first.respond, first.cache) == ("api", None, None)
    assert (first.when.host, first.when.path, first.when.method) == ("shop.test", "/api/*", "GET")
    assert (first.when.header, first.when.client) == ({"X-Beta": "1"}, "203.0.113.0/24")
    assert (second.to, second.respond) == (None, 403)
    assert third.cache is not None and third.cache.ttl == 3600.0
    web = settings.service["web"]
    assert [(u.address, u.weight) for u in web.upstreams] == [
        ("127.0.0.1:9001", 1.0),
        ("127.0.0.1:9002", 2.0),
    ]
    assert (web.balance, settings.service["api"].balance) == ("p2c", "round_robin")
    assert (settings.cache.policy, settings.cache.capacity) == ("s3_fifo", 64 * 2**20)
    assert settings.forward is not None and settings.forward.protocols == ("http", "connect")
    assert settings.forward.cache and settings.caching
    assert settings.log is not None and (settings.log.file, settings.log.format) == ("access.log", "json")
    limits = settings.limits
    assert (limits.connections, limits.head, limits.header_timeout) == (10_000, 32 * 1024, 10.0)


def test_a_small_file_has_the_defaults(load) -> None:
    settings = load(SMALL)
    assert settings == parse_settings(
        {"route": [{"to": "web"}], "service": {"web": {"upstreams": ["127.0.0.1:9001"]}}}
    )
    assert (settings.listen, settings.forward, settings.log) == ("127.0.0.1:0", None, None)
    assert settings.limits == Limits() and not settings.caching
    assert load("[forward]\n").forward.connect_ports == (443,)


def test_what_was_read_can_be_dumped_and_read_again(load) -> None:
    settings = load(DESIGN)
    assert parse_settings(settings.model_dump()) == settings
    assert parse_settings(settings.model_dump(mode="json", exclude_none=True)) == settings


def test_settings_do_not_change(load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(SMALL).listen = "127.0.0.1:1"


@pytest.mark.parametrize(("written", "caching"), [("true", True), ("false", False), ("{}", True)])
def test_a_route_caches_if_told_so(load, written: str, caching: bool) -> None:
    assert load(SMALL.replace('"web" }]', f'"web", cache = {written} }}]')).caching is caching


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:8080", ":8080", "*:80", "localhost:0", "[::1]:80", "[::]:65535", "[fe80::1%lo]:80"]
)
def test_addresses_to_listen_on(load, listen: str) -> None:
    assert load(f'listen = "{listen}"\n{SMALL}').listen == listen


# Every line: what is wrong, what stands in the file, and what is said: the key and what was expected.
WRONG = [
    # unknown keys, at every level, with the nearest known one
    ("lisen = ':1'\n" + SMALL, "lisen: unknown key (did you mean 'listen'?)"),
    (SMALL.replace("upstreams", "upstream"), "service.web.upstream: unknown key (did you mean 'upstreams'?)"),
    (SMALL + "balence = 'p2c'", "service.web.balence: unknown key (did you mean 'balance'?)"),
    (
        SMALL.replace('"127.0.0.1:9001"', "[{ address = 'a:1' }, { address = 'b:1', wieght = 2 }]"),
        "service.web.upstreams.1.wieght: unknown key (did you mean 'weight'?)",
    ),
    ("route = [{ too = 'web' }]", "route.0.too: unknown key (did you mean 'to'?)"),
    (
        "route = [{ to = 'web', when = { hots = 'x' } }]",
        "route.0.when.hots: unknown key (did you mean 'host'?)",
    ),
    (
        "route = [{ to = 'web', cache = { tll = '1s' } }]",
        "route.0.cache.tll: unknown key (did you mean 'ttl'?)",
    ),
    (SMALL + "[cache]\ncapasity = '1MiB'", "cache.capasity: unknown key (did you mean 'capacity'?)"),
    (SMALL + "[forward]\nprotocol = ['http']", "forward.protocol: unknown key (did you mean 'protocols'?)"),
    (SMALL + "[log]\nfiel = '-'", "log.fiel: unknown key (did you mean 'file'?)"),
    (SMALL + "[limits]\nthread = 1", "limits.thread: unknown key (did you mean 'threads'?)"),
    (SMALL + "[limits]\nqqq = 1", "limits.qqq: unknown key; known: answer_timeout, body, connect_timeout, "),
    (
        "[service.upstreams]\nupstreams = 'a:1'\nbalence = 1",
        "service.upstreams.balence: unknown key (did you mean 'b",
    ),
    (
        "[service.function-x]\nupstreams = 'a:1'\nbalence = 1",
        "service.function-x.balence: unknown key (did you mean",
    ),
    ('"a\\nb" = 1\n' + SMALL, "a b: unknown key"),
    # policies
    (SMALL + "balance = 'p2'", "service.web.balance: unknown balancing policy 'p2' (did you mean 'p2c'?)"),
    (
        SMALL + "balance = 'best'",
        "service.web.balance: unknown balancing policy 'best'; known: ",
    ),
    (SMALL + "[cache]\npolicy = 'lur'", "cache.policy: unknown eviction policy 'lur' (did you mean 'lru'?)"),
    (SMALL + "[cache]\npolicy = 5", "cache.policy: input should be a valid string, not 5"),
    # counts, durations, sizes
    (
        SMALL + "limit = inf",
        "service.web.limit: expected a whole number of 1 or more, not inf",
    ),
    (
        SMALL + "limit = nan",
        "service.web.limit: expected a whole number of 1 or more, not nan",
    ),
    (
        SMALL + "limit = -inf",
        "service.web.limit: expected a whole number of 1 or more, not -inf",
    ),
    (
        SMALL + "limit = 1.5",
        "service.web.limit: expected a whole number of 1 or more, not 1.5",
    ),
    (
        SMALL + "limit = true",
        "service.web.limit: expected a whole number of 1 or more, or a table, not true",
    ),
    (SMALL + "[limits]\nthreads = 0", "limits.threads: input should be greater than or equal to 1, not 0"),
    (SMALL + "[limits]\nthreads = -3", "limits.threads: input should be greater than or equal to 1, not -3"),
    (SMALL + "[limits]\nconnections = 'many'", "limits.connections: input should be a valid integer, "),
    (SMALL + "[limits]\nconnections = 1.5", "limits.connections: input should be a valid integer, "),
    (
        SMALL + "[limits]\ndrain = 'soon'",
        "limits.drain: expected a duration such as '200ms', '10s' or '5m', not 'soon'",
    ),
    (
        SMALL + "[limits]\ndrain = 5",
        "limits.drain: expected a duration such as '200ms', '10s' or '5m', not 5",
    ),
    (SMALL + "[limits]\ndrain = -1.5", "limits.drain: input should be greater than or equal to 0, not -1.5"),
    (SMALL + "[limits]\ndrain = nan", "limits.drain: input should be a finite number, not nan"),
    (
        SMALL + "[limits]\nhead = '-1KiB'",
        "limits.head: expected a size such as '8KiB', '64MiB' or a whole number",
    ),
    (SMALL + "[limits]\nhead = 10", "limits.head: input should be greater than or equal to 256, not 10"),
    (
        SMALL + "[cache]\ncapacity = -1",
        "cache.capacity: expected a size such as '8KiB', '64MiB' or a whole number",
    ),
    (
        SMALL + "[cache]\ncapacity = '1e999'",
        "cache.capacity: expected a size such as '8KiB', '64MiB' or a whole",
    ),
    (
        "route = [{ to = 'web', cache = { ttl = '-1s' } }]",
        "route.0.cache.ttl: expected a duration such as '200ms'",
    ),
    # tables and lists
    ("route = 5", "route: expected a list, not 5"),
    ("[route]\nto = 'web'", "route: expected a list"),
    ("service = ['web']\nroute = [{ to = 'web' }]", "service: expected a table"),
    ("service = { web = 5 }\nroute = [{ to = 'web' }]", "service.web: expected a table, not 5"),
    ("forward = true", "forward: expected a table, not True"),
    ("route = [{ to = 'web', cache = 5 }]", "route.0.cache: expected a table, not 5"),
    # routes and services
    ("workers = 1", "expected at least one [[route]] or a [forward] table"),
    ("route = [{}]", "route.0: expected one of 'to' (a service), 'respond' (a status) and 'redirect'"),
    (
        "route = [{ to = 'web', respond = 403 }]",
        "route.0: expected one of 'to' (a service), 'respond' (a status) and 'redirect'",
    ),
    ("route = [{ respond = 99 }]", "route.0.respond: input should be greater than or equal to 200, not 99"),
    ("route = [{ to = 'web' }]", "route.0.to: unknown service 'web'; there is no [service.…] table"),
    (SMALL.replace('to = "web"', 'to = "wbe"'), "route.0.to: unknown service 'wbe' (did you mean 'web'?)"),
    (SMALL.replace('"127.0.0.1:9001"', "[]"), "service.web.upstreams: expected at least one item"),
    (SMALL.replace('"127.0.0.1:9001"', "[5]"), "service.web.upstreams.0: expected a table, not 5"),
    (SMALL + "[service.api]", "service.api.upstreams: is missing"),
    (
        SMALL.replace('"127.0.0.1:9001"', "[{ address = 'a:1', weight = 0 }]"),
        "service.web.upstreams.0.weight: input should be greater than or equal to 0.000001, not 0",
    ),
    # conditions
    (
        "route = [{ to = 'web', when = { path = '~(' } }]",
        "route.0.when.path: '~(' is not a valid regular expression: ",
    ),
    (
        "route = [{ to = 'web', when = { client = '300.1.1.1' } }]",
        "route.0.when.client: '300.1.1.1' does not appear",
    ),
    (
        "route = [{ to = 'web', when = { header = { X-A = 1 } } }]",
        "route.0.when.header.X-A: input should be a valid",
    ),
    # addresses, ports and choices
    (
        "listen = '8080'\n" + SMALL,
        "listen: expected 'host:port' such as '127.0.0.1:8080' or ':8080' for all addresses, not '8080'",
    ),
    (
        "listen = 'unix:/run/proxy'\n" + SMALL,
        "listen: expected 'host:port' such as '127.0.0.1:8080', not 'unix:/run/proxy'",
    ),
    (
        "listen = 'http://0.0.0.0:80'\n" + SMALL,
        "listen: expected a host alone before the port such as '*:8080', not 'http://0.0.0.0:80'",
    ),
    (
        "listen = '*.test:80'\n" + SMALL,
        "listen: expected a host alone before the port such as '*:8080', not '*.test:80'",
    ),
    ("listen = 'x:http'\n" + SMALL, "listen: expected 'host:port' such as '127.0.0.1:8080', not 'x:http'"),
    ("listen = 'x:65536'\n" + SMALL, "listen: expected 'host:port' such as '127.0.0.1:8080', not 'x:65536'"),
    (
        "listen = '::1:80'\n" + SMALL,
        "listen: expected an IPv6 address in brackets such as '[::1]:8080', not '::1:80'",
    ),
    ("listen = '[::1:80'\n" + SMALL, "listen: expected an IPv6 address in brackets such as '[::1]:8080'"),
    ("listen = 8080\n" + SMALL, "listen: input should be a valid string, not 8080"),
    (
        "[forward]\nblock = ['~[']",
        "forward.block.0: '~[' is not a valid regular expression: unterminated character set at position 0",
    ),
    ("[forward]\nblock = ['a/b']", "forward.block.0: 'a/b' is neither a network nor a pattern for a host"),
    (
        "[forward]\nparent = 'ftp://a:topsecret@b'",
        "forward.parent: expected a parent such as 'http://10.0.0.1:3128' or "
        "'socks5://user:password@host:1080'",
    ),
    (
        "[forward]\nauth = { 'a:b' = 'c' }",
        "forward.auth.a:b: expected a user name of 1 to 255 bytes without a colon, not 'a:b'",
    ),
    ("[forward]\nauth = { a = '' }", "forward.auth.a: expected a password of 1 to 255 printable bytes"),
    (
        "[forward]\nanonymity = 'high'",
        "forward.anonymity: input should be 'transparent', 'anonymous' or 'elite', not 'high'",
    ),
    ("[forward]\nblocks = []", "forward.blocks: unknown key (did you mean 'block'?)"),
    (
        "[forward]\nprotocols = ['gopher']",
        "forward.protocols.0: input should be 'http', 'connect', 'socks4' or 'socks5', not 'gopher'",
    ),
    (
        "[forward]\nconnect_ports = [443, 65536]",
        "forward.connect_ports.1: input should be less than or equal to 65535",
    ),
    (
        "[forward]\n[log]\nfile = '-'\nformat = 'xml'",
        "log.format: input should be 'json' or 'combined', not 'xml'",
    ),
    ("[forward]\n[log]", "log.file: is missing"),
    # not TOML
    ("listen = ", "is not valid TOML: Invalid value (at "),
    ("listen = ':1'\nlisten = ':2'", "is not valid TOML: Cannot overwrite a value (at "),
    ("[forward", "is not valid TOML: "),
    ("x = " + "[" * 5_000, "is not valid TOML: "),
    ("x = " + "1" * 5_000, "is not valid TOML: "),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said[:50] for _, said in WRONG])
def test_a_wrong_file_gets_one_line_with_the_file_the_key_and_what_was_expected(
    complaint, text: str, said: str
) -> None:
    assert complaint(text).startswith(said)


def test_the_table_of_wrong_files_only_says_what_a_line_says(complaint) -> None:
    """Whole lines here, so that nothing odd follows the beginnings above."""
    assert (
        complaint("route = [{}]")
        == "route.0: expected one of 'to' (a service), 'respond' (a status) and 'redirect'"
    )
    assert complaint(SMALL + "[log]\nfiel = '-'") == "log.fiel: unknown key (did you mean 'file'?)"
    assert complaint("[route]\nto = 'web'") == "route: expected a list"


def test_of_several_mistakes_an_unknown_key_comes_first(complaint) -> None:
    assert complaint("listen = 5\nlisten_on = ':1'").startswith("listen_on: unknown key")
    assert complaint("[service.web]\nupstream = 'a:1'").startswith("service.web.upstream: unknown key")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nothing\.toml: no such file$"):
        load_settings(tmp_path / "nothing.toml")


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        load_settings(str(tmp_path))
    assert str(caught.value) == f"{tmp_path}: cannot be read: Is a directory; expected a proxy's file"


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes('title = "é"'.encode("latin-1"))
    with pytest.raises(BadInput, match=r"latin\.toml: is not UTF-8 text, as TOML must be$"):
        read_toml(tmp_path / "latin.toml")


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "windows.toml").write_bytes(b"\xef\xbb\xbftitle = 1\r\nseed = 2\r\n")
    assert read_toml(tmp_path / "windows.toml") == {"title": 1, "seed": 2}


def test_keyword_settings_get_the_same_lines() -> None:
    with pytest.raises(BadInput) as caught:
        parse_settings({"forward": {"connect_port": [1]}}, "Proxy")
    assert str(caught.value) == "Proxy: forward.connect_port: unknown key (did you mean 'connect_ports'?)"
    with pytest.raises(BadInput, match=r"^settings: expected a table$"):
        validate(ProxySettings, None, "settings")


def test_a_complaint_keeps_its_parts_when_another_process_raised_it() -> None:
    error: Any = pickle.loads(pickle.dumps(BadInput("a.toml", "x.y", "is missing")))
    assert (type(error), error.where, error.key, error.problem) == (BadInput, "a.toml", "x.y", "is missing")
    assert str(error) == "a.toml: x.y: is missing"


def test_known_keys_are_found_through_optional_tables_and_lists_of_tables() -> None:
    class Leaf(BaseModel, extra="forbid"):
        colour: int = 0

    class Tree(BaseModel, extra="forbid"):
        leaf: Leaf | None = None
        twigs: dict[str, list[Leaf]] | None = None

    def said(data: dict[str, object]) -> str:
        with pytest.raises(BadInput) as caught:
            validate(Tree, data, "tree")
        return str(caught.value)

    assert said({"leaf": {"color": 1}}) == "tree: leaf.color: unknown key (did you mean 'colour'?)"
    assert said({"leafs": 1}) == "tree: leafs: unknown key (did you mean 'leaf'?)"
    assert said({"twigs": {"leaf": [{"color": 1}]}}) == (
        "tree: twigs.leaf.0.color: unknown key (did you mean 'colour'?)"
    )
