"""Meters: what exchanges are counted as."""

import pytest

from realproxy.messages.record import RequestRecord
from realproxy.observe.metrics import LABELS, Metrics


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        ("", ""),
        ("hit", "hit"),
        ("hit; detail=behind", "hit"),
        ("fwd=uri-miss; stored", "miss"),
        ("fwd=uri-miss; collapsed", "collapsed"),
        ("fwd=stale; collapsed", "collapsed"),
        ('fwd=uri-miss; stored; key="web http://a/collapsed"', "miss"),
    ],
)
def test_what_the_cache_did_is_counted_in_one_word(told, counted):
    meter, exchange = Metrics(), RequestRecord("192.0.2.1", 1.0, 1.0)
    exchange.cache, exchange.ended = told, 2.0
    meter.record(exchange)
    ((key, _),) = meter.rows().items()
    assert key[LABELS.index("cache")] == counted
