"""The HTML report of a run, made from the files in its run directory."""

from cuelight.report.writing import write_report

__all__ = ["write_report"]
