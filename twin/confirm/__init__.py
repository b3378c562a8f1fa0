"""The main job: predict every variant, measure it on real sockets, and say what came true.

- `procedure`: `confirm`, from start to end. Read it first.
- `calibrate`: what a request costs on the idle real system, measured once; `measure`: a run that counts.
- `compare`: differences, the noise floor, the verdict, the ranking.
- `outcome`: what was found, as data; `conclusion`: in sentences; `report`: as an HTML page.

`procedure` owns the `loadtests.Stage` with all child processes, and closes it before it returns.
Nothing here writes to the terminal: progress goes to a `twin.progress.Reporter`.
"""
