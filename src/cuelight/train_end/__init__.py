"""What comes after a training: test, export, archive; each by itself, and each recorded."""
