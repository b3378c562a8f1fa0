"""Other proxies that a real run can have instead of ours: nginx, HAProxy, Varnish, Squid.

Each is a translator from a proxy's settings to the peer's own files and command line. It starts nothing
(`loadtests.run.proxies` does), so that it can be tested without a process. Read in this order:

- `base`: `Peer`, what a translator must say, and what none of them obeys.
- `set_keys`: the keys of settings that are not at their defaults.
- `room`: how many objects fit into a cache, so that each peer's cache holds as many.
- `nginx`, `haproxy`, `varnish`, `squid`: a translator each.
- `installed`: whether a peer is there, and new enough.
- `registry`: the translators by name.
"""
