"""Connections of clients: reading heads, sending responses, and the limits for slow clients.

Read `connection` first. A `DownstreamConnection` is a socket, the bytes that have arrived on it, and its
state. `min_rate` limits how long a slow client may hold a worker.

Owners. One thread owns a connection at a time: the event loop's thread while it waits for a request, a
worker while a request is answered, the fan-out thread while the request waits for another request's fetch,
the relay thread while it is a tunnel. Only the owner uses the connection.
"""
