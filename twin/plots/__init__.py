"""Figures of runs in one style: predictions have one colour, measurements another.

- `style`: colours, markers and dashes, titles of metrics, and matplotlib's settings.
- `labels`: names of lines and of ticks, which never cover each other.
- `comparison`: both twins' response times, percentiles, hit ratios and shares, side by side.

A function takes data and returns a `matplotlib.figure.Figure`; it neither shows nor saves it, and
touches no global state of matplotlib. `twin.output.figures` writes figures to files.
"""
