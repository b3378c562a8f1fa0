"""Sockets below HTTP: addresses, names, connections, TLS, the PROXY protocol.

Reading order: `address` (addresses as text, and which are the proxy's own), `resolver` (names to
addresses, with a time limit), `dial` (connections: `connect` waits, `start_connect` and `Dial` do
not), `listener`, `tls` (`TlsSocket`, and the contexts of both sides), `certificates` (which
certificate a client gets), `proxy_protocol` (headers in which a proxy in front names the client; no I/O).

Owners. The caller that asks for a socket owns it. The only threads are those of the `Resolver`; a `Dial`
belongs to the thread of its loop. A `Certificates` never changes.
"""
