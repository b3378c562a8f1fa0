"""Logs, counts, the admin port."""
