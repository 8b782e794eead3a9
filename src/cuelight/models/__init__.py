"""What learns: one LightningModule for each task, and how it is optimized."""
