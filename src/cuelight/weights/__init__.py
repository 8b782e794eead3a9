"""How weights are kept: checkpoints written whole, read safely, and chosen by score."""
