"""Counts of several processes, added up."""

from hypothesis import given
from hypothesis import strategies as st

from realproxy.observe.sum_stats import sum_stats


def test_numbers_add_and_tables_join_by_their_texts():
    one = {"requests": 2, "answers": {"200": 2}, "upstreams": {"web": [{"address": "a", "requests": 2}]}}
    other = {
        "requests": 3,
        "answers": {"200": 1, "404": 2},
        "upstreams": {"web": [{"address": "a", "requests": 1}]},
    }
    assert sum_stats([one, other]) == {
        "requests": 5,
        "answers": {"200": 3, "404": 2},
        "upstreams": {"web": [{"address": "a", "requests": 3}]},
    }


def test_nothing_adds_up_to_nothing():
    assert sum_stats([]) == {}


rows = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 9)),
    max_size=4,
    unique_by=lambda r: r[:2],
)


@given(st.lists(rows, max_size=4))
def test_every_row_counts_once_whatever_the_order(parts):
    tables = [
        [{"side": side, "status": status, "count": count} for side, status, count in part] for part in parts
    ]
    total = sum_stats({"traffic": table} for table in tables).get("traffic", [])
    assert sum(row["count"] for row in total) == sum(row["count"] for table in tables for row in table)
    assert len({(row["side"], row["status"]) for row in total}) == len(total)
    backwards = sum_stats({"traffic": table} for table in reversed(tables)).get("traffic", [])
    assert sorted(map(str, total)) == sorted(map(str, backwards))


def split(number: int, arm: str, requests: int) -> dict[str, object]:
    arms = {arm: {"weight": 9.0, "share": 0.9, "requests": requests}}
    return {"route": number, "arms": arms}


def test_splits_and_mirrors_of_several_processes_keep_apart_by_route() -> None:
    def part(requests: int) -> dict[str, object]:
        mirrors = [
            {"to": "copy", "sent": requests, "failed": 0, "skipped": 1, "in_flight": 0},
            {"to": "copy", "sent": 10 * requests, "failed": 0, "skipped": 0, "in_flight": 0},
        ]
        return {"splits": [split(0, "api", requests), split(3, "web", 2 * requests)], "mirrors": mirrors}

    total = sum_stats([part(1), part(2), part(3)])
    assert total["splits"] == [split(0, "api", 6), split(3, "web", 12)]
    assert [(one["to"], one["sent"], one["skipped"]) for one in total["mirrors"]] == [
        ("copy", 6, 3),
        ("copy", 60, 0),
    ]
