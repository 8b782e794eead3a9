"""Export of a trained model: ONNX, checked against PyTorch, and NN Archives."""
