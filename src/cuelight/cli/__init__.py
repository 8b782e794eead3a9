"""The commands; nothing heavy is imported before a command needs it."""

from cuelight.cli.main import main

__all__ = ["main"]
