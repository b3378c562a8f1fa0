"""The recorded sequence exercises every mechanism, and is decided the same every time."""

from collections import Counter

from tests.policies.resilience import recorded_sequence


def test_the_sequence_meets_every_mechanism_and_is_decided_the_same_twice() -> None:
    decided = list(recorded_sequence.decisions())
    assert decided == list(recorded_sequence.decisions())
    found = Counter(choice for _, choice in decided)
    assert {*range(recorded_sequence.UPSTREAMS), -503} <= set(found)
    assert sum(found.values()) == 3000
    in_storm = Counter(choice for event, choice in decided if 3.0 <= event.at < 5.0)
    assert in_storm[-503] > 20, "breaker and limit refuse"
    picked = {choice for event, choice in decided if 3.3 <= event.at < 3.5}
    assert not picked >= set(range(recorded_sequence.UPSTREAMS)), "one is ejected"
