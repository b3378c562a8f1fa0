"""The life of a request: its phases."""
