"""A run as one HTML page, made of its files: reading, curves, charts, the page."""

from cuelight.report.writing import write_report

__all__ = ["write_report"]
