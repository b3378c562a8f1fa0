"""Scenario files by path or name, changed settings, and the variants to compare."""

from pathlib import Path

import pytest

from policies.bad_input import BadInput
from scenarios import load_scenario, parse_scenario, shipped_scenarios
from scenarios.workload import Workload

TEXT = """
title = "Which?"
duration = "5s"
[workload]
users = 4
[backend.web]
replicas = 2
[proxy]
route = [{ to = "web" }]
service = { web = { upstreams = [{ address = "web" }] } }
"""


@pytest.fixture
def write(tmp_path: Path):
    def file(text: str, name: str = "mine.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return file


@pytest.fixture
def changed(write):
    """The scenario above after ``--set`` of some texts."""
    return lambda *overrides: load_scenario(write(TEXT), overrides).scenario


def complaint(*arguments: object) -> str:
    with pytest.raises(BadInput) as caught:
        load_scenario(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_is_right_and_asks_a_question(name: str) -> None:
    loaded = load_scenario(name)
    assert loaded.name == name and loaded.scenario.title.endswith("?")
    assert len(loaded.variants) >= 2, "something is compared"
    assert next(Workload(loaded.scenario).stream(0)).size > 0


def test_the_two_scenarios_of_the_demo_are_shipped() -> None:
    assert {"slow-server", "small-cache"} <= shipped_scenarios().keys()
    slow, small = load_scenario("slow-server"), load_scenario("small-cache")
    assert [variant.label for variant in slow.variants] == ["round_robin", "random", "p2c", "least_requests"]
    assert [variant.label for variant in small.variants] == ["fifo", "lru", "lfu", "sieve", "s3_fifo"]
    assert [variant.scenario.proxy.service["web"].balance for variant in slow.variants] == [
        variant.label for variant in slow.variants
    ]


def test_a_path_and_a_name_lead_to_the_same_scenario() -> None:
    assert load_scenario(shipped_scenarios()["slow-server"]) == load_scenario("slow-server")


def test_a_file_is_named_without_its_ending(write) -> None:
    assert load_scenario(str(write(TEXT, "my.own.toml"))).name == "my.own"
    assert load_scenario(write(TEXT, "no-ending")).name == "no-ending"


def test_an_unknown_name_comes_with_the_nearest() -> None:
    assert (
        complaint("slow-sever")
        == "slow-sever: no such file or shipped scenario (did you mean 'slow-server'?)"
    )
    assert complaint("zzz").startswith("zzz: no such file or shipped scenario; known: ")
    assert complaint("nowhere/mine.toml") == "nowhere/mine.toml: no such file"


def test_a_broken_file_and_a_folder_get_one_line(write, tmp_path: Path) -> None:
    assert complaint(write("title = ")).startswith(f"{tmp_path / 'mine.toml'}: is not valid TOML: ")
    assert complaint(tmp_path) == f"{tmp_path}: cannot be read: Is a directory; expected a scenario"


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("workload.users=20", lambda s: s.workload.users == 20),
        ("workload.users = 20", lambda s: s.workload.users == 20),
        ("workload.users=1_000", lambda s: s.workload.users == 1000),
        ("title=Why now?", lambda s: s.title == "Why now?"),
        ('title="Why = now?"', lambda s: s.title == "Why = now?"),
        ("title='5'", lambda s: s.title == "5"),
        ("title=", lambda s: s.title == ""),
        ("title=a # b", lambda s: s.title == "a # b"),
        ("duration=90s", lambda s: s.duration == 90.0),
        ("duration=2.5", lambda s: s.duration == 2.5),
        ("workload.think=erlang(1s, 3)", lambda s: s.workload.think.scv == 1 / 3),
        ("proxy.route.0.cache=true", lambda s: s.proxy.caching),
        ('proxy.route.0={to="web", cache={ttl="1m"}}', lambda s: s.proxy.route[0].cache.ttl == 60.0),
        ('proxy.service.web.upstreams=["web", "web"]', lambda s: len(s.proxy.service["web"].upstreams) == 2),
        (
            "proxy.service.web.upstreams.0.weight=3",
            lambda s: s.proxy.service["web"].upstreams[0].weight == 3.0,
        ),
        ("proxy.cache.policy=lru", lambda s: s.proxy.cache.policy == "lru"),
        ("backend.web.slow.1=2.5", lambda s: s.backend["web"].slow == {1: 2.5}),
        ("backend.api={replicas=3}", lambda s: s.replicas == ["web/0", "web/1", "api/0", "api/1", "api/2"]),
        ("workload.size=4KiB", lambda s: s.workload.size.mean == 4096),
        ("workload.size=4096", lambda s: s.workload.size.mean == 4096),
    ],
)
def test_an_override_is_read_as_toml_or_else_as_plain_text(changed, override: str, read) -> None:
    assert read(changed(override))


def test_overrides_may_come_as_values(write) -> None:
    loaded = load_scenario(write(TEXT), {"workload.users": 9, "proxy.route.0": {"to": "web", "cache": True}})
    assert loaded.scenario.workload.users == 9 and loaded.scenario.proxy.caching


def test_an_override_leaves_the_file_alone(changed) -> None:
    assert changed("seed=3").seed == 3
    assert changed().seed == 1


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("workload.users", "--set: workload.users: expected key=value, such as workload.users=20"),
        ("=5", "--set: =5: expected key=value, such as workload.users=20"),
        ("workload.users.x=5", "--set: workload.users.x: 'users' is a single value, not a table"),
        ("workload.users.x.y=5", "--set: workload.users.x.y: 'x' is below a single value, not a table"),
        ("proxy.route.1.to=web", "--set: proxy.route.1.to: expected a position from 0 to 0, not '1'"),
        ("proxy.route.-1.to=web", "--set: proxy.route.-1.to: expected a position from 0 to 0, not '-1'"),
        ("proxy.route.².to=web", "--set: proxy.route.².to: expected a position from 0 to 0, not '²'"),
        ("proxy.route.x=web", "--set: proxy.route.x: expected a position from 0 to 0, not 'x'"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(write, override: str, said: str) -> None:
    assert complaint(write(TEXT), [override]) == said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("workload.usres=5", "workload.usres: unknown key (did you mean 'users'?)"),
        ("seeed=5", "seeed: unknown key (did you mean 'seed'?)"),
        ("backend.web.replica=5", "backend.web.replica: unknown key (did you mean 'replicas'?)"),
        ("proxy.limits.thread=5", "proxy.limits.thread: unknown key (did you mean 'threads'?)"),
        ("proxy.servce.web.balance=p2c", "proxy.servce: unknown key (did you mean 'service'?)"),
        ("workload.users=0", "workload.users: input should be greater than or equal to 1, not 0"),
        ("workload.users=-4", "workload.users: input should be greater than or equal to 1, not -4"),
        ("workload.users=many", "workload.users: input should be a valid integer, unable to parse string"),
        ("duration=5", "duration: expected a duration such as '200ms', '10s' or '5m', not 5"),
        ("duration=0s", "duration: input should be greater than 0, not '0s'"),
        ("title=2024-01-01", "title: input should be a valid string"),
        ("proxy.cache.policy=lur", "proxy.cache.policy: unknown eviction policy 'lur' (did you mean 'lru'?)"),
        (
            "workload.think=exponental(1s)",
            "workload.think: unknown distribution 'exponental' (did you mean 'exp",
        ),
        (
            "workload.popularity=zipf",
            "workload.popularity: expected 'zipf(exponent)' or 'uniform', not 'zipf'",
        ),
        (
            "seed=" + "1" * 5_000,
            f"seed: unable to parse input string as an integer, exceeded maximum size, not '{'1' * 76}...",
        ),
    ],
)
def test_an_override_is_checked_like_the_file(write, override: str, said: str) -> None:
    file = write(TEXT)
    assert complaint(file, [override]).startswith(f"{file}: {said}")


def test_without_a_comparison_there_is_one_variant(write) -> None:
    loaded = load_scenario(write(TEXT))
    assert [(variant.label, variant.setting) for variant in loaded.variants] == [("as written", {})]
    assert loaded.variants[0].scenario == loaded.scenario


def test_several_keys_make_a_grid(write) -> None:
    compare = '[compare]\n"workload.users" = [1, 8]\n"proxy.service.web.balance" = ["p2c", "random"]\n'
    variants = load_scenario(write(TEXT + compare)).variants
    assert [variant.label for variant in variants] == ["1, p2c", "1, random", "8, p2c", "8, random"]
    assert variants[3].setting == {"workload.users": 8, "proxy.service.web.balance": "random"}
    got = [(v.scenario.workload.users, v.scenario.proxy.service["web"].balance) for v in variants]
    assert got == [(1, "p2c"), (1, "random"), (8, "p2c"), (8, "random")]


def test_variants_differ_only_in_their_setting(write) -> None:
    one, other = load_scenario(write(TEXT + '[compare]\n"workload.users" = [1, 8]\n')).variants
    assert one.scenario.model_copy(update={"workload": other.scenario.workload}) == other.scenario


def test_an_override_holds_in_every_variant(write) -> None:
    loaded = load_scenario(write(TEXT + '[compare]\n"workload.users" = [1, 8]\n'), ["seed=5"])
    assert [variant.scenario.seed for variant in loaded.variants] == [5, 5]


def test_the_comparison_itself_can_be_overridden(write) -> None:
    loaded = load_scenario(write(TEXT), {"compare": {"seed": [1, 2, 3]}})
    assert [variant.scenario.seed for variant in loaded.variants] == [1, 2, 3]


@pytest.mark.parametrize(
    ("compare", "said"),
    [
        (
            '"proxy.service.web.balance" = ["p2c", "p2d"]',
            "compare: proxy.service.web.balance: unknown balancing",
        ),
        ('"workload.usres" = [1]', "compare: workload.usres: unknown key (did you mean 'users'?)"),
        (
            '"workload.users" = [1, 0]',
            "compare: workload.users: input should be greater than or equal to 1, not 0",
        ),
        ('"workload.users" = []', "compare.workload.users: expected at least one item"),
        ('"workload.users" = 5', "compare.workload.users: expected a list, not 5"),
        ('"title.x" = [5]', "compare: title.x: 'title' is a single value, not a table"),
        (
            '"proxy.route.7.to" = ["web"]',
            "compare: proxy.route.7.to: expected a position from 0 to 0, not '7'",
        ),
    ],
)
def test_a_mistake_in_a_variant_is_found_before_anything_runs(write, compare: str, said: str) -> None:
    file = write(f"{TEXT}[compare]\n{compare}\n")
    assert complaint(file).startswith(f"{file}: {said}")


TRACED = TEXT.replace("users = 4", 'trace = "requests.csv"')
CSV = "time_s,object,size_bytes\n0,a,{size}\n4,a,{size}\n"


def test_a_trace_stands_beside_its_scenario(write) -> None:
    write(CSV.format(size=5), "requests.csv")
    loaded = load_scenario(write(TRACED))
    assert Workload(loaded.scenario).sizes.tolist() == [5]
    assert [Workload(variant.scenario).sizes.tolist() for variant in loaded.variants] == [[5]]


def test_compared_traces_stand_beside_their_scenario_too(write, tmp_path: Path, monkeypatch) -> None:
    write(CSV.format(size=5), "requests.csv")
    write(CSV.format(size=6), "other.csv")
    write(TRACED + '[compare]\n"workload.trace" = ["requests.csv", "other.csv"]\n')
    monkeypatch.chdir(tmp_path.parent)
    variants = load_scenario(Path(tmp_path.name) / "mine.toml").variants
    assert [Workload(variant.scenario).sizes.tolist() for variant in variants] == [[5], [6]]


def test_a_trace_with_a_whole_path_is_taken_as_it_is(write, tmp_path: Path) -> None:
    trace = write(CSV.format(size=7), "elsewhere.csv")
    assert load_scenario(write(TRACED), {"workload.trace": str(trace)}).scenario.workload.trace == str(trace)


def test_plain_data_makes_the_same_scenario_and_stays_as_it_was(write, plain) -> None:
    data = plain()
    loaded = parse_scenario(data, ["workload.users=9", "backend.web.slow.1=2.0"], name="lesson")
    assert (loaded.name, loaded.scenario.workload.users) == ("lesson", 9)
    assert data == plain()
    with pytest.raises(BadInput, match=r"^scenario: titel: unknown key \(did you mean 'title'\?\)$"):
        parse_scenario({**data, "titel": "x"})
