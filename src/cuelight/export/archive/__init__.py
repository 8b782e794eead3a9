"""NN Archives: written, read and checked."""
