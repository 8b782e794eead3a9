"""What is learnt: one folder for each task."""
