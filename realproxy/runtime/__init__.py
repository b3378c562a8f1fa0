"""What threads need: event loops, slots, the count of blocked threads, isolation of faults.

Nothing here knows HTTP. Each file stands alone; read `slots` and `blocking` before
`realproxy.server.worker_pool`, which is built on both. `slots` limits the requests that are worked
on at once. `blocking` counts the workers that wait for something other than the processor.
`isolation` keeps a fault in one connection's code from ending a thread that serves many. `sockets`
sets the kernel's time limits on blocking sockets. `system` says what the proxy needs of Linux.

Owners. `Slots` and `BlockedThreads` are shared by all threads and guard themselves; the functions
have no state.
"""
