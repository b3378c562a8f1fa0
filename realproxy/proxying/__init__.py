"""The life of a request. Read `pipeline` first: its tuple `PHASES` is the whole life, in order.

Then read `context` (what the phases share), `reverse` and `forward` (the two sides), `cache_lookup`,
`response`, and `reply` (responses without an upstream). `faults`, `socks` and `revalidation` are options.
`rules`, `forward_access` and `snapshot` hold what is built from the settings.

Owners. One thread owns a `RequestContext` at a time and runs its phases. If a phase would wait in the
event loop's thread, a worker enters the same phase again. `worker.ThreadState` belongs to one thread. A
`ConfigSnapshot` does not change, and any thread reads it.
"""
