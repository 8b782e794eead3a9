"""ONNX files: exported and checked against PyTorch."""
