"""The commands, by what they are given: a scenario, a grid or a trace, a proxy's file."""
