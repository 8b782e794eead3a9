"""The command line. A command imports what it needs only when it runs."""

from cuelight.cli.main import main, run

__all__ = ["main", "run"]
