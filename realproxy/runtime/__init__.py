"""Loops, slots, waits: what threads have in common; nothing of HTTP."""
