"""What is learnt from: images with labels, prepared the same way for training, export and archive."""
