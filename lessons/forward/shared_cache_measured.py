"""The shared cache on real sockets: a real forward proxy, and real clients with the same requests."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from IPython.display import HTML, display

from lessons.forward.shared_cache import EACH, asked_by, figure_of_sharing, in_words, share, web_of_many
from lessons.kit.difference import difference
from lessons.kit.display import Picture, table
from lessons.kit.origin_server import SmallWeb
from lessons.kit.progress_bars import NotebookBars
from realproxy import Cache, Forward, Limits, Proxy
from twin.plots.style import MEASURED, PREDICTED

AT_ONCE = 8
"""Users that browse at the same time."""
NUMBERS = (1, 4, 16, 40)


def browse_pages(proxy: Proxy, web: SmallWeb, pages: Sequence[int], *, tunnelled: bool = False) -> int:
    """Request each page through the proxy, and return the number of cache hits.

    Parameters
    ----------
    proxy, web : Proxy, SmallWeb
        Both must be running.
    pages : sequence of int
        Numbers of the pages.
    tunnelled : bool
        Send the requests through a tunnel, as a browser does for https.
    """
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    if tunnelled:
        connection.set_tunnel("127.0.0.1", web.port)
    hits = 0
    try:
        for page in pages:
            connection.request("GET", f"{'' if tunnelled else web.url}/page/{page}")
            answer = connection.getresponse()
            answer.read()
            hits += (answer.getheader("Cache-Status") or "").startswith("proxytwin; hit")
    finally:
        connection.close()
    return hits


def measure_sharing(
    users: int,
    alike: float,
    advance: Callable[[float], None] | None = None,
    *,
    tunnelled: bool = False,
) -> float:
    """Hit ratio of a real forward proxy under the requests of `users` users.

    Parameters
    ----------
    users, alike : int, float
        The parameters of `lessons.forward.shared_cache.web_of_many`.
    advance : callable, optional
        Called after each user with the number of requests that this user sent.
    tunnelled : bool
        Send the requests through tunnels, as browsers do for https.
    """
    everybody = asked_by(web_of_many(users, alike))
    with (
        SmallWeb() as web,
        Proxy(
            forward=Forward(private_targets=True, cache=True, connect_ports=[web.port]),
            cache=Cache(capacity="1GiB"),
            limits=Limits(drain="1s"),
        ) as proxy,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        hits = 0
        for found in pool.map(lambda pages: browse_pages(proxy, web, pages, tunnelled=tunnelled), everybody):
            hits += found
            if advance is not None:
                advance(EACH)
    return hits / sum(map(len, everybody))


def confirm_sharing(numbers: Sequence[int] = NUMBERS, alike: float = 0.9) -> dict[int, float]:
    """Predict and measure the hit ratio for several numbers of users, and show both.

    Returns
    -------
    dict of int to float
        The measured hit ratio by number of users.
    """
    bars = NotebookBars()
    measured = {}
    with bars.displayed():
        for users in numbers:
            with bars.step("browsing", users * EACH, "requests") as advance:
                bars.note(f"{users} user{'s' * (users > 1)}, {users * EACH:,} requests")
                measured[users] = measure_sharing(users, alike, advance)
    display(HTML(sharing_table(measured, alike)))
    last = share(max(numbers), alike)
    display(Picture(figure_of_sharing(last, measured), f"Predicted and measured. {in_words(last)}."))
    return measured


def sharing_table(measured: dict[int, float], alike: float) -> str:
    """Predicted and measured hit ratio for each number of users, as HTML."""
    rows = []
    for users, ratio in measured.items():
        predicted = share(users, alike).shared
        apart = difference(100 * predicted, 100 * ratio, "%")
        rows.append([str(users), f"{predicted:.1%}", f"{ratio:.1%}", apart])
    return table(["users", "predicted", "measured", "difference"], rows, {1: PREDICTED, 2: MEASURED})
