"""The moving average of the weights, as a callback."""
