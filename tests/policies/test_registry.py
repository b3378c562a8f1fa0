"""Policies by name: chosen in a file, added in a notebook cell."""

import pytest

from policies.balancing import balancing_policies
from policies.eviction import EvictionPolicy, eviction_policies, eviction_policy
from policies.registry import Registry, nearest


class Shape:
    """What the registry of these tests holds."""


@pytest.fixture
def shapes() -> Registry[Shape]:
    return Registry("shape")


def test_the_decorator_makes_a_class_known_and_leaves_it_as_it_is(shapes: Registry[Shape]) -> None:
    @shapes.register("circle")
    class Circle(Shape):
        pass

    assert Circle.__name__ == "Circle" and shapes["circle"] is Circle
    assert shapes.check("circle") == "circle"


def test_names_come_in_the_order_of_registration(shapes: Registry[Shape]) -> None:
    for name in ("square", "circle", "line"):
        shapes.register(name)(Shape)
    assert shapes.names() == ["square", "circle", "line"]


def test_registering_again_replaces_the_class_as_a_cell_that_is_run_twice_must(
    shapes: Registry[Shape],
) -> None:
    first, second = type("Circle", (Shape,), {}), type("Circle", (Shape,), {})
    shapes.register("square")(Shape)
    shapes.register("circle")(first)
    shapes.register("circle")(second)
    assert shapes["circle"] is second and shapes.names() == ["square", "circle"]


def test_one_class_may_have_two_names(shapes: Registry[Shape]) -> None:
    shapes.register("disc")(shapes.register("circle")(Shape))
    assert shapes["disc"] is shapes["circle"] is Shape


def test_an_unknown_name_comes_with_the_nearest(shapes: Registry[Shape]) -> None:
    shapes.register("circle")(Shape)
    shapes.register("square")(Shape)
    with pytest.raises(ValueError, match=r"^unknown shape 'circel' \(did you mean 'circle'\?\)$"):
        shapes["circel"]
    with pytest.raises(ValueError, match=r"^unknown shape 'x'; known: circle, square$"):
        shapes.check("x")


def test_an_empty_registry_promises_nothing(shapes: Registry[Shape]) -> None:
    with pytest.raises(ValueError, match=r"^unknown shape 'circle'$"):
        shapes["circle"]


def test_what_comes_from_outside_of_the_package_is_added(shapes: Registry[Shape]) -> None:
    shapes.register("mine")(Shape)
    shapes.register("shipped")(type("Circle", (Shape,), {"__module__": "policies.shapes.circle"}))
    shapes.register("lookalike")(type("Circle", (Shape,), {"__module__": "policies_of_mine"}))
    assert list(shapes.added()) == ["mine", "lookalike"]
    assert list(shapes.added(__name__.partition(".")[0])) == ["shipped", "lookalike"]


def test_the_shipped_policies_are_those_of_the_design() -> None:
    assert {"fifo", "lru", "lfu", "sieve", "s3_fifo"} <= set(eviction_policies.names())
    assert {"round_robin", "random", "least_requests", "p2c"} <= set(balancing_policies.names())


def test_a_policy_of_a_notebook_cell_is_at_once_what_settings_may_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from policies.settings import parse_settings

    monkeypatch.setattr(eviction_policies, "_classes", dict(eviction_policies._classes))

    @eviction_policy("most_recently_used")
    class MostRecentlyUsed(EvictionPolicy):
        def __init__(self, capacity: int, **kwargs: object) -> None:
            super().__init__(capacity, **kwargs)
            self.row: list[object] = []

        def touch(self, key: object, now: float) -> None:
            self.row.remove(key)
            self.row.append(key)

        def _admit(self, key: object, size: int, now: float) -> None:
            self.row.append(key)

        def _evict(self, now: float) -> object:
            return self.row.pop()

        def _forget(self, key: object) -> None:
            self.row.remove(key)

    mru: EvictionPolicy = eviction_policies["most_recently_used"](2)
    assert [mru.request(key, 1, 0.0) for key in "abcab"] == [False, False, False, True, False]
    settings = parse_settings({"forward": {}, "cache": {"policy": "most_recently_used"}})
    assert settings.cache.policy == "most_recently_used"
    assert eviction_policies.added()["most_recently_used"] is MostRecentlyUsed


@pytest.mark.parametrize(
    ("name", "hint"),
    [("lur", " (did you mean 'lru'?)"), ("zzz", "; known: fifo, lru"), ("", "; known: fifo, lru")],
)
def test_nearest_suggests_one_name_or_tells_all(name: str, hint: str) -> None:
    assert nearest(name, ["lru", "fifo"]) == hint
