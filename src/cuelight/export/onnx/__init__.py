"""Export to ONNX files, checked against PyTorch."""
