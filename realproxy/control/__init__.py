"""Start, reload, stop; one process or several; check and explain."""
