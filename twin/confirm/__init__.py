"""Confirm a scenario: predict every variant, measure it on real sockets, and judge the prediction.

- `procedure`: `confirm`, from start to end. Read it first.
- `calibrate`: measures the costs of a request on the idle real system; `measure`: repeats void runs.
- `compare`: differences, the noise floor, the verdict, the ranking.
- `outcome`: the results as data; `conclusion`: as sentences; `report`: as an HTML page.

`procedure` owns the `loadtests.Stage` with all child processes, and closes it before it returns.
Nothing here writes to the terminal: progress goes to a `twin.progress.Reporter`.
"""
