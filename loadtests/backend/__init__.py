"""The backends of a real run: HTTP servers that do the demanded work.

Read in this order:

- `server`: the process and its replicas; it reads requests and writes responses.
- `acceptor`: the port of one replica, and its connections.
- `slots`: how many requests a replica works on at once; the others queue.
- `fault_schedule`: when a replica is down or slow.
- `fetch_log`: the fetches of a replica, with their times.

The main thread starts and stops runs. One thread accepts at each port, and one serves each
connection. Every shared object has its own lock.
"""
