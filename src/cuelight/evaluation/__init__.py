"""How a model is measured: with a trainer of its own, so that nothing else is touched."""
