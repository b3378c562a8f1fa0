"""A shop of four services, each a process with a sidecar beside it: ``python -m examples.shop``.

Read `service` (what the four do), then `mesh` (who is started in which order, and each sidecar's settings).
`locustfile` has the customers.
"""
