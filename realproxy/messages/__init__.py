"""What is said from hop to hop, and what is written down of it."""
