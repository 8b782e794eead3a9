"""The EMA callback."""
