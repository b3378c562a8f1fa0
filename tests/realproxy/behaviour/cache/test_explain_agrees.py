"""What `explain --answer` says of drawn answers is what the real proxy does with them."""

import random
import re
import time
from email.utils import formatdate

import pytest

from policies.settings import parse_settings
from realproxy import RouteCache
from realproxy.control.explain import explain, explain_stored

STATUSES = [200] * 8 + [203, 204, 301, 302, 403, 404, 410, 416, 429, 451, 500, 503, 599]
LIFETIMES = ["", "max-age=60", "max-age=0", "s-maxage=30, max-age=90", "max-age=x", "max-age=31536000"]
DIRECTIVES = [
    "", "", "no-store", "private", "no-cache", "public", "must-revalidate", "must-understand, no-store",
    "stale-while-revalidate=40", "stale-if-error=100", 'private="set-cookie"', "stale-if-error=0",
]  # fmt: skip
OTHERS = [
    'ETag: "v"', "Set-Cookie: a=b", "Vary: Foo", "Vary: *", "Age: 20", "CDN-Cache-Control: max-age=45",
    'Cache-Groups: "x"', "Content-Range: bytes 0-1/9", "Pragma: no-cache",
]  # fmt: skip
ASKED = [
    "Authorization: x", "Cache-Control: max-age=10", "Cache-Control: min-fresh=50", "Foo: bar", "Cookie: a",
    "Cache-Control: max-stale=30", "Cache-Control: no-cache", "Cache-Control: no-store", "User-Agent: a",
    "Cache-Control: max-stale", "Range: bytes=0-1", "Pragma: no-cache", "X-Forwarded-Port: 1", "If-Match: x",
]  # fmt: skip
BODY = b"0123456789"


def answer_of(rng: random.Random, now: float) -> bytes:
    """The head of an answer that came now."""
    control = ", ".join(filter(None, [rng.choice(LIFETIMES), rng.choice(DIRECTIVES)]))
    lines = [f"Cache-Control: {control}"] if control else []
    lines += rng.sample(OTHERS, rng.choice([0, 0, 1, 1, 2]))
    if rng.random() < 0.4:
        lines.append(f"Date: {formatdate(now - rng.choice([0, 0, 25, 100]), usegmt=True)}")
    if rng.random() < 0.2:
        lines.append(f"Expires: {formatdate(now + rng.choice([-50, 35]), usegmt=True)}")
    if rng.random() < 0.3:
        lines.append(f"Last-Modified: {formatdate(now - 500, usegmt=True)}")
    status = rng.choice(STATUSES)
    length = [] if status == 204 else [f"Content-Length: {len(BODY)}"]
    fields = "".join(f"{line}\r\n" for line in lines + length)
    return f"HTTP/1.1 {status} X\r\n{fields}\r\n".encode()


def first_says(lines: list[str]) -> str:
    """What Cache-Status will say of the first response."""
    [stored] = [line for line in lines if line.startswith("stored: ")]
    refused = re.match(r"stored: no, ([a-z-]+): ", stored)
    return "stored" if refused is None else f"detail={refused[1]}"


def later_says(lines: list[str], after: str) -> str:
    """What happens to the same request later, in a word."""
    [later] = [line.removeprefix(after) for line in lines if line.startswith(after)]
    if "revalidated behind" in later:
        return "behind"
    if later.startswith("answered with it"):
        return "hit"
    return "validated" if later.startswith("validated") else "fetched"


@pytest.mark.parametrize("ttl", [None, "50s"])
def test_what_is_explained_is_what_happens(origin, serve, wire, later, ttl):
    rng = random.Random(12)
    settings = parse_settings(
        {
            "route": [{"to": "web", "cache": {"ttl": ttl, "stale": "30s"} if ttl else {"stale": "30s"}}],
            "service": {"web": {"upstreams": "127.0.0.1:1"}},
        }
    )
    heads: dict[str, bytes] = {}
    fails: set[str] = set()

    def script(asked):
        if asked.target in fails:
            return b"HTTP/1.1 502 X\r\nContent-Length: 0\r\n\r\n"
        head = heads[asked.target]
        return head if b" 204 " in head[:13] else head + BODY

    server = origin(script)
    proxy = serve(server, caching=RouteCache(ttl=ttl, stale="30s"))
    client = wire(proxy)
    seen = {"stored": 0, "hit": 0, "behind": 0, "validated": 0, "fetched": 0, "instead": 0, "failure": 0}
    for number in range(250):
        fields = rng.sample(ASKED, rng.choice([0, 0, 0, 1, 1, 2]))
        if sum(field.startswith("Cache-Control") for field in fields) > 1:
            continue
        elapsed = rng.choice([0, 5, 20, 35, 70, 120])
        head = answer_of(rng, time.time())
        headers = {"Host": "shop.test", **dict(field.split(": ", 1) for field in fields)}
        for kind in ("works", "fails"):
            target = f"/{number}/{kind}"
            heads[target] = head
            told = explain_stored(
                settings, explain(settings, "GET", target, headers), head, elapsed, "answer"
            )
            case = "\n".join([target, head.decode(), *fields, *told])
            first = client.ask(target, "GET", *fields)["Cache-Status"]
            said = first_says(told)
            assert first.endswith(f"; {said}"), case
            seen["stored"] += said == "stored"
            if said != "stored":
                break
        else:
            later(elapsed)
            client = wire(proxy)  # the other connection may have been idle for too long by now
            word, count = later_says(told, f"after {elapsed} s: "), len(server.asked)
            again = client.ask(f"/{number}/works", "GET", *fields)["Cache-Status"]
            seen[word] += 1
            if word in ("hit", "behind"):
                assert "; hit" in again, case
                assert ("detail=behind" in again) is (word == "behind"), case
            else:
                assert "; fwd=" in again, case
                [request] = [one for one in server.asked[count:] if one.target == f"/{number}/works"]
                validated = request["If-None-Match"] == '"v"' or request["If-Modified-Since"] is not None
                assert validated is (word == "validated"), case
                fails.add(f"/{number}/fails")
                answer = client.ask(f"/{number}/fails", "GET", *fields)
                instead = any("if the origin fails, answered with it" in line for line in told)
                assert (answer.status != 502) is instead, case
                seen["instead" if instead else "failure"] += 1
    assert min(seen.values()) >= 2, f"each case is met: {seen}"
