"""Start, reload and stop a proxy, in one process or in several; check and explain its settings.

Read `proxy` first, the public face of a proxy. It holds either an `instance.Instance`, a proxy in this
process, or a `fleet.Fleet` of worker processes. `Instance` is the composition root: it builds all parts of
a proxy and gives them their threads. `listeners` holds the sockets, which several processes may share. For
several processes read `fleet` and `worker_handle` in the parent, and `worker_process` in a worker.
`signals` obeys SIGTERM, SIGHUP and SIGUSR1. `check` and `explain` work without a running proxy;
`running_split` asks one, if there is one.

Owners. An `Instance` owns its threads, its listeners and its parts; `stop` ends all of them. A `Fleet`
owns the listeners and the worker processes; each worker owns one `Instance`.
"""
