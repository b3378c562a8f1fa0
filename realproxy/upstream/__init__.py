"""Services and connections to them: pick, connect, send, retry, hedge, check."""
