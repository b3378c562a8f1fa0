"""``python -m twin``: the command line."""

from twin.cli import main

main()
