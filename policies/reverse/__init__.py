"""The decisions of a reverse proxy, without I/O.

A request meets the files in this order: `forwarded` (which client do the trusted proxies in front
name?), `trace_context` (which trace does the request belong to?), `routing` (which route takes it?),
`faults` (which of the route's faults does it get?).
"""
