"""The command line. A command imports what it needs only when it runs."""

from cuelight.cli.main import main

__all__ = ["main"]
