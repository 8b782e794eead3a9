"""What is in a dataset, and what looks wrong in it, before a training."""
