"""Whole systems of real processes, each started by one command."""
