"""The life of a request. Read `pipeline` first: its tuple `PHASES` is the whole life, in order.

1. ``identify``: loops, the side (reverse, forward or tunnel), trusted proxies, the trace.
2. ``route``: reverse side: the first route that matches.
3. ``authorise``: forward side: user, port and name.
4. ``inject_faults``: the faults of the route.
5. ``look_up``: a hit is sent; a miss joins the fetch of another request, or begins one.
6. ``open_upstream``: admission, the choice of an upstream, a connection.
7. ``send_request``: the head, and the body as far as it has arrived.
8. ``await_response``: the head; retry, hedging, stale-if-error.
9. ``respond``: head and body, to the client and to the store.

Then read `context` (what the phases share), `reverse` and `forward` (the two sides), `cache_lookup`,
`response`, and `reply` (responses without an upstream). `faults`, `socks` and `revalidation` are options.
`rules` and `snapshot` hold what is built from the settings; `routing` and `forward_access` decide.

Owners. One thread owns a `RequestContext` at a time and runs its phases. If a phase would wait in the
event loop's thread, a worker enters the same phase again. `worker.ThreadState` belongs to one thread. A
`ConfigSnapshot` does not change, and any thread reads it.
"""
