"""The clients of a real run: Locust's process, which replays a scenario and times every response.

Read in this order:

- `locustfile`: the file that Locust loads; its options.
- `locust_adapter`: connects a replay with Locust's users, its page, and the parent's jobs.
- `options`: obeys or refuses Locust's options; `host`: the address that ``--host`` names.
- `page`: lets Locust's page start scenarios only.
- `replay`: sends a scenario's requests on time, with closed or open load.
- `connection`: one kept-alive HTTP connection, timed close to its socket.
- `timer`: wakes greenlets on time; gevent alone rounds up to whole milliseconds.
- `cache_status`: finds out which proxy's cache served a response.

Everything runs in greenlets of one thread. They share one `Replay`, which owns the timer and all
connections.
"""
