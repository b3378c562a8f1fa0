"""Parts of answers in the store: kept, combined to a whole, replaced, and never where that is doubtful."""

import random
import re
import threading
import time

import pytest

from realproxy import Cache, Limits, Route, RouteCache, Service

BODY = b"0123456789"
FRESH = "Cache-Control: max-age=60"


def part(first: int, last: int, *fields: str, tag: str = '"v1"', body: bytes = BODY) -> bytes:
    """A sound 206 from the origin."""
    held = body[first : last + 1]
    lines = [f"ETag: {tag}", f"Content-Range: bytes {first}-{last}/{len(body)}", *(fields or (FRESH,))]
    head = "HTTP/1.1 206 X\r\n" + "".join(f"{line}\r\n" for line in lines)
    return b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(held), held)


def whole(*fields: str, tag: str = '"v1"', body: bytes = BODY) -> bytes:
    head = "HTTP/1.1 200 OK\r\n" + "".join(f"{line}\r\n" for line in (f"ETag: {tag}", *(fields or (FRESH,))))
    return b"%bContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)


def outcome(answer) -> str:
    return answer["Cache-Status"].removeprefix("proxytwin; ")


@pytest.fixture(name="pair")
def _pair(origin, serve, wire):
    """An origin that gives the answers of a list, one after the other; `ask` asks through a caching proxy."""

    class Pair:
        def __init__(self, *answers: bytes | None, **settings) -> None:
            left = list(answers)
            self.server = origin(lambda _: left.pop(0))
            self.proxy = serve(self.server, caching=True, **settings)
            self.client = wire(self.proxy)

        def ask(self, wanted: str | None = None, *fields: str, method: str = "GET"):
            lines = [f"Range: bytes={wanted}"] if wanted is not None else []
            answer = self.client.ask("/", method, *lines, *fields)
            self.place, self.outcome = answer["Content-Range"], outcome(answer)
            return answer.status, answer.body, self.outcome

    return Pair


# --- one part -----------------------------------------------------------------------------------------


def test_a_part_is_stored_and_answers_ranges_within_it(pair):
    two = pair(part(2, 6, FRESH, "X-Kept: 1"))
    assert two.ask("2-6") == (206, b"23456", "fwd=uri-miss; stored")
    for wanted, body, place in (("2-6", b"23456", "2-6"), ("3-4", b"34", "3-4"), ("6-6", b"6", "6-6")):
        assert two.ask(wanted) == (206, body, "hit")
        assert two.place == f"bytes {place}/10"
    answer = two.client.ask("/", "GET", "Range: bytes=3-4", 'If-Range: "v1"')
    assert (answer.status, answer.body, answer["X-Kept"], answer["ETag"]) == (206, b"34", "1", '"v1"')
    assert (answer.all("Content-Length"), len(answer.all("Content-Range"))) == (["2"], 1)
    assert answer["Age"] is not None
    assert two.ask("3-4", 'If-None-Match: "v1"')[0] == 304
    assert len(two.server.asked) == 1


def test_a_digest_of_a_part_is_not_that_of_other_parts_or_of_the_whole(pair):
    """RFC 9530, 2 and 3."""
    digests = (FRESH, "Content-Digest: sha-256=:AA==:", "Content-MD5: AA==", "Repr-Digest: sha-256=:BB==:")
    two = pair(part(0, 6, *digests), part(5, 9, *digests))
    two.ask("0-6")
    for wanted in ("0-6", "3-4", "5-9", None):  # then both are joined to the whole
        two.ask(wanted)
        answer = two.client.ask("/", "GET", *([f"Range: bytes={wanted}"] if wanted else []))
        assert (outcome(answer), answer.status) == ("hit", 206 if wanted else 200)
        assert answer["Content-Digest"] is answer["Content-MD5"] is None
        assert answer.all("Repr-Digest") == ["sha-256=:BB==:"]


def test_what_a_part_does_not_hold_goes_to_the_origin_unchanged(pair):
    two = pair(part(2, 6), part(5, 8), whole())
    two.ask("2-6")
    assert two.ask("5-8", "X: 1") == (206, b"5678", "fwd=partial; stored")
    assert (two.server.asked[1]["Range"], two.server.asked[1]["If-None-Match"]) == ("bytes=5-8", None)
    assert two.ask("3-4", 'If-Range: "v2"') == (200, BODY, "fwd=partial; stored")


@pytest.mark.parametrize("coalesce", [False, True])
def test_a_request_for_all_is_fetched_whole_and_replaces_the_part(pair, coalesce):
    cache = RouteCache(coalesce=coalesce)
    two = pair(part(2, 6), whole(tag='"v2"'), route=[Route(to="web", cache=cache)])
    two.ask("2-6")
    assert two.ask() == (200, BODY, "fwd=partial; stored")
    assert two.server.asked[1]["Range"] is None
    assert two.ask() == (200, BODY, "hit")
    assert two.ask("2-6") == (206, b"23456", "hit")
    assert two.proxy.stats()["cache_objects"] == 1


def test_head_is_not_answered_from_a_part(pair):
    two = pair(part(2, 6), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    two.ask("2-6")
    assert two.ask("2-6", method="HEAD")[::2] == (200, "fwd=partial; detail=method")


def test_only_if_cached_is_answered_from_a_part_or_not_at_all(pair):
    two = pair(part(2, 6))
    two.ask("2-6")
    assert two.ask("2-3", "Cache-Control: only-if-cached")[0] == 206
    assert two.ask(None, "Cache-Control: only-if-cached")[0] == 504


# --- parts together -----------------------------------------------------------------------------------


def test_parts_become_the_whole(pair):
    two = pair(part(4, 6), part(0, 4), part(7, 9))
    assert two.ask("4-6")[2] == "fwd=uri-miss; stored"
    assert two.ask("0-4")[2] == two.ask("7-9")[2] == "fwd=partial; stored"
    assert two.ask() == (200, BODY, "hit")
    assert two.place is None
    assert two.ask("1-8") == (206, b"12345678", "hit")
    assert two.ask("10-")[0] == 416
    assert two.ask(method="HEAD")[::2] == (200, "hit")
    assert two.proxy.stats()["cache_objects"] == 1


def test_one_part_that_is_all_is_a_whole(pair):
    two = pair(part(0, 9))
    two.ask("0-")
    assert two.ask() == (200, BODY, "hit")


def test_the_newest_part_brings_its_fields(pair):
    """RFC 9111, 3.4 and 3.2."""
    newest = part(5, 9, "Cache-Control: max-age=90", "X-New: new")
    two = pair(part(0, 4, FRESH, "X-New: old", "X-Kept: 1"), newest)
    two.ask("0-4")
    two.ask("5-9")
    answer = two.client.ask()
    assert (answer["X-New"], answer["X-Kept"], answer.all("Cache-Control")) == ("new", "1", ["max-age=90"])
    assert answer.all("Content-Length") == ["10"] and len(answer.all("Date")) == len(answer.all("Via")) == 1


def test_a_stale_part_is_not_used_but_its_bytes_count_again(pair):
    two = pair(part(0, 4, "Cache-Control: max-age=0"), part(0, 2), part(5, 9))
    assert two.ask("0-4")[2] == "fwd=uri-miss; stored"
    assert two.ask("0-2")[2] == "fwd=stale; stored"
    assert two.server.asked[1]["If-None-Match"] is None
    assert two.ask("0-4") == (206, b"01234", "hit")
    two.ask("5-9")
    assert two.ask() == (200, BODY, "hit")


def test_a_part_renews_a_stale_whole_of_its_version(pair):
    two = pair(whole("Cache-Control: max-age=0"), part(2, 4))
    two.ask()
    assert two.ask("2-4") == (206, b"234", "fwd=stale; stored")
    assert two.ask() == (200, BODY, "hit")


@pytest.mark.parametrize("first", [part(0, 4), whole("Cache-Control: max-age=0")], ids=["part", "whole"])
def test_another_version_replaces(pair, first):
    two = pair(first, part(5, 9, tag='"v2"', body=b"ABCDEFGHIJ"), whole(tag='"v2"', body=b"ABCDEFGHIJ"))
    two.ask("0-4")
    two.ask("5-9")
    assert two.ask("5-9") == (206, b"FGHIJ", "hit")
    assert two.ask("0-4") == (200, b"ABCDEFGHIJ", "fwd=partial; stored")


def test_a_gap_or_another_length_replaces(pair):
    two = pair(part(0, 2), part(6, 7), part(8, 9, body=BODY + b"a"))
    for wanted in ("0-2", "6-7"):
        two.ask(wanted)
    assert two.ask("6-7")[2] == "hit"
    assert two.ask("8-9")[2] == "fwd=partial; stored"
    assert two.ask("8-9") == (206, b"89", "hit") and two.place == "bytes 8-9/11"


def test_parts_of_two_variants_are_not_combined(pair):
    vary = "Vary: Foo"
    two = pair(part(0, 4, FRESH, vary), part(5, 9, FRESH, vary), whole(FRESH, vary))
    two.ask("0-4", "Foo: 1")
    assert two.ask("5-9", "Foo: 2")[2] == "fwd=vary-miss; stored"
    assert two.ask("0-4", "Foo: 1")[2] == two.ask("5-9", "Foo: 2")[2] == "hit"
    assert two.ask(None, "Foo: 1") == (200, BODY, "fwd=partial; stored")


def test_a_part_that_begins_to_vary_is_not_combined(pair):
    two = pair(part(0, 4), part(5, 9, FRESH, "Vary: Foo"), part(0, 4, FRESH, "Vary: Foo"))
    two.ask("0-4")
    two.ask("5-9", "Foo: 1")
    assert two.ask("5-9", "Foo: 1")[2] == "hit"
    assert two.ask("0-4", "Foo: 1")[2] == "fwd=partial; stored"
    assert two.ask(None, "Foo: 1") == (200, BODY, "hit")


def test_the_age_of_the_newest_part_is_that_of_all(pair):
    two = pair(part(0, 4), part(5, 9, FRESH, "Age: 30"))
    two.ask("0-4")
    two.ask("5-9")
    assert int(two.client.ask()["Age"]) >= 30


def test_a_part_does_not_replace_what_came_after_it_was_asked_for(origin, serve, wire, until):
    held = threading.Event()

    def script(asked) -> bytes:
        if asked["Range"] is None:
            return whole(tag='"v2"')
        held.wait(30)
        return part(2, 4)

    server = origin(script)
    proxy = serve(server, caching=True)
    slow, fast = wire(proxy), wire(proxy)
    slow.send("GET / HTTP/1.1\r\nHost: shop.test\r\nRange: bytes=2-4\r\n\r\n")
    until(lambda: server.asked)
    assert outcome(fast.ask()) == "fwd=uri-miss; stored"
    held.set()
    assert slow.answer().status == 206
    assert outcome(fast.ask()) == "hit"


# --- what is doubtful ---------------------------------------------------------------------------------


def contradictory(place: str, *fields: str) -> bytes:
    return part(2, 4, FRESH, *fields).replace(b"bytes 2-4/10", place.encode())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (part(2, 4, tag='W/"v1"'), "no-strong-etag"),
        (part(2, 4).replace(b"ETag", b"X-Tag"), "no-strong-etag"),
        (contradictory("bytes 2-5/10"), "content-range"),
        (contradictory("bytes 2-4/*"), "content-range"),
        (contradictory("bytes 2-4/4"), "content-range"),
        (contradictory("bytes 2-4/10", "Content-Range: bytes 2-4/10"), "content-range"),
        (part(2, 4, FRESH, "Content-Type: multipart/byteranges; boundary=x"), "content-range"),
        (part(2, 4, "Cache-Control: no-store"), "no-store"),
        (part(2, 4, "Cache-Control: private"), "private"),
        (part(2, 4, FRESH, "Vary: *"), "vary"),
    ],
)
def test_a_doubtful_part_passes_but_is_not_stored(pair, answer, why):
    two = pair(answer, whole())
    assert two.ask("2-4") == (206, b"234", f"fwd=uri-miss; detail={why}")
    assert two.proxy.stats()["cache_objects"] == 0
    assert two.ask("2-4") == (200, BODY, "fwd=uri-miss; stored")


def test_a_whole_that_may_not_be_stored_drops_the_part(pair):
    two = pair(part(2, 4), whole("Cache-Control: no-store"))
    two.ask("2-4")
    assert two.ask()[2] == "fwd=partial; detail=no-store"
    assert two.proxy.stats()["cache_objects"] == 0


def test_a_part_that_nobody_asked_for_is_not_stored(pair):
    two = pair(part(2, 4), part(2, 4), whole())
    assert two.ask() == (206, b"234", "fwd=uri-miss; detail=status")
    two.ask("2-4", "Cache-Control: no-store")
    assert two.proxy.stats()["cache_objects"] == 0


@pytest.mark.parametrize(("said", "kept"), [(b"23 4", True), (b"23", False), (b"23 45", False)])
def test_chunks_are_counted_at_their_end(pair, said, kept):
    head = part(2, 4).partition(b"Content-Length")[0]
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in said.split())
    two = pair(head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n")
    two.ask("2-4")
    assert two.proxy.stats()["cache_objects"] == kept
    assert not kept or two.ask("2-4") == (206, b"234", "hit")


def test_a_cut_part_is_not_stored(pair, wire):
    two = pair()

    def cut(asked) -> None:
        asked.sock.sendall(part(2, 6)[:-2])

    two.server.script = cut
    answer = two.client.ask("/", "GET", "Range: bytes=2-6")
    assert (answer.status, answer.missing) == (206, 2)
    assert two.proxy.stats()["cache_objects"] == 0


# --- an object like any other -------------------------------------------------------------------------


def test_a_part_is_purged_invalidated_and_charged(pair):
    done = b"HTTP/1.1 204 X\r\n\r\n"
    two = pair(part(2, 4), part(2, 4), done, part(2, 4), body_of_a_thousand())
    for drop in (lambda: two.proxy.purge(url="http://shop.test/"), lambda: two.ask(method="POST")):
        two.ask("2-4")
        assert two.ask("2-4")[2] == "hit"
        drop()
        assert two.proxy.stats()["cache_bytes"] == 0
    two.ask("2-4")
    small = two.proxy.stats()["cache_bytes"]
    two.ask("5-")
    assert two.proxy.stats()["cache_bytes"] == small + 995 - 3
    assert two.proxy.stats()["cache_objects"] == 1


def body_of_a_thousand() -> bytes:
    return part(5, 999, tag='"v2"', body=b"x" * 1000)


def test_a_part_too_large_for_the_store_is_not_kept(pair):
    two = pair(part(0, 5000, body=bytes(9000)), cache=Cache(capacity="4KiB", policy="lru"))
    assert two.ask("0-5000")[2] == "fwd=uri-miss; detail=too-large"


def test_a_part_is_fresh_as_any_answer_is(pair):
    two = pair(part(2, 4, "Cache-Control: max-age=60, stale-while-revalidate=9", "Age: 40"), part(2, 4))
    two.ask("2-4")
    assert two.ask("2-4", "Cache-Control: max-stale=99")[2].startswith("hit")
    assert two.ask("2-4", "Cache-Control: min-fresh=30")[2] == "fwd=request; stored"
    assert two.ask("2-4", "Cache-Control: min-fresh=30")[2] == "hit"


def test_parts_are_not_written_to_disk_and_what_is_there_goes(pair, tmp_path):
    cache = Cache(capacity="1MiB", policy="lru", disk={"folder": str(tmp_path), "capacity": "1MiB"})
    two = pair(whole(tag='"v1"'), part(2, 4, tag='"v2"'), whole(tag='"v2"'), cache=cache)
    two.ask()
    two.ask("2-4", "Cache-Control: no-cache")
    assert two.ask("2-4")[2] == "hit"
    assert two.ask() == (200, BODY, "fwd=partial; stored")


# --- under load ---------------------------------------------------------------------------------------


def test_no_answer_mixes_two_versions_while_clients_race(origin, serve, wire):
    """Real threads ask for random parts and wholes of an object that changes all the time."""
    size, made = 400, random.Random(7)

    def version(number: int) -> bytes:
        return (b"%03d\n" % (number % 1000)) * (size // 4)

    def script(asked) -> bytes:
        number = int(time.monotonic() * 200) if made.random() < 0.5 else 1
        tag, body = f'"{number}"', version(number)
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked["Range"] or "")
        fields = (made.choice(["Cache-Control: max-age=60", "Cache-Control: max-age=0"]),)
        if found is None:
            return whole(*fields, tag=tag, body=body)
        return part(int(found[1]), min(int(found[2]), size - 1), *fields, tag=tag, body=body)

    proxy = serve(
        route=[Route(to="web", cache=RouteCache(coalesce=True))],
        service={"web": Service(upstreams=[origin(script).address])},
        cache=Cache(policy="lru", capacity="20KiB"),
        limits=Limits(drain="1s"),
    )
    wrong: list[str] = []
    hits = []

    def roam(seed: int) -> None:
        rng, client = random.Random(seed), wire(proxy)
        for _ in range(150):
            first = rng.randrange(size)
            last = min(size - 1, first + rng.randrange(200))
            fields = [f"Range: bytes={first}-{last}"] if rng.random() < 0.9 else []
            answer = client.ask(f"/{rng.randrange(3)}", "GET", *fields)
            expected = version(int(answer["ETag"].strip('"')))
            if answer.status == 206:
                expected = expected[first : last + 1]
            if answer.body != expected:
                wrong.append(f"{answer.status} {answer['Cache-Status']} {answer['Content-Range']}")
            hits.append(outcome(answer) == "hit" and answer.status == 206)

    threads = [threading.Thread(target=roam, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert any(hits) and len(hits) == 600
