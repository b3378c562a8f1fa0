"""What a request that is over may still hold, and the faults that threads report."""

import threading
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def held(inside) -> Callable[[Any], dict[str, object]]:
    """What the requests of a proxy hold; nothing once all are over and their clients gone."""

    def find(proxy: Any) -> dict[str, object]:
        instance = inside(proxy)
        now, stats = instance._now, instance.stats()
        collapser, store = now.snapshot.collapser, now.snapshot.store
        found = {
            "outstanding": sum(one["outstanding"] for all_ in stats["upstreams"].values() for one in all_),
            "slots": instance._workers.slots._taken,
            "upstream connections": len(now.snapshot.pool._in_use),
            "flights": len(collapser._flights) + len(collapser._in_progress) + len(store._revalidating),
            "under way": len(now.server.under_way),
            "memory": max(64 * 2**20, now.snapshot.settings.cache.capacity) - store._budget,
            "in the queues": sum(service["waiting"] for service in stats["services"].values()),
            "waiting": stats["waiting"] + stats["queued"] + stats["awaiting"],
            "connections": stats["connections"],
            "tunnels": stats["tunnels"],
        }
        return {name: count for name, count in found.items() if count}

    return find


@pytest.fixture
def told(monkeypatch) -> list[type]:
    """The faults that are reported, by a thread that lives on or by its end."""
    found: list[type] = []
    monkeypatch.setattr(threading, "excepthook", lambda fault: found.append(fault.exc_type))
    return found
