"""A real run from start to end: its child processes, their files, and whether the run is valid.

Read in this order:

- `measure`: `Stage` runs a scenario and returns a `Measurement`.
- `processes`: a child process that ends when its parent does.
- `proxies`: the proxies of a chain, each a child.
- `proxy_child`: the program of such a child; `proxy_files`: the files that it reads; `peer_child`: the same
  for another proxy than ours, whose files `loadtests.peers` writes.
- `backend_spec`: what the backends are told; `target`: a proxy and backends that run already.
- `run_folder`: the temporary folder of a stage.
- `validity`: the rules that make a run void; `machine_load`: how busy the machine was meanwhile.

A `Stage` owns its child processes and its folder; `close` ends and removes them. It belongs to one thread.
"""
