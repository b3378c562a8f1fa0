"""The backends of a real run: HTTP servers that do the demanded work.

Read in this order:

- `server`: the process and its replicas.
- `replica`: one of them: it works on requests, asks others, and responds; `acceptor`: its port.
- `request`: how requests are read; `answer`: how bodies are sent.
- `demand`: the work and the calls of a request; `deadline`: until when; `chance`: what a replica draws.
- `calls`: how it asks others, through its sidecar.
- `slots`: how many requests a replica works on at once; the others queue.
- `fault_schedule`: when a replica is down or slow.
- `fetch_log`: the fetches of a replica, with their times.

The main thread starts and stops runs. One thread accepts at each port, and one serves each
connection. Every shared object has its own lock.
"""
