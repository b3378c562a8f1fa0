"""Accept connections, wait for requests, and decide which thread runs the phases of a request.

Read `acceptor` and `connection_loop` first: one thread accepts, and waits for the heads of requests. Then
`http_server`, which reads the requests of a connection and runs the phases (`realproxy.proxying`);
`fast_path`, which runs them in the event loop's thread until a request would wait; and `worker_pool`,
whose threads run the rest.

Each option is a file of its own: `handshake` (PROXY protocol, TLS, SOCKS), `accept_balance` (several
processes on one listener), `tcp_proxy` (raw TCP, without HTTP).

Owners. The event loop's thread owns a connection while it waits for a request. A worker owns it while it
runs a request. Every handover is the last thing that a thread does with a connection.
"""
