"""The roster: which upstreams there are while the addresses of their names come and go."""

from hypothesis import given
from hypothesis import strategies as st

from policies.settings import Service
from realproxy.upstream.roster import MOST, Roster, placed

ADDRESSES = st.lists(
    st.sampled_from([f"10.0.0.{number}" for number in range(1, 30)] + ["::1", "::2"]), max_size=25
)


def roster(found: list[str], *upstreams: object) -> Roster:
    settings = Service.model_validate({"upstreams": upstreams or ["web.test:80"], "resolve": "1s"})
    return Roster(settings, lambda _: found)


def present(one: Roster) -> list[str]:
    return [name for index, name in enumerate(one.names) if index not in one.absent]


@given(st.lists(ADDRESSES, max_size=8), st.lists(st.booleans(), min_size=MOST, max_size=MOST))
def test_every_address_has_a_place_and_those_that_stay_keep_theirs(
    changes: list[list[str]], busy: list[bool]
) -> None:
    one = roster([])
    for found in changes:
        before = {name: one.names.index(name) for name in present(one)}
        come, gone = one.update("web.test", found, [int(each) for each in busy])
        if not found:
            assert (come, gone) == ([], [])
            continue
        wanted = {f"{each}:80" for each in found if ":" not in each} or {f"[{each}]:80" for each in found}
        now = set(present(one))
        assert now <= wanted
        assert len(now) == min(len(wanted), MOST)
        assert all(one.names.index(name) == place for name, place in before.items() if name in now)
        assert {one.names[index] for index in come} | (set(before) & now) == now
        assert set(gone) >= {place for name, place in before.items() if name not in now}
        assert one.update("web.test", found, busy) == ([], [])


def test_free_places_without_requests_are_taken_first() -> None:
    assert placed(["a", "", ""], [True, True, False], ["b"]) == ["", "", "b"]
    assert placed(["a", "", ""], [False, True, True], ["a", "b"]) == ["a", "b", ""]


def test_a_name_without_addresses_is_dialled_by_its_name() -> None:
    one = roster([], "web.test:80", "10.0.0.9:81", {"address": "other.test:82", "weight": 2})
    assert present(one) == ["web.test:80", "10.0.0.9:81", "other.test:82"]
    assert (one.changing, one.weights[-1]) == (["web.test", "other.test"], 2)
    come, gone = one.update("other.test", ["10.0.0.2", "10.0.0.1"], [0] * len(one.names))
    assert present(one) == ["web.test:80", "10.0.0.9:81", "10.0.0.1:82", "10.0.0.2:82"]
    assert (len(come), len(gone)) == (2, 1)


def test_without_resolve_a_name_is_one_upstream() -> None:
    one = Roster(Service.model_validate({"upstreams": ["web.test:80"]}), lambda _: ["10.0.0.1", "10.0.0.2"])
    assert (one.names, one.absent, one.changing) == (["web.test:80"], set(), [])
