"""One request's way through several proxies, from their access logs: what `proxytwin trace` shows.

- `spans`: the lines of the logs that belong to a trace; each is the part that one proxy has in it.
- `tree`: the requests, which of them to show, and who asked whom.
- `waterfall`: the tree in a terminal.
- `picture`: the tree as a figure.
"""
