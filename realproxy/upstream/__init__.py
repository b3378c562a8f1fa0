"""Services and connections to upstreams: pick, connect, send, retry, hedge, check.

Reading order: `service` (upstreams, their balancer, what is known of failures), `target` (which
upstreams one request may use), `endpoint` and `pool` (connections), `connection` (blocking calls on
one), `round_trip` (a request until its response), `request_body`. Options: `admission_control` (rate
limit, queue, breaker), `transport` (PROXY protocol, TLS), `parent_proxy`, `hedging`, `upgrade`,
`health_check`.

Owners. A worker owns the connection that it acquired; the pool owns the idle ones. A `Service` is
shared by all threads under one lock, which is never held during a wait. An `Endpoint` never changes.
"""
