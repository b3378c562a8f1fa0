"""The commands: on a scenario (`experiments`), a grid or a trace (`tables`), a proxy's file (`proxy`).

`lab` opens the lessons.
"""
