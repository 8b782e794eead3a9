"""Image preprocessing, and drawing helpers for all pictures."""
