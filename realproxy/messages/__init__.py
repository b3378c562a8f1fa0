"""Messages: what the proxy writes into heads that it forwards, its own replies, and the record of a request.

Reading order: `record` (a request and its outcome, for the log and the metrics), `headers` (the heads
for the upstream and the client), `local_reply` (replies that the proxy makes), `proxy_status` (their
Proxy-Status field), `max_forwards` (TRACE and OPTIONS).

Owners. No I/O and no threads. A `RequestRecord` belongs to the thread that serves the request; once the
request has ended, the record never changes and any thread may read it.
"""
