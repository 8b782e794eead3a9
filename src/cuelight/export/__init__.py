"""How a trained model leaves: ONNX, checked against PyTorch, and the NN Archive around it."""
