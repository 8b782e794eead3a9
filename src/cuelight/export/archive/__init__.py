"""Writing, reading and checking NN Archives."""
