"""What is stored, who fetches it, who waits."""
