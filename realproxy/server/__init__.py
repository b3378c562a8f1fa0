"""Who accepts, waits for heads, and runs the phases."""
