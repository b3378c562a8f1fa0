"""The commands: on a scenario (`experiments`), a grid or a trace (`tables`), a proxy's file (`proxy`).

`exposure` measures who sees what; `lab` opens the lessons.
"""
